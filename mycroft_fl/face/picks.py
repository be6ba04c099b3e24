"""`select`: the few candidates that help with hard examples, from data in memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from torch import nn

from mycroft_fl.data.given import Arrays, Frame, taken
from mycroft_fl.device import torch_device
from mycroft_fl.errors import DataError, SettingError, suggestion
from mycroft_fl.examples import Examples
from mycroft_fl.face.joined import X, hard_given, joined
from mycroft_fl.face.looked_through import looked_through
from mycroft_fl.selection.methods import METHODS, Method, Query, method_named
from mycroft_fl.settings.run_config import RunConfig

log = logging.getLogger(__name__)

SCALED = (
    "the model gets a frame's numbers standardised, and names as a column each; give arrays for a net "
    "that was trained on raw columns"
)


@dataclass(frozen=True, eq=False)
class Picks:
    """The picks of `select`, most useful first.

    Attributes:
        indices: places in x, distinct.
        weights: one for each pick, 0 or more; all 1 where the method does not weigh.
        unexplained: the share of the target that the picks leave open, 1 where a method has none.
        labels: the class of each pick; "" where no labels were given.
        method: the method's name.
        notes: what there is to say of them, a sentence each.

    Example:
        >>> import numpy as np
        >>> picks = Picks(np.array([3, 1]), np.ones(2), 1.0, ("a", "b"), "features")
        >>> len(picks), picks.frame()["label"].tolist()
        (2, ['a', 'b'])
    """

    indices: Int[np.ndarray, " k"]
    weights: Float[np.ndarray, " k"]
    unexplained: float
    labels: tuple[str, ...]
    method: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.indices)

    def frame(self) -> Any:
        """Return the picks as a pandas DataFrame: index, label and weight, a row each."""
        import pandas as pd

        return pd.DataFrame({
            "index": self.indices, "label": list(self.labels), "weight": self.weights,
        })  # fmt: skip

    def _repr_html_(self) -> str:
        html: str = self.frame().to_html(index=False)
        return html


def select(
    x: Any,
    y: Any = None,
    *,
    hard: Any,
    k: int = 10,
    method: str | Callable[..., Any] = "",
    model: nn.Module | str | None = None,
    feature_space: str = "",
    label: str = "",
    head: str = "",
    transform: Any = None,
    classes: Sequence[Any] | None = None,
    seed: int = 0,
    device: str = "cpu",
    **settings: Any,
) -> Picks:
    """Pick up to `k` of the examples in `x` that help a model with its `hard` ones.

    Nothing is sent and nothing is trained. Examples are arrays, tensors, frames of pandas or polars,
    a torch or Hugging Face Dataset, or a list of images. Labels are of any kind.

    Args:
        x: n candidates, with their labels where a frame or a Dataset holds these.
        y: n labels, or the name of a frame's column; None where `x` holds them.
        hard: what the model gets wrong, as (x, y), or in the form of `x`.
        k: how many to pick at most; fewer come where nothing else helps.
        method: a method's name, package.module:function, or a function of (candidates, query, k); "" for
            omp with a model, else features.
        model: a `torch.nn.Module` that gives logits, or the import path of one. It is left as it is.
        feature_space: pixels, model, standardised, binning or an encoder; "" for pixels, and for
            a frame standardised.
        label: a frame's column with the class, where `y` does not name it.
        head: the path of the model's last linear layer; "" to find it.
        transform: a function that prepares a batch for the model.
        classes: names of the classes in the order of the model's outputs; None where labels are whole
            numbers, or the model has no output more than the labels show, sorted.
        seed: of whatever is drawn at random.
        device: where gradients are computed, such as "cuda".
        settings: gradient_layers ("last" or "all") and feature_weight.

    Raises:
        DataError: examples or labels that do not fit together.
        SettingError: an unknown method or setting, or a model that does not fit.

    Example:
        >>> import numpy as np, torch
        >>> x, y = np.eye(4, dtype=np.float32), [0, 1, 0, 1]
        >>> hard = np.float32([[0, 0, 0.9, 0]])
        >>> select(x, y, hard=(hard, [0]), k=1, method="features").indices
        array([2])
        >>> net = torch.nn.Linear(4, 2)
        >>> picks = select(x, y, hard=(hard, [0]), k=1, model=net)
        >>> picks.indices, picks.labels
        (array([2]), ('0',))
    """
    wholes: list[tuple[str, Any, int]] = [("k", k, 1), ("seed", seed, 0)]
    for key, value, least in wholes:
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise SettingError(f"{key} is {value!r}; give a whole number of {least} or more")
    torch_device(device)
    chosen = method_named(name := method or _name(model))
    called = name if isinstance(name, str) else getattr(name, "__name__", repr(name))
    parts = taken(x, y, what=X, label=label), hard_given(hard, y, label)
    both = joined(*parts, classes)
    candidates, wanted, names = both.candidates, both.hard, both.names
    if k > len(candidates):
        raise SettingError(f"k is {k}, and x holds {len(candidates)} candidates; ask for 1 to that")
    labelled = all(part.y is not None if isinstance(part, Arrays) else part.label for part in parts)
    notes = _notes(chosen, wanted, candidates, names, labelled=labelled)
    space = feature_space or ("standardised" if isinstance(parts[0], Frame) else "pixels")
    if isinstance(parts[0], Frame) and isinstance(model, nn.Module):
        log.warning(SCALED)
    query = Query(
        hard=wanted,
        model=None if model is None else looked_through(model, both, head, transform),
        seed=int(seed),
        device=device,
        **_settings(settings, space),
    )
    _check_model(chosen, query, called)
    found = chosen.select(candidates, query, int(k))
    if len(found.indices) < k:
        notes += (f"{len(found.indices)} of {k} asked for: nothing else helps",)
    labels = tuple(names[each] for each in candidates.y[found.indices])
    return Picks(found.indices, found.weights, found.unexplained, labels, called, notes)


def _name(model: Any) -> str:
    return "features" if model is None else "omp"


def _settings(given: dict[str, Any], space: str) -> dict[str, Any]:
    known = ["feature_weight", "gradient_layers"]
    for key in given:
        if key not in known:
            raise SettingError(f"select has no setting '{key}'{suggestion(key, known)}")
    values = {"feature-space": space} | {k.replace("_", "-"): v for k, v in given.items()}
    config = RunConfig.from_settings(values)
    return config.selection(feature_weight=config.feature_weight or 1.0)


def _check_model(method: Method, query: Query, name: str) -> None:
    # A function of somebody's own says so itself, where it looks through a model and none came.
    needed = method.looks_through != "nothing" and name in METHODS
    if query.model is None and (needed or query.feature_space == "model"):
        raise SettingError(
            f"method '{name}' in feature space '{query.feature_space}' looks through a model; give "
            "model=, a torch.nn.Module"
        )
    if "hard-set" not in method.takes:
        raise SettingError(f"method '{name}' goes by {list(method.takes)}, not by hard examples")


def _notes(
    method: Method,
    hard: Examples,
    candidates: Examples,
    names: tuple[str, ...],
    *,
    labelled: bool,
) -> tuple[str, ...]:
    if not labelled:
        return ("no labels were given: all examples count as of one class",)
    missing = np.setdiff1d(hard.y, candidates.y)
    if not method.by_class or not len(missing):
        return ()
    listed = ", ".join(f"'{names[each]}'" for each in missing[:5])
    if len(missing) == len(np.unique(hard.y)):
        raise DataError(
            f"no candidate is of a class of the hard examples ({listed}); the method works class by "
            'class, try method="gradient-neighbours" or "transport"'
        )
    return (f"no candidate is of class {listed}, which hard examples are of",)
