"""The form of every network: all but the last layer, and a linear last layer."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

InputShape = tuple[int, ...]


class Classifier(nn.Module):
    """Logits = head(features(x)); x as floats in [0, 1] for images."""

    last_is_linear = True

    def __init__(self, body: nn.Module, width: int, num_classes: int) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(width, num_classes)

    def features(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n p"]:
        """Return the last hidden layer."""
        hidden: Tensor = self.body(x)
        return hidden

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n classes"]:
        logits: Tensor = self.head(self.features(x))
        return logits
