"""Per-example gradients as atoms, held as small factors."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from jaxtyping import Int, Shaped
from torch import Tensor, nn

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.represent.gradients.atoms import Atoms, DenseAtoms, require_shape
from mycroft_fl.represent.gradients.factors import GradientFactors, PositionFactors
from mycroft_fl.represent.gradients.layers import (
    all_layer_gradients,
    cross_entropy_delta,
    evaluating,
)
from mycroft_fl.represent.gradients.summed import SummedAtoms

__all__ = [
    "Atoms",
    "DenseAtoms",
    "GradientFactors",
    "PositionFactors",
    "SummedAtoms",
    "gradients",
    "last_layer_gradients",
]


def gradients(
    model: nn.Module,
    x: Shaped[Tensor, "n ..."],
    y: Int[Tensor, " n"],
    *,
    layers: Literal["last", "all"] = "last",
    batch_size: int = 512,
    device: torch.device | str | None = None,
    projection: int = 2048,
    seed: int = 0,
) -> Atoms:
    """Return each example's gradient of the cross-entropy, as atoms for matching pursuit.

    Linear layers and convolutions are held as factors, one part a layer; all other parameters'
    gradients together as rows, of `projection` numbers where there are more than that: a random
    projection, which preserves their products up to a relative error of about 1 / sqrt(projection)
    (TRAK, Park et al. 2023). Evaluation mode: dropout off, batch statistics fixed.

    SettingError for an unknown `layers` or a model that does not fit; DataError for labels that do
    not.

    Args:
        model: with logits = head(features(x)) for "last", any whose model(x) are logits for "all".
        x: n inputs as the model takes them. Leave `x` as it is while the atoms are in use: the first
            layer's view of it is not copied.
        y: n labels.
        layers: "last": by the last layer; a direction is C x (p+1). "all": by every parameter that is
            trained; a direction is flat.
        batch_size: examples a pass.
        device: where the atoms lie; None for the model's own.
        projection: numbers a row at most, of the gradients that are held as rows.
        seed: of the random projection.
    """
    if layers not in ("last", "all"):
        raise SettingError(f"layers is {layers!r}; choose from ['all', 'last']")
    if projection < 1:
        raise SettingError(f"projection is {projection}; give 1 or more")
    if device is not None and torch.device(device) != next(model.parameters()).device:
        model = copy.deepcopy(model).to(device)
    if layers == "last":
        return last_layer_gradients(model, x, y, batch_size)
    _require_labels(x, y, None, batch_size)
    with evaluating(model):
        return all_layer_gradients(model, x, y, batch_size, projection, seed)


def last_layer_gradients(
    model: nn.Module, x: Shaped[Tensor, "n ..."], y: Int[Tensor, " n"], batch_size: int = 512
) -> GradientFactors:
    """Return each example's gradient of the cross-entropy by the model's last layer, as factors.

    For any model with logits = head(features(x)): delta = softmax(logits) - onehot(y) in closed
    form, for one forward pass without autograd, dropout off and batch statistics fixed.
    SettingError where the model has no such last layer, DataError where labels do not fit.

    Args:
        model: with logits = head(features(x)).
        x: n inputs as the model takes them.
        y: n labels.
        batch_size: examples a pass.
    """
    head = _head(model)
    _require_labels(x, y, head.out_features, batch_size)
    where = head.weight
    delta = where.new_empty(len(x), head.out_features, requires_grad=False)
    inputs = where.new_empty(len(x), head.in_features, requires_grad=False)
    with torch.no_grad(), evaluating(model):
        for start in range(0, len(x), batch_size):
            rows = slice(start, start + batch_size)
            features = model.features(x[rows].to(where.device))  # type: ignore[operator]
            require_shape(features, inputs[rows].shape, "features(x)")
            inputs[rows] = features
            delta[rows] = cross_entropy_delta(head(features), y[rows].to(where.device))
    return GradientFactors(delta, inputs)


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


def _require_labels(x: Tensor, y: Tensor, classes: int | None, batch_size: int) -> None:
    if batch_size < 1:
        raise SettingError(f"batch_size is {batch_size}; give 1 or more")
    if len(x) != len(y):
        raise DataError(f"{len(x)} examples but {len(y)} labels; give one label per example")
    if classes is not None and len(y) and (y.min() < 0 or y.max() >= classes):
        raise DataError(
            f"labels go from {int(y.min())} to {int(y.max())}, but the model knows 0 to "
            f"{classes - 1}; give it labels of its own task"
        )
