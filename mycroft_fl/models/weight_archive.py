"""A classifier in skops, read as a stranger's: looked at, tried in a process that may die, then used."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mycroft_fl.claims import check_archive, most_bytes
from mycroft_fl.data.tables.schema import TableSchema
from mycroft_fl.models.own_estimators import as_columns, probes

TRUSTED = frozenset({
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    # Plain objects of numbers and of parts that are looked at themselves.
    "sklearn.calibration._CalibratedClassifier", "sklearn.calibration._SigmoidCalibration",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.ConstantKernel", "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
})  # fmt: skip
"""Types that a file of weights may hold beyond those that skops trusts by itself."""
SECONDS_SETTING = "MYCROFT_TRIAL_SECONDS"
SECONDS = 120
"""How long the trial may compute, where the setting does not say; a thousand trees take five."""
BESIDES = 6 << 30
"""Address space of a Python with scikit-learn, beside what the file's content takes."""
SAID = 3
PROBES = 32
_sound: set[bytes] = set()
"""Digests of files that this process wrote, or has had tried."""


def note_ours(content: bytes) -> None:
    """Remember a file's content as our own: it needs no trial."""
    _sound.add(hashlib.sha256(content).digest())


@dataclass(frozen=True)
class Wanted:
    """The classifier that a file must hold.

    `trusted` are the types that its user's own one is made of, and `table` says how rows become
    the columns that it takes, None where it takes numbers.
    """

    kind: type
    num_classes: int
    trusted: tuple[str, ...] = ()
    table: TableSchema | None = None


def classifier_in(content: bytes, wanted: Wanted) -> Any:
    """Return the fitted classifier of that kind in a skops file. `ValueError` where it is none, or unsound.

    A flaw that no check here foresaw ends another process and not this one.
    """
    check_archive(io.BytesIO(content))
    digest = hashlib.sha256(content).digest()
    if digest not in _sound:
        _try(content, wanted)
        _sound.add(digest)
    return opened(content, wanted)


def strangers(content: bytes, wanted: Wanted) -> list[str]:
    """Name the types in a skops file that nobody trusts: of such a file nothing is read."""
    from skops.io import get_untrusted_types

    return sorted(set(get_untrusted_types(data=content)) - _trusted(wanted))


def _trusted(wanted: Wanted) -> frozenset[str]:
    kind = wanted.kind
    return TRUSTED | {f"{kind.__module__}.{kind.__qualname__}", *wanted.trusted}


def opened(content: bytes, wanted: Wanted) -> Any:
    """Return the classifier in a skops file, its parts checked. `ValueError` on whatever is wrong."""
    from skops.io import loads

    from mycroft_fl.models.soundness import check_estimator

    kind, num_classes = wanted.kind, wanted.num_classes
    if unknown := strangers(content, wanted):
        raise ValueError(f"it asks for {', '.join(unknown)[:300]}, which are not trusted here")
    classifier = loads(content, trusted=sorted(_trusted(wanted)))
    if type(classifier) is not kind:
        raise ValueError(f"it holds a {type(classifier).__name__}, not a {kind.__name__}")
    known = np.asarray(getattr(classifier, "classes_", []))
    if not (
        known.dtype.kind in "iu" and known.ndim == 1 and len(known)
        and known[0] >= 0 and known[-1] < num_classes and (np.diff(known.astype(np.int64)) > 0).all()
    ):  # fmt: skip
        raise ValueError(
            f"it was not fitted on labels 0 to {num_classes - 1}; fit it on the task's labels"
        )
    check_estimator(classifier)
    return classifier


def _try(content: bytes, wanted: Wanted) -> None:
    """Have another process read the file and predict with it. `ValueError` where that does not end well."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    path = os.pathsep.join(each or str(Path.cwd()) for each in sys.path)
    kind, table = wanted.kind, wanted.table and wanted.table.as_dict()
    said = {
        "kind": [kind.__module__, kind.__qualname__],
        "num_classes": wanted.num_classes,
        "trusted": wanted.trusted,
        "table": table,
    }
    head = json.dumps(said).encode() + b"\n"
    try:
        ran = subprocess.run(
            [sys.executable, "-m", __name__], input=head + content, capture_output=True,
            timeout=10 * _seconds(), check=False,
            env={**os.environ, **threads, "PYTHONPATH": path},
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ValueError("reading it, or predicting with it, does not end") from error
    if ran.returncode == SAID:
        raise ValueError(ran.stdout.decode("utf-8", "replace").strip()[-500:])
    if ran.returncode:
        raise ValueError(f"it ends the process that reads it (status {ran.returncode})")


def _seconds() -> int:
    given = os.environ.get(SECONDS_SETTING, "")
    return int(given) if given.isdigit() and 0 < int(given) <= 86400 else SECONDS


def predict_probes(classifier: Any, table: TableSchema | None = None) -> None:
    """Predict rows of many sizes. `ValueError` where probabilities are not what they must be."""
    rng = np.random.default_rng(0)
    features = table.width if table else int(classifier.n_features_in_)
    if not 1 <= features <= 10_000_000:
        raise ValueError(f"it takes {features} features")
    sizes = np.array([0.0, 1e-3, 1.0, 30.0, 1e4, 1e30])[np.arange(PROBES) % 6, None]
    x = (rng.standard_normal((PROBES, features)) * sizes).astype(np.float32)
    rows = x if table is None else as_columns(table, probes(table, x))
    probabilities = np.asarray(classifier.predict_proba(rows))
    if probabilities.shape != (PROBES, len(classifier.classes_)):
        raise ValueError(f"it gives probabilities of shape {probabilities.shape}")


def main() -> int:
    """Run the trial: this module as a program, the file on its standard input."""
    said = json.loads(sys.stdin.buffer.readline())
    module, name = said["kind"]
    space = BESIDES + 2 * most_bytes()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (_seconds(), _seconds()))
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    try:
        kind: Any = importlib.import_module(module)
        for each in name.split("."):
            kind = getattr(kind, each)
        table = TableSchema.from_dict(said["table"]) if said["table"] else None
        wanted = Wanted(kind, int(said["num_classes"]), tuple(said["trusted"]), table)
        predict_probes(opened(sys.stdin.buffer.read(), wanted), table)
    except Exception as error:  # whatever a library says of a broken file
        text = " ".join(str(error).split()) or type(error).__name__
        print(text[:500])
        return SAID
    return 0


if __name__ == "__main__":
    sys.exit(main())
