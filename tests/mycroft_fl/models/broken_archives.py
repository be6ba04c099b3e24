"""Fitted classifiers in skops, broken at random: arrays and numbers of all kinds. A program.

    python broken_archives.py NAME FIRST COUNT

breaks a fitted NAME in COUNT ways from seed FIRST on, reads each and predicts with it. It prints how
many were read and how many refused; whatever crashes or hangs ends or holds this process.
"""

from __future__ import annotations

import io
import json
import signal
import sys
import warnings
import zipfile
from typing import Any

import numpy as np
import skops.io
from sklearn.base import ClassifierMixin

EXTREME = (-1, -2, 0, 1, 2, 7, 2**31 - 1, -(2**31), 2**40, 2**62)
STRANGE = (np.nan, np.inf, -np.inf, 1e308, -1.0, 0.0, 0.5)
A_WHILE = 60  # seconds, of one file


def fitted(name: str) -> ClassifierMixin:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import (
        AdaBoostClassifier,
        ExtraTreesClassifier,
        GradientBoostingClassifier,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    )
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    made: dict[str, Any] = {
        "tree": DecisionTreeClassifier(random_state=0),
        "forest": RandomForestClassifier(n_estimators=3, random_state=0),
        "extra": ExtraTreesClassifier(n_estimators=2, random_state=0),
        "hist": HistGradientBoostingClassifier(max_iter=3, random_state=0),
        "boosting": GradientBoostingClassifier(n_estimators=3, random_state=0),
        "ada": AdaBoostClassifier(n_estimators=3, random_state=0),
        "logistic": LogisticRegression(),
        "neighbours": KNeighborsClassifier(algorithm="brute"),
        "machine": CalibratedClassifierCV(SVC(), cv=2),
        "network": MLPClassifier((4,), max_iter=20, random_state=0),
    }
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, (60, 4)).astype(np.float32)
    y = np.repeat([0, 1, 2], 20)
    x[:, 1] += y
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return made[name].fit(x, y)


def broken(content: bytes, rng: np.random.Generator) -> bytes:
    """The archive with one to three numbers of its arrays, or of what it says of them, changed."""
    source = zipfile.ZipFile(io.BytesIO(content))
    files = {name: source.read(name) for name in source.namelist()}
    for _ in range(rng.integers(1, 4)):
        arrays = [name for name in files if name.endswith(".npy")]
        if arrays and rng.random() < 0.75:
            name = str(rng.choice(arrays))
            files[name] = other_array(files[name], rng)
        else:
            files["schema.json"] = other_numbers(files["schema.json"], rng)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, each in files.items():
            archive.writestr(name, each)
    return out.getvalue()


def other_array(content: bytes, rng: np.random.Generator) -> bytes:
    array = np.load(io.BytesIO(content))
    if array.size and rng.random() < 0.15:
        array = array[: rng.integers(0, len(array))] if array.ndim else array
    elif array.size:
        flat = array.reshape(-1).copy()
        at = rng.integers(0, len(flat))
        if flat.dtype.names:
            field = str(rng.choice(flat.dtype.names))
            flat[field][at] = value_for(flat.dtype[field], rng)
        else:
            flat[at] = value_for(flat.dtype, rng)
        array = flat.reshape(array.shape)
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def value_for(dtype: np.dtype, rng: np.random.Generator) -> Any:
    if dtype.kind == "f":
        return float(rng.choice(STRANGE))
    return np.array([int(EXTREME[rng.integers(0, len(EXTREME))])]).astype(dtype)[0]


def other_numbers(content: bytes, rng: np.random.Generator) -> bytes:
    schema = json.loads(content)
    places: list[tuple[Any, Any]] = []
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        for key, value in part.items() if isinstance(part, dict) else enumerate(part):
            if isinstance(value, dict | list):
                waiting.append(value)
            elif key == "content" and isinstance(value, str) and value.lstrip("-")[:1].isdigit():
                places.append((part, key))
    if places:
        part, key = places[rng.integers(0, len(places))]
        part[key] = str(EXTREME[rng.integers(0, len(EXTREME))])
    return json.dumps(schema).encode()


def main() -> None:
    from mycroft_fl.claims import check_archive
    from mycroft_fl.models.weight_archive import Wanted, opened, predict_probes

    name, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    model = fitted(name)
    content = skops.io.dumps(model)
    predict_probes(opened(content, Wanted(type(model), 3)))  # whole, it is read
    read = refused = 0
    warnings.simplefilter("ignore")
    for seed in range(first, first + count):
        other = broken(content, np.random.default_rng(seed))
        print("seed", seed, file=sys.stderr, flush=True)
        signal.alarm(A_WHILE)
        try:
            check_archive(io.BytesIO(other))
            predict_probes(opened(other, Wanted(type(model), 3)))
            read += 1
        except Exception:
            refused += 1
    print(read, refused)


if __name__ == "__main__":
    main()
