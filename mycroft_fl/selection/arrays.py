"""The selection from arrays in npz files, without a trainer, an owner or a network between them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from mycroft_fl.data.formats.arrays import read_arrays, with_labels
from mycroft_fl.errors import DataError, InputError, SettingError, suggestion
from mycroft_fl.examples import Examples
from mycroft_fl.files import PUBLIC_FILE, written_whole
from mycroft_fl.models.networks import Classifier, build
from mycroft_fl.models.weights import load_weights
from mycroft_fl.selection.methods import Method, Query, Selection, method_named
from mycroft_fl.settings.run_config import RunConfig

MOST_CLASSES = 1_000_000
SETTINGS = ("device", "feature-space", "feature-weight", "gradient-layers")


@dataclass(frozen=True)
class Ask:
    """The question of a person on the command line."""

    hard_set: Path
    data: Path
    method: str
    k: int
    model: str | None
    weights: Path | None
    config: RunConfig


@dataclass(frozen=True, eq=False)
class ArraySelection:
    """The picks among the rows of the data file, and what there is to say of them."""

    selection: Selection
    labels: tuple[str, ...]
    """The class of each pick."""
    candidates: int
    notes: tuple[str, ...]


def checked_settings(assignments: dict[str, object], seed: int) -> RunConfig:
    """Read the settings of a selection. `SettingError` for any other."""
    for key in assignments:
        if key not in SETTINGS:
            raise SettingError(f"select has no setting '{key}'{suggestion(key, list(SETTINGS))}")
    return RunConfig.from_settings(assignments, {"seed": seed})


def answered(ask: Ask) -> ArraySelection:
    """Read the files, check that all fits together, and select. `InputError` where it does not."""
    method = method_named(ask.method)
    if ask.k < 1:
        raise SettingError(f"k is {ask.k}; ask for 1 candidate or more")
    hard_arrays, data_arrays = read_arrays(ask.hard_set), read_arrays(ask.data)
    hard, data, names = with_labels(hard_arrays, data_arrays)
    if ask.k > len(data):
        raise SettingError(
            f"k is {ask.k}, but {ask.data} holds {len(data)} candidates; ask for {len(data)} or fewer"
        )
    notes = _class_notes(ask, method, hard, data, names)
    named = hard_arrays.y is not None and hard_arrays.y.dtype.kind == "U"
    query = Query(
        hard=hard,
        model=_model(ask, method, hard, ready=hard_arrays.ready, named=named),
        seed=ask.config.seed,
        device=ask.config.device,
        ready=hard_arrays.ready,
        **ask.config.selection(
            feature_space="pixels" if hard_arrays.ready else ask.config.feature_space,
            feature_weight=ask.config.feature_weight or 1.0,
        ),
    )
    selection = method.select(data, query, ask.k)
    if len(selection.indices) < ask.k:
        notes += (f"{len(selection.indices)} of {ask.k} asked for: nothing else helps",)
    labels = tuple(names[label] for label in data.y[selection.indices])
    return ArraySelection(selection, labels, len(data), notes)


def write(selection: Selection, path: Path) -> None:
    """Write an npz file with `indices`, `weights` and `unexplained`, whole or not at all."""
    try:
        with written_whole(path, PUBLIC_FILE) as stream:
            np.savez(
                stream,
                indices=np.asarray(selection.indices, dtype=np.int64),
                weights=np.asarray(selection.weights, dtype=np.float64),
                unexplained=np.float64(selection.unexplained),
            )
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}; give another file"
        ) from error


def _class_notes(
    ask: Ask, method: Method, hard: Examples, data: Examples, names: tuple[str, ...]
) -> tuple[str, ...]:
    missing = np.setdiff1d(hard.y, data.y)
    if not method.by_class or len(missing) == 0:
        return ()
    listed = ", ".join(f"'{names[label]}'" for label in missing[:5])
    if len(missing) == len(np.unique(hard.y)):
        raise DataError(
            f"no candidate in {ask.data} is of a class of the hard set ({listed}); method "
            f"'{ask.method}' works class by class, try gradient-neighbours or transport"
        )
    return (f"no candidate is of class {listed}, which hard examples are of",)


def _model(
    ask: Ask, method: Method, hard: Examples, *, ready: bool, named: bool
) -> Classifier | None:
    """Build the model to look through, where the method or the feature space needs one."""
    if ready:
        if ask.model or ask.weights:
            raise SettingError(f"{ask.data} holds ready gradients; leave out --model and --weights")
        if method.looks_through == "trainer-model":
            raise SettingError(
                f"method '{ask.method}' needs a model's answers, not its gradients; give x and y "
                "with --model and --weights"
            )
        return None
    if method.looks_through == "nothing" and ask.config.feature_space != "model":
        return None
    if ask.model is None or ask.weights is None:
        raise SettingError(
            f"method '{ask.method}' looks through a model; give --model and --weights, or files "
            "with ready gradients g"
        )
    if named:
        raise DataError(
            "labels are names, but a model knows numbers; give y as the numbers it was trained on"
        )
    model = build(ask.model, hard.x.shape[1:], _num_classes(ask.weights), seed=0)
    load_weights(model, ask.weights)
    return model.eval()


def _num_classes(weights: Path) -> int:
    """Count the classes that the model of these weights knows: as many as its head has outputs."""
    if not weights.is_file():
        raise DataError(f"no weights at {weights}; name a safetensors file")
    try:
        with safe_open(weights, framework="numpy") as file:
            (classes,) = file.get_slice("head.bias").get_shape()
            # One number for each: a shape of a zero claims any number of them and holds none.
            if not 1 <= classes <= MOST_CLASSES:
                raise ValueError(f"it has {classes} classes")
            return int(classes)
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(
            f"{weights} does not hold a model's weights ({error}); name a safetensors file with a "
            "head.weight and a head.bias"
        ) from error
