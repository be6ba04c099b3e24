"""Per-example gradients as atoms, held as small factors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.represent.atoms import (
    Atoms,
    DenseAtoms,
    blocks,
    require_matrix,
    require_shape,
    require_some,
    scaled,
    squared_row_norms,
)

__all__ = ["Atoms", "DenseAtoms", "GradientFactors", "last_layer_gradients"]


@dataclass(frozen=True, eq=False)
class GradientFactors:
    """Gradients g_i = delta_i (x) [h_i; 1] of a linear layer with a bias, never built as n x d.

    `delta` is the loss's derivative by the layer's outputs, `inputs` the layer's inputs h. Then
    <g_i, g_j> = <delta_i, delta_j> (<h_i, h_j> + 1): a column of the Gram matrix costs n (C + p)
    and not n C p. A direction is C x (p+1), its last column the bias.
    """

    delta: Float[Tensor, "n C"]
    inputs: Float[Tensor, "n p"]

    def __post_init__(self) -> None:
        require_matrix("delta", self.delta)
        require_matrix("inputs", self.inputs)
        if len(self.delta) != len(self.inputs):
            raise DataError(
                f"delta has {len(self.delta)} rows and inputs has {len(self.inputs)}; "
                "give one row of each per example"
            )

    def __len__(self) -> int:
        return len(self.delta)

    def __getitem__(self, index: Int[Tensor, " t"]) -> GradientFactors:
        return GradientFactors(self.delta[index], self.inputs[index])

    @property
    def dtype(self) -> torch.dtype:
        return self.delta.dtype

    @property
    def device(self) -> torch.device:
        return self.delta.device

    def double(self) -> GradientFactors:
        return GradientFactors(self.delta.double(), self.inputs.double())

    def squared_norms(self) -> Float[Tensor, " n"]:
        return squared_row_norms(self.delta) * (squared_row_norms(self.inputs) + 1)

    def correlate(self, direction: Float[Tensor, "C p_and_bias"]) -> Float[Tensor, " n"]:
        classes, features = self.delta.shape[1], self.inputs.shape[1]
        require_shape(direction, torch.Size([classes, features + 1]))
        weight, bias = direction.to(self.delta).tensor_split([features], dim=1)
        # As logits of a layer with this weight: an n x C temporary where delta @ weight has n x p.
        parts = [
            (torch.addmm(bias.T, self.inputs[block], weight.T) * self.delta[block]).sum(1)
            for block in blocks(len(self), classes)
        ]
        return torch.cat(parts) if parts else self.delta.new_empty(0)

    def gram(
        self, index: Int[Tensor, " t"], scale: Float[Tensor, " t"] | None = None
    ) -> Float[Tensor, "n t"]:
        products = (self.inputs @ self.inputs[index].T).add_(1)
        return products.mul_(self.delta @ scaled(self.delta[index], scale).T)

    def combine(
        self, index: Int[Tensor, " t"], weights: Float[Tensor, " t"]
    ) -> Float[Tensor, "C p_and_bias"]:
        delta = scaled(self.delta[index], weights)
        return torch.cat([delta.T @ self.inputs[index], delta.sum(0)[:, None]], dim=1)

    def mean(self) -> Float[Tensor, "C p_and_bias"]:
        """The mean gradient, a target to match. DataError where there is no example."""
        require_some(self.delta)
        total = torch.cat([self.delta.T @ self.inputs, self.delta.sum(0)[:, None]], dim=1)
        return total / len(self)


def last_layer_gradients(
    model: nn.Module, x: Shaped[Tensor, "n ..."], y: Int[Tensor, " n"], batch_size: int = 512
) -> GradientFactors:
    """Each example's gradient of the cross-entropy by the model's last layer, as factors.

    For any model with logits = head(features(x)): delta = softmax(logits) - onehot(y) in closed
    form, for one forward pass without autograd, dropout off and batch statistics fixed.
    SettingError where the model has no such last layer, DataError where labels do not fit.
    """
    head = _head(model)
    _require_labels(x, y, head.out_features, batch_size)
    where = head.weight
    delta = where.new_empty(len(x), head.out_features, requires_grad=False)
    inputs = where.new_empty(len(x), head.in_features, requires_grad=False)
    with torch.no_grad(), _evaluating(model):
        for start in range(0, len(x), batch_size):
            rows = slice(start, start + batch_size)
            features = model.features(x[rows].to(where.device))  # type: ignore[operator]
            require_shape(features, inputs[rows].shape, "features(x)")
            inputs[rows] = features
            delta[rows] = _cross_entropy_delta(head(features), y[rows].to(where.device))
    return GradientFactors(delta, inputs)


def _cross_entropy_delta(
    logits: Float[Tensor, "b C"], y: Int[Tensor, " b"]
) -> Float[Tensor, "b C"]:
    """softmax(logits) - onehot(y), its rows summing to zero."""
    delta = logits.softmax(1).scatter_(1, y[:, None].long(), 0)
    # 1 - p_y as the sum of the others: exact where p_y rounds to 1 and the gradient vanishes.
    return delta.scatter_(1, y[:, None].long(), -delta.sum(1, keepdim=True))


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; every module then gets its own mode back."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _head(model: nn.Module) -> nn.Linear:
    head = getattr(model, "head", None)
    if not isinstance(head, nn.Linear) or not callable(getattr(model, "features", None)):
        raise SettingError(
            f"{type(model).__name__} has no features(x) and linear head; gradients of the last "
            "layer need a model with logits = head(features(x))"
        )
    if head.bias is None:
        raise SettingError(
            f"the head of {type(model).__name__} has no bias; build it as nn.Linear(..., bias=True)"
        )
    return head


def _require_labels(x: Tensor, y: Tensor, classes: int, batch_size: int) -> None:
    if batch_size < 1:
        raise SettingError(f"batch_size is {batch_size}; give 1 or more")
    if len(x) != len(y):
        raise DataError(f"{len(x)} examples but {len(y)} labels; give one label per example")
    if len(y) and (y.min() < 0 or y.max() >= classes):
        raise DataError(
            f"labels go from {int(y.min())} to {int(y.max())}, but the model knows 0 to "
            f"{classes - 1}; give it labels of its own task"
        )
