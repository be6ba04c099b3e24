"""Per-example gradients by every trained parameter, layer by layer, from one backward pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.functional import unfold

from mycroft_fl.errors import DataError
from mycroft_fl.represent.gradients.atoms import Atoms, DenseAtoms
from mycroft_fl.represent.gradients.factors import GradientFactors, PositionFactors
from mycroft_fl.represent.gradients.projection import projected_rows
from mycroft_fl.represent.gradients.summed import SummedAtoms


def all_layer_gradients(
    model: nn.Module,
    x: Shaped[Tensor, "n ..."],
    y: Int[Tensor, " n"],
    batch_size: int,
    projection: int,
    seed: int,
) -> SummedAtoms:
    """Return one part per linear layer and convolution, one for all other parameters, if there are any.

    A layer with positions keeps the smaller of rows and factors, by what a product costs.
    For a model in evaluation mode, whose examples do not see each other.

    Args:
        model: any whose model(x) are logits.
        x: n inputs as the model takes them.
        y: n labels.
        batch_size: examples a backward pass.
        projection: numbers a row at most.
        seed: of the random projection.
    """
    where = next(model.parameters())
    if not len(x):
        return SummedAtoms((DenseAtoms(where.new_zeros(0, _width(model, projection))),))
    taps = [_Tap(layer) for layer in _factored(model)]
    batches: list[list[Atoms]] = []
    for start in range(0, len(x), batch_size):
        batch = slice(start, start + batch_size)
        some, labels = x[batch].to(where.device), y[batch].to(where.device)
        parts = _layer_parts(model, taps, some, labels)
        if rest := _remaining(model, taps):
            rows = projected_rows(model, rest, some, labels, projection, seed)
            parts.append(DenseAtoms(rows))
        batches.append(parts)
    return SummedAtoms(tuple(_joined(list(parts)) for parts in zip(*batches, strict=True)))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode for a while; every module then gets its own mode back."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@dataclass(eq=False)
class _Tap:
    """One layer's inputs and its outputs' derivatives, in the pass under way."""

    layer: nn.Linear | nn.Conv2d
    inputs: Tensor = field(default_factory=lambda: torch.empty(0))
    edge: GradientEdge | None = None
    calls: int = 0

    def __call__(self, _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        self.inputs, self.calls = inputs[0].detach(), self.calls + 1
        # Where the output comes into the graph: its derivative is had there, also where a later
        # layer works in place. But in place on a view is on what it is a view of: so no view.
        whole = output.clone() if output._is_view() else output
        self.edge = get_gradient_edge(whole)
        return whole

    def atoms(self, delta: Tensor) -> Atoms:
        """Return the layer's gradients from the derivatives by its outputs."""
        bias, inputs = self.layer.bias is not None, self.inputs
        if isinstance(self.layer, nn.Conv2d):
            inputs = _patches(self.layer, inputs)
            delta = delta.flatten(2).mT
        elif inputs.ndim == 2:
            return GradientFactors(delta, inputs, bias)
        else:
            inputs, delta = inputs.flatten(1, -2), delta.flatten(1, -2)
        factors = PositionFactors(delta.contiguous(), inputs.contiguous(), bias)
        return DenseAtoms(factors.explicit()) if factors.explicit_is_cheaper else factors


def _patches(layer: nn.Conv2d, inputs: Tensor) -> Float[Tensor, "b P p"]:
    kernel, stride, padding, dilation = (
        layer.kernel_size, layer.stride, layer.padding, layer.dilation,
    )  # fmt: skip
    assert not isinstance(padding, str)  # such layers are not factored
    return unfold(inputs, kernel, dilation, padding, stride).mT


def _factored(model: nn.Module) -> list[nn.Linear | nn.Conv2d]:
    """Return the layers whose gradients are sums of outer products if they are used once: trained, whole."""
    owners = Counter(
        id(parameter)
        for module in model.modules()
        for parameter in module.parameters(recurse=False)
    )
    return [
        module
        for module in model.modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
        and _is_outer(module)
        and all(
            owners[id(parameter)] == 1 and parameter.requires_grad
            for parameter in module.parameters()
        )
    ]


def _is_outer(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv2d):
        plain = module.groups == 1 and module.padding_mode == "zeros"
        return plain and not isinstance(module.padding, str)
    # Not a subclass: a parametrised or quantised layer may do something else.
    return type(module) is nn.Linear


def _remaining(model: nn.Module, taps: list[_Tap]) -> list[str]:
    """Return the names of all trained parameters but those of tapped layers that were used once."""
    used = [tap for tap in taps if tap.calls == 1]
    owned = {id(parameter) for tap in used for parameter in tap.layer.parameters()}
    return [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and id(parameter) not in owned
    ]


def _layer_parts(
    model: nn.Module, taps: list[_Tap], x: Tensor, y: Int[Tensor, " b"]
) -> list[Atoms]:
    for tap in taps:
        tap.calls = 0
    hooks = [tap.layer.register_forward_hook(tap) for tap in taps]
    try:
        with torch.enable_grad():
            logits = model(x)
    finally:
        for hook in hooks:
            hook.remove()
    if logits.ndim != 2 or len(logits) != len(x):
        raise DataError(
            f"model(x) has shape {tuple(logits.shape)} for {len(x)} examples; give a model whose "
            "outputs are logits, one row per example"
        )
    _require_known(y, logits.shape[1])
    delta = cross_entropy_delta(logits.detach(), y)
    used = [tap for tap in taps if tap.calls == 1]
    edges = [tap.edge for tap in used if tap.edge]
    deltas = torch.autograd.grad(logits, edges, delta) if used else ()
    return [tap.atoms(each) for tap, each in zip(used, deltas, strict=True)]


def cross_entropy_delta(logits: Float[Tensor, "b C"], y: Int[Tensor, " b"]) -> Float[Tensor, "b C"]:
    """Return softmax(logits) - onehot(y), its rows summing to zero."""
    # Across the rows of a transpose: six times as fast as along a few classes.
    delta = logits.T.contiguous().softmax(0).T.contiguous().scatter_(1, y[:, None].long(), 0)
    # 1 - p_y as the sum of the others: exact where p_y rounds to 1 and the gradient vanishes.
    return delta.scatter_(1, y[:, None].long(), -delta.sum(1, keepdim=True))


def _joined(parts: list[Atoms]) -> Atoms:
    """Return batches of one layer, which all have the same form."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, DenseAtoms):
        return DenseAtoms(torch.cat([part.rows for part in parts]))  # type: ignore[attr-defined]
    assert isinstance(first, GradientFactors | PositionFactors)
    delta = torch.cat([part.delta for part in parts])  # type: ignore[attr-defined]
    inputs = _one_after_the_other([part.inputs for part in parts])  # type: ignore[attr-defined]
    return type(first)(delta, inputs, first.bias)


def _one_after_the_other(parts: list[Tensor]) -> Tensor:
    """Return the batches as one; not copied where they lie so in memory, as a first layer's inputs do."""
    first, total = parts[0], sum(len(part) for part in parts)
    places = [part.data_ptr() for part in parts]
    starts = accumulate((part.nbytes for part in parts[:-1]), initial=first.data_ptr())
    whole = first.untyped_storage().data_ptr()
    if (
        all(part.is_contiguous() for part in parts)
        and all(part.untyped_storage().data_ptr() == whole for part in parts)
        and places == list(starts)
    ):
        return first.as_strided((total, *first.shape[1:]), first.stride())
    return torch.cat(parts)


def _width(model: nn.Module, projection: int) -> int:
    """Estimate a direction's length without an example (up to layers used more than once)."""
    taken = [
        module
        for module in model.modules()
        if _is_outer(module) and all(each.requires_grad for each in module.parameters())
    ]
    factored = sum(each.numel() for module in taken for each in module.parameters())
    rest = sum(each.numel() for each in model.parameters() if each.requires_grad) - factored
    return factored + min(rest, projection)


def _require_known(y: Int[Tensor, " b"], classes: int) -> None:
    if int(y.min()) < 0 or int(y.max()) >= classes:
        raise DataError(
            f"labels go from {int(y.min())} to {int(y.max())}, but the model knows 0 to "
            f"{classes - 1}; give it labels of its own task"
        )
