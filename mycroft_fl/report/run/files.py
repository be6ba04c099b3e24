"""The files of a run's folder, read and checked for a report; nothing in them is trusted."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mycroft_fl.claims import MOST_JSON, content_of, read_npz
from mycroft_fl.data.formats.files import UNREADABLE
from mycroft_fl.data.tables.schema import TableSchema
from mycroft_fl.errors import DataError, InputError
from mycroft_fl.report.run.schema import check_result

RESULT, OUTCOME = "result.json", "outcome.json"
"""The result of a simulation, and of a real run."""
AGAIN = {RESULT: "run the scenario again", OUTCOME: "run the task again"}


@dataclass(frozen=True, eq=False)
class Acquired:
    """The examples that owners disclosed: of each its owner, the answer it came in, x and y."""

    owner: np.ndarray
    answer: np.ndarray
    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True, eq=False)
class Failures:
    """Typical failures: of each its group, x, its label, and what the model takes it for."""

    group: np.ndarray
    x: np.ndarray
    y: np.ndarray
    taken_for: np.ndarray

    def of(self, group: int) -> Failures:
        """Give those of one group."""
        return self._at(np.flatnonzero(self.group == group))

    def first(self, count: int) -> Failures:
        """Give no more than so many."""
        return self._at(np.arange(min(count, len(self.y))))

    def _at(self, rows: np.ndarray) -> Failures:
        return Failures(self.group[rows], self.x[rows], self.y[rows], self.taken_for[rows])


@dataclass(frozen=True, eq=False)
class RunFiles:
    """A run's result, what its examples mean, and those that were disclosed.

    `classes`, `table` and `acquired` are None where the folder does not say: older runs kept no
    task.json, and a result may have been copied without the examples; so is `failures`. `name` is the
    result's file, `digest` its SHA-256.
    """

    result: dict[str, Any]
    name: str
    digest: str
    classes: tuple[str, ...] | None
    table: TableSchema | None
    acquired: Acquired | None
    failures: Failures | None = None


def result_file(folder: Path) -> Path | None:
    """Find the result in the folder of a simulated or a real run; None where there is neither."""
    found = (folder / name for name in (RESULT, OUTCOME))
    return next((path for path in found if path.is_file()), None)


def read_run(folder: Path) -> RunFiles:
    """Read a run's files. `DataError` naming the file that is broken, and what to do."""
    path = result_file(folder) or folder / RESULT
    raw = read_bytes(path)
    result = parsed(path, raw)
    try:
        check_result(result)
        _check_scores(result)
    except DataError as error:
        raise DataError(f"{path}: {_first_line(error)}; {AGAIN[path.name]}") from error
    classes, table = _task(folder / "task.json")
    acquired = _acquired(folder / "acquired.npz")
    digest = hashlib.sha256(raw).hexdigest()
    failures = _failures(folder / "failures.npz", len(result.get("failing", [])))
    return RunFiles(result, path.name, digest, classes, table, acquired, failures)


def read_bytes(path: Path) -> bytes:
    """Read a file's content. `DataError` where it cannot be read or is beyond all reason."""
    try:
        return content_of(path, MOST_JSON)
    except ValueError as error:
        raise DataError(f"{path} is not ours ({error}); remove it") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def parsed(path: Path, raw: bytes) -> Any:
    """Parse the JSON in a file's bytes. `DataError` naming the place where it breaks off."""
    try:
        return json.loads(raw, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is no whole JSON ({_first_line(error)}); run it again, or restore the file"
        ) from error


def no_result(folder: Path) -> InputError:
    """Say why there is nothing to report in a folder: a failed run, one under way, or neither."""
    failure = folder / "error.json"
    if failure.is_file():
        failure_file = parsed(failure, read_bytes(failure))
        message = failure_file.get("message") if isinstance(failure_file, dict) else None
        return InputError(f"{folder}: the run failed and left no result: {_first_line(message)}")
    if (folder / "rounds.jsonl").is_file():
        return InputError(f"{folder}: the run has not ended: there is no result.json yet")
    return InputError(
        f"{folder} holds neither result.json nor study.json; give the folder of a run or of a study"
    )


def _check_scores(result: dict[str, Any]) -> None:
    for each in result["owners"]:
        known = {each[key] is not None for key in ("score", "low", "high")}
        if len(known) > 1:
            raise DataError(
                f"not a whole result: owner '{each['owner'][:60]}' has a score or an interval, not both"
            )


def _task(path: Path) -> tuple[tuple[str, ...] | None, TableSchema | None]:
    if not path.is_file():
        return None, None
    content = parsed(path, read_bytes(path))
    try:
        classes = tuple(str(name) for name in content["classes"])
        table = content["table"]
        return classes, None if table is None else TableSchema.from_dict(table)
    except (DataError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} does not describe a task; remove it to report without class names"
        ) from error


def _acquired(path: Path) -> Acquired | None:
    saved = _arrays(
        path, {"owner": "U", "answer": "iu", "y": "iu", "x": "uf"}, "what was disclosed"
    )
    return None if saved is None else Acquired(**saved)


def _failures(path: Path, groups: int) -> Failures | None:
    """Read typical failures of so many groups; None where there are none."""
    kinds = {"group": "iu", "y": "iu", "taken_for": "iu", "x": "uf"}
    without = "what the baseline fails on"
    saved = _arrays(path, kinds, without) if groups else None
    if saved is None:
        return None
    if not set(saved["group"].tolist()) <= set(range(groups)):
        raise DataError(_unusable(path, "it is of another run", without))
    return Failures(**saved)


def _arrays(path: Path, kinds: Mapping[str, str], without: str) -> dict[str, np.ndarray] | None:
    """Read arrays of one length, each of its kind; None where there is no file."""
    if not path.is_file():
        return None
    try:
        saved = read_npz(path, set(kinds))
        if "x" not in saved and all(each.shape == (0,) for each in saved.values()):
            # Of nothing there is no kind to be saved.
            return {name: np.empty((0, 1) if name == "x" else 0) for name in kinds}
        found = {name: saved[name] for name in kinds}
    except (*UNREADABLE, KeyError) as error:
        raise DataError(_unusable(path, _first_line(error), without)) from error
    whole = all(
        each.dtype.kind in kinds[name] and each.ndim in ((2, 4) if name == "x" else (1,))
        for name, each in found.items()
    )
    if not whole or len({len(each) for each in found.values()}) > 1:
        raise DataError(_unusable(path, "its arrays do not belong together", without))
    x = found["x"]
    if x.ndim == 4 and (0 in x.shape[1:] or not np.isfinite(x).all()):
        raise DataError(_unusable(path, "its images have no pixels, or no finite ones", without))
    return found


def _unusable(path: Path, why: str, without: str) -> str:
    return f"{path} cannot be used ({why}); remove it to report without {without}"


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    if not math.isfinite(float(text)):
        raise ValueError(f"{text[:30]} is beyond all numbers")
    return float(text)


def _first_line(text: object) -> str:
    lines = str(text).splitlines()
    return lines[0][:300] if lines else "no reason was kept"
