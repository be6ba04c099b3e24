"""The settings of a selection: how an owner chooses among its examples."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from mycroft_fl.settings.declared import setting

MAX_FEATURE_WEIGHT = 1e6


@dataclass(frozen=True)
class SelectionSettings:
    """How an owner chooses: typed once, for a run's settings, a request and a method's query.

    A run checks them with its other settings, and the wire checks a stranger's.
    """

    method: str = setting(
        "method",
        "hard-features",
        "how an owner chooses: a method's name, or package.module:function",
    )
    owner_epochs: int = setting(
        "owner-epochs",
        1,
        "epochs an owner fits its own model, where gradients-from = owner",
        least=1,
        after="gradients-from",
    )
    feature_space: str = setting(
        "feature-space",
        "pixels",
        "where features are compared: pixels (the input itself), model (its last hidden layer), "
        "standardised or binning (tables), or an encoder, library:architecture:weights, of texts tfidf, "
        "hashing and others",
        after="owner-epochs",
    )
    gradient_layers: str = setting(
        "gradient-layers",
        "last",
        "whose gradients are matched: those of the model's last layer, or of all its layers",
        choices=("last", "all"),
        after="proxy",
    )
    feature_weight: float = setting(
        "feature-weight",
        1.0,
        "what features weigh beside gradients, in funcfeat and omp-coverage; "
        "0: tuned on the trainer's validation data",
        least=0,
        most=MAX_FEATURE_WEIGHT,
        after="gradient-layers",
    )

    def selection(self, **changed: Any) -> dict[str, Any]:
        """Give these settings by their fields' names, for whatever is to have the same."""
        names = [each.name for each in dataclasses.fields(SelectionSettings)]
        return {name: getattr(self, name) for name in names} | changed
