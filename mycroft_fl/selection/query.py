"""The query of a method: all that it may look at besides the candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import torch
from jaxtyping import Float

from mycroft_fl.device import torch_device
from mycroft_fl.errors import SettingError
from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import as_input, as_tensor
from mycroft_fl.models.networks import Classifier
from mycroft_fl.protocol.detector import Detector
from mycroft_fl.represent.gradients.per_example import Atoms, DenseAtoms, gradients
from mycroft_fl.represent.spaces import space_named
from mycroft_fl.settings.selection import SelectionSettings


@dataclass(frozen=True, kw_only=True)
class Query(SelectionSettings):
    """All that a method may look at besides the candidates.

    `model` is the one whose gradients count (the trainer's, or an early one of the owner's), and
    is None where the method asked for none. `disclosed` are the owner's own examples that it
    handed over before: a later choice goes on from them. The settings of a selection are those of
    the request, and `device` is the run's. With `ready` an example's x is its gradient.
    With a `target`, a mean gradient that came in place of hard examples, `hard` is empty and
    `stands_for` says how many are behind it. With a `detector` of failures it is empty too.
    """

    hard: Examples
    model: Classifier | None
    seed: int
    disclosed: Examples | None = None
    device: str = "cpu"
    ready: bool = False
    target: Float[torch.Tensor, "C p_and_bias"] | None = None
    stands_for: int = 0
    detector: Detector | None = None

    def require_model(self) -> Classifier:
        """Give the model, for a method that cannot do without."""
        if self.model is None:
            raise SettingError("this method looks through a model, and the request brought none")
        return self.model

    def require_detector(self) -> Detector:
        """Give the detector, for a method that cannot do without."""
        if self.detector is None:
            raise SettingError(
                "this method goes by a failure detector, and the request brought none"
            )
        return self.detector

    def features(self, examples: Examples) -> Float[torch.Tensor, "n d"]:
        """Give the examples in the feature space that was asked for."""
        return space_named(self.feature_space)(examples, self)

    def gradients(self, examples: Examples) -> Atoms:
        """Give each example's gradient of the loss, by the layers that were asked for, as factors."""
        x, device = as_input(examples.x), torch_device(self.device)
        if self.ready:
            return DenseAtoms(x.to(device))
        model, y = self.require_model(), as_tensor(examples.y)
        # The last layer of a model of one's own may not be linear: then all are looked at.
        layers = self.gradient_layers if model.last_is_linear else "all"
        return gradients(model, x, y, layers=cast(Literal["last", "all"], layers), device=device)
