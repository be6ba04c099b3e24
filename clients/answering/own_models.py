"""An owner's own early model, which some methods look through: every round asks for the same one."""

from __future__ import annotations

import copy

from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import FitSettings, fit
from mycroft_fl.models.networks import Classifier, build

BATCH, RATE = 32, 1e-3


class OwnModels:
    """Fits models to an owner's examples and keeps the last. It never leaves the owner."""

    def __init__(self, examples: Examples) -> None:
        self._examples = examples
        self._asked: tuple[str, int, int, int] | None = None
        self._fitted: Classifier | None = None

    def fitted(self, architecture: str, num_classes: int, epochs: int, seed: int) -> Classifier:
        """Fit a model for so many epochs, from a start that `seed` draws; a copy each time."""
        asked = (architecture, num_classes, epochs, seed)
        if self._fitted is None or asked != self._asked:
            shape = tuple(self._examples.x.shape[1:])
            model = build(architecture, shape, num_classes, seed=seed)
            settings = FitSettings(epochs, BATCH, RATE)
            self._fitted = fit(model, self._examples, None, settings, seed=seed)
            self._asked = asked
        # A method may be anybody's code and do with it what it likes.
        return copy.deepcopy(self._fitted)
