"""Gradients by parameters that no factors hold: rows, randomly projected where they are long."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

_ROWS = 64  # examples whose rows are built at once
_NUMBERS = 2**27  # of all rows that single passes build at once, for models with many words
_SLICE = 4096  # numbers of a gradient that are projected at once


def projected_rows(
    model: nn.Module, names: list[str], x: Tensor, y: Tensor, projection: int, seed: int
) -> Float[Tensor, "b d"]:
    """Return the gradients by the named parameters, one row an example, projected where they are long.

    Args:
        model: any whose model(x) are logits, in evaluation mode.
        names: of the parameters.
        x: n inputs as the model takes them.
        y: n labels.
        projection: numbers a row at most.
        seed: of the random signs.
    """
    every = dict(model.named_parameters())
    some = {name: every[name].detach() for name in names}

    def loss(parameters: dict[str, Tensor], one: Tensor, label: Tensor) -> Tensor:
        result: Tensor = cross_entropy(
            functional_call(model, parameters, (one[None],)), label[None].long()
        )
        return result

    alone = any(getattr(each, "one_by_one", False) for each in model.modules())
    each = vmap(grad(loss), in_dims=(None, 0, 0))
    size = sum(every[name].numel() for name in names)
    step = max(1, min(_ROWS, _NUMBERS // max(1, size))) if alone else _ROWS
    rows = []
    for start in range(0, len(x), step):
        batch = slice(start, start + step)
        if alone:
            long = _one_by_one(model, [every[name] for name in names], x[batch], y[batch])
        else:
            found = each(some, x[batch], y[batch])
            long = torch.cat([found[name].detach().flatten(1) for name in names], dim=1)
        rows.append(_projected(long, projection, seed))
    return torch.cat(rows)


def _one_by_one(
    model: nn.Module, parameters: list[Tensor], x: Tensor, y: Tensor
) -> Float[Tensor, "b p"]:
    """Return the gradients from a pass an example, for a model whose inputs vmap cannot follow."""
    rows = []
    for one, label in zip(x, y, strict=True):
        with torch.enable_grad():
            loss = cross_entropy(model(one[None]), label[None].long())
            found = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        rows.append(torch.cat([each.flatten() for each in found]))
    return torch.stack(rows)


def _projected(rows: Float[Tensor, "b d"], width: int, seed: int) -> Float[Tensor, "b width"]:
    """Multiply rows with a matrix of random signs, drawn anew from the seed slice by slice."""
    if rows.shape[1] <= width:
        return rows
    generator = torch.Generator().manual_seed(seed)
    total = rows.new_zeros(len(rows), width)
    for piece in torch.split(rows, _SLICE, dim=1):
        bits = torch.randint(0, 2, (piece.shape[1], width), generator=generator, dtype=torch.int8)
        total.addmm_(piece, bits.to(rows).mul_(2).sub_(1))
    return total.div_(width**0.5)
