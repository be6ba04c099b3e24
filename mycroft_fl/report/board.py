"""A run's result for TensorBoard: accuracies by round, settings beside what they led to, metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.files import check_no_way_out
from mycroft_fl.report.run.files import RESULT, parsed, read_bytes, result_file
from mycroft_fl.report.run.schema import check_result
from mycroft_fl.report.run.summary import subject
from mycroft_fl.report.study.folder import CELLS, DONE, PART, as_field, is_study, read_study

REFERENCES = ("baseline", "control", "own_hard_set", "free", "random", "final")
METADATA = ("scenario", "task", "method", "engine", "seed", "settings", "environment", "warnings")
CELL = re.compile(r"[0-9a-f]{1,64}")
SAFE = re.compile(r"[^A-Za-z0-9=.,_-]")
LONGEST = 200  # of a run's name, which becomes a folder's
Result = Mapping[str, Any]


def check_board() -> None:
    """Raise `SettingError` where TensorBoard is not installed."""
    try:
        import tensorboard  # noqa: F401
    except ImportError as error:
        raise SettingError(
            "this needs TensorBoard: pip install 'mycroft-fl[tensorboard]'"
        ) from error


def write_board(result: Result, folder: Path, name: str) -> None:
    """Write a result as TensorBoard's run `name` below `folder`; an earlier one of that name goes.

    Under Scalars: accuracy on the failures and the whole test, and what was disclosed, by round (step);
    each reference at step 0. Under HParams: the settings, with the final figures. Under Text: what
    Flower calls a run's metadata: its app and settings, and with what it was computed.
    """
    check_board()
    from torch.utils.tensorboard import SummaryWriter, summary

    hparams: Any = summary.hparams  # torch does not type it
    place = folder / name
    for old in place.glob("events.out.tfevents.*"):
        old.unlink()
    with SummaryWriter(str(place)) as writer:
        for tag, step, value in scalars(result):
            writer.add_scalar(tag, value, step)
        reached = final_figures(result)
        for part in hparams(settings(result), reached):
            writer.file_writer.add_summary(part)
        for tag, value in reached.items():
            writer.add_scalar(tag, value, 0)
        metadata = json.dumps({key: result[key] for key in METADATA if key in result}, indent=2)
        writer.add_text("run", "\n".join(f"    {line}" for line in metadata.splitlines()))


def boards(folder: Path) -> Iterator[tuple[str, Result]]:
    """Name and result of the run in `folder`, or of every finished cell of the study there.

    Raises `DataError` where there is neither, or what there is cannot be read.
    """
    check_no_way_out(folder)
    if not is_study(folder):
        yield folder.name, _result(folder)
        return
    study = read_study(folder)
    for row in study.rows:
        if row["status"] == DONE:
            if not CELL.fullmatch(row["digest"]):
                raise DataError(f"{folder}: a row of cells.csv names a cell that none is called")
            keys = [f"{axis.key}={as_field(row[axis.key])}" for axis in study.axes if row[axis.key]]
            name = SAFE.sub(
                "_", ",".join([*filter(None, [row[PART]]), *keys, f"seed={row['seed']}"])
            )
            yield name[:LONGEST], _result(folder / CELLS / row["digest"])


def _result(folder: Path) -> Result:
    try:
        path = result_file(folder) or folder / RESULT
        result = parsed(path, read_bytes(path))
    except DataError as error:
        raise DataError(
            f"{folder} holds neither a finished run nor a study: {error}; give such a folder"
        ) from error
    check_result(result)
    return dict(result)


def scalars(result: Result) -> Iterator[tuple[str, int, float]]:
    """Tag, round and value of everything that has a course over rounds, references at round 0."""
    for name in REFERENCES:
        for key, value in _reached(result.get(name, {})):
            yield f"{name}/{key}", 0, value
    disclosed = 0
    for record in result["rounds"]:
        disclosed += record["disclosed"]
        for key, value in _reached(record):
            yield f"rounds/{key}", record["round"], value
        yield "rounds/disclosed", record["round"], disclosed
        yield "rounds/seconds", record["round"], record["seconds"]


def settings(result: Result) -> dict[str, bool | int | float | str]:
    """Return the settings as TensorBoard takes them: what is no number or word is JSON."""
    settings_of_run = {
        "scenario": subject(result),
        "engine": result["engine"],
        **result["settings"],
    }
    return {
        key: value if isinstance(value, bool | int | float | str) else json.dumps(value)
        for key, value in settings_of_run.items()
    }


def final_figures(result: Result) -> dict[str, float]:
    """Return what a run is judged by."""
    reached = dict(_reached(result.get("final", {})))
    found = {f"hparam/{key}": float(value) for key, value in reached.items()}
    for name in ("own_hard_set", "free"):
        rival = dict(_reached(result.get(name, {})))
        if "hard" in reached and "hard" in rival:
            found[f"hparam/over_{name}"] = reached["hard"] - rival["hard"]
    return {**found, "hparam/disclosed": float(result["disclosed"])}


def _reached(part: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """List the accuracies in a part of a result that are known."""
    for key in ("hard", "test"):
        if part.get(key) is not None:
            yield key, part[key]
