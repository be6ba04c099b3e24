"""Per-example gradients of one layer, held as small factors instead of rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mycroft_fl.errors import DataError
from mycroft_fl.represent.gradients.atoms import (
    blocks,
    require_floats,
    require_matrix,
    require_shape,
    require_some,
    scaled,
    squared_row_norms,
)
from mycroft_fl.represent.gradients.low_rank import low_rank

_LOGITS = 2**18  # numbers of a temporary, about as many as stay in a processor's cache


@dataclass(frozen=True, eq=False)
class GradientFactors:
    """Gradients g_i = delta_i (x) [h_i; 1] of a linear layer, never built as n x d.

    `delta` is the loss's derivative by the layer's outputs, `inputs` the layer's inputs h. Then
    <g_i, g_j> = <delta_i, delta_j> (<h_i, h_j> + 1): a column of the Gram matrix costs n (C + p)
    and not n C p. A direction is C x (p+1), its last column the bias; C x p, and no + 1, for a
    layer that has no `bias`.
    """

    delta: Float[Tensor, "n C"]
    inputs: Float[Tensor, "n p"]
    bias: bool = True

    def __post_init__(self) -> None:
        require_matrix("delta", self.delta)
        require_matrix("inputs", self.inputs)
        _require_same_length(self.delta, self.inputs)

    def __len__(self) -> int:
        return len(self.delta)

    def __getitem__(self, index: Int[Tensor, " t"]) -> GradientFactors:
        return GradientFactors(self.delta[index], self.inputs[index], self.bias)

    @property
    def shape(self) -> torch.Size:
        return torch.Size([self.delta.shape[1], self.inputs.shape[1] + self.bias])

    @property
    def dtype(self) -> torch.dtype:
        return self.delta.dtype

    @property
    def device(self) -> torch.device:
        return self.delta.device

    @property
    def numbers(self) -> int:
        return self.delta.numel() + self.inputs.numel()

    def double(self) -> GradientFactors:
        return GradientFactors(self.delta.double(), self.inputs.double(), self.bias)

    def squared_norms(self) -> Float[Tensor, " n"]:
        return squared_row_norms(self.delta) * (squared_row_norms(self.inputs) + self.bias)

    def correlate(self, direction: Float[Tensor, "C p_and_bias"]) -> Float[Tensor, " n"]:
        require_shape(direction, self.shape)
        direction = direction.to(self.delta)
        thin = low_rank(direction, len(self))
        left, right = thin or (None, direction)
        weight, bias = right.tensor_split([self.inputs.shape[1]], dim=1)
        parts = []
        # As logits of a layer with this weight: an n x C temporary where delta @ weight has n x p.
        for block in blocks(len(self), len(weight), _LOGITS if self.device.type == "cpu" else None):
            logits, delta = weight @ self.inputs[block].T, self.delta[block].T
            if self.bias:
                logits.add_(bias)
            parts.append(logits.mul_(delta if left is None else left.T @ delta).sum(0))
        return torch.cat(parts) if parts else self.delta.new_empty(0)

    def gram(
        self, index: Int[Tensor, " t"], scale: Float[Tensor, " t"] | None = None
    ) -> Float[Tensor, "n t"]:
        return self.products(self[index], scale)

    def products(
        self, few: GradientFactors, scale: Float[Tensor, " t"] | None = None
    ) -> Float[Tensor, "n t"]:
        products = self.inputs @ few.inputs.T
        if self.bias:
            products.add_(1)
        return products.mul_(self.delta @ scaled(few.delta, scale).T)

    def combine(
        self, index: Int[Tensor, " t"], weights: Float[Tensor, " t"]
    ) -> Float[Tensor, "C p_and_bias"]:
        return self._product(scaled(self.delta[index], weights), self.inputs[index])

    def mean(self) -> Float[Tensor, "C p_and_bias"]:
        """Return the mean gradient, a target to match. DataError where there is no example."""
        require_some(self.delta)
        return self._product(self.delta, self.inputs) / len(self)

    def _product(self, delta: Tensor, inputs: Tensor) -> Tensor:
        weight = delta.T @ inputs
        return torch.cat([weight, delta.sum(0)[:, None]], dim=1) if self.bias else weight


@dataclass(frozen=True, eq=False)
class PositionFactors:
    """Gradients g_i = sum over positions s of delta_is (x) [h_is; 1]: a convolution, or a sequence.

    A product of two is a sum over pairs of positions, P^2 (C + p) numbers' work and no C x p
    matrix ("ghost" products). A direction is C x (p+1), or C x p without a `bias`.
    """

    delta: Float[Tensor, "n P C"]
    inputs: Float[Tensor, "n P p"]
    bias: bool = True

    def __post_init__(self) -> None:
        require_floats("delta", self.delta, 3)
        require_floats("inputs", self.inputs, 3)
        _require_same_length(self.delta, self.inputs)

    def __len__(self) -> int:
        return len(self.delta)

    def __getitem__(self, index: Int[Tensor, " t"]) -> PositionFactors:
        return PositionFactors(self.delta[index], self.inputs[index], self.bias)

    @property
    def shape(self) -> torch.Size:
        return torch.Size([self.delta.shape[2], self.inputs.shape[2] + self.bias])

    @property
    def dtype(self) -> torch.dtype:
        return self.delta.dtype

    @property
    def device(self) -> torch.device:
        return self.delta.device

    @property
    def numbers(self) -> int:
        return self.delta.numel() + self.inputs.numel()

    def double(self) -> PositionFactors:
        return PositionFactors(self.delta.double(), self.inputs.double(), self.bias)

    def squared_norms(self) -> Float[Tensor, " n"]:
        norms = torch.empty(len(self), dtype=torch.float64, device=self.device)
        width = self.delta.shape[1] * (self.delta.shape[1] + sum(self.shape))
        for block in blocks(len(self), width):
            delta, inputs = self.delta[block].double(), self.inputs[block].double()
            pairs = (inputs @ inputs.mT).add_(float(self.bias)).mul_(delta @ delta.mT)
            norms[block] = pairs.sum((1, 2)).clamp_min_(0)
        return norms

    def correlate(self, direction: Float[Tensor, "C p_and_bias"]) -> Float[Tensor, " n"]:
        require_shape(direction, self.shape)
        features = self.inputs.shape[2]
        weight, bias = direction.to(self.delta).tensor_split([features], dim=1)
        result = self.delta.new_empty(len(self))
        for block in blocks(len(self), self.delta[:1].numel()):
            logits = self.inputs[block] @ weight.T
            products = (logits + bias.T if self.bias else logits) * self.delta[block]
            result[block] = products.sum((1, 2))
        return result

    def gram(
        self, index: Int[Tensor, " t"], scale: Float[Tensor, " t"] | None = None
    ) -> Float[Tensor, "n t"]:
        return self.products(self[index], scale)

    def products(
        self, few: PositionFactors, scale: Float[Tensor, " t"] | None = None
    ) -> Float[Tensor, "n t"]:
        count, positions = len(few), self.delta.shape[1]
        delta, inputs = few.delta, few.inputs.flatten(0, 1)
        if scale is not None:
            delta = delta * scale.to(delta)[:, None, None]
        delta = delta.flatten(0, 1)
        result = self.delta.new_empty(len(self), count)
        for block in blocks(len(self), positions**2 * max(1, count)):
            pairs = self.inputs[block] @ inputs.T
            if self.bias:
                pairs.add_(1)
            pairs.mul_(self.delta[block] @ delta.T)
            result[block] = pairs.sum(1).reshape(-1, count, positions).sum(2)
        return result

    def combine(
        self, index: Int[Tensor, " t"], weights: Float[Tensor, " t"]
    ) -> Float[Tensor, "C p_and_bias"]:
        delta = self.delta[index] * weights.to(self.delta)[:, None, None]
        return self._product(delta, self.inputs[index])

    def mean(self) -> Float[Tensor, "C p_and_bias"]:
        """Return the mean gradient, a target to match. DataError where there is no example."""
        require_some(self.delta)
        return self._product(self.delta, self.inputs) / len(self)

    def explicit(self) -> Float[Tensor, "n d"]:
        """Return one row an example, for layers where that is the smaller form."""
        weight = self.delta.mT @ self.inputs
        if self.bias:
            weight = torch.cat([weight, self.delta.sum(1)[:, :, None]], dim=2)
        return weight.flatten(1)

    @property
    def explicit_is_cheaper(self) -> bool:
        """Whether a product of two rows costs less than one over pairs of positions."""
        return self.shape.numel() <= self.delta.shape[1] ** 2 * sum(self.shape)

    def _product(self, delta: Tensor, inputs: Tensor) -> Tensor:
        delta, inputs = delta.flatten(0, 1), inputs.flatten(0, 1)
        weight = delta.T @ inputs
        return torch.cat([weight, delta.sum(0)[:, None]], dim=1) if self.bias else weight


def _require_same_length(delta: Tensor, inputs: Tensor) -> None:
    if delta.shape[:-1] != inputs.shape[:-1]:
        raise DataError(
            f"delta has {_rows(delta)} rows and inputs has {_rows(inputs)}; "
            "give one row of each per example"
        )


def _rows(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape[:-1]))
