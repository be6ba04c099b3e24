"""The folder of a run: what it leaves on disk, and where."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mycroft_fl.claims import MOST_JSON, content_of
from mycroft_fl.data.task import Task
from mycroft_fl.errors import DataError, DiskFull, InputError, MycroftError, RunFailed, one_line
from mycroft_fl.files import (
    OTHERS,
    check_no_way_out,
    disk_full,
    full_disk_said,
    is_full,
    private_folder,
    write_whole,
    written_whole,
)

if TYPE_CHECKING:
    from mycroft_fl.models.fitting import AnyModel
    from strategies.rounds.owner_record import OwnerRecord, RoundRecord
    from strategies.training.failing_groups import FailingGroup

FILES = (
    "result.json", "published.json", "summary.md", "rounds.jsonl", "task.json", "acquired.npz",
    "failures.npz", "error.json", "flower.log", "report.html", "run.json", "outcome.json",
    "unchecked.json", ".lock",
)  # fmt: skip
CHECKPOINTS, PLOTS = "checkpoints", "plots"
PUBLISHED = "published"
LOOK = "described.json"
FOLDERS = ("models", "owners", PUBLISHED, CHECKPOINTS)
MARKER = ".mycroft-run"
GOES_ON = "goes on"
"""In the marker of a folder that was reopened, until its run has gone on."""
PREVIOUS = ".previous"


class RunFolder:
    """One run's folder, for its user alone: it holds what owners handed over.

    Every file is written whole under another name first, then renamed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def prepared(cls, path: Path, *, force: bool) -> RunFolder:
        """Prepare a folder that is new or empty; with `force` an earlier run's files are removed first.

        `InputError` where something is in the way. Only a folder that a run has marked as its own
        is cleared, and of it only what runs write.
        """
        try:
            if cls.is_taken(path, force=force):
                _remove_run(path)
            for name in FOLDERS:
                private_folder(path / name)
            (path / MARKER).touch(mode=0o600)
            _shut(path)
        except OSError as error:
            if is_full(error):
                raise disk_full(error, path) from error
            raise _unwritable(path, error) from error
        return cls(path)

    @classmethod
    def is_taken(cls, path: Path, *, force: bool) -> bool:
        """Return whether an earlier run lies there that `force` would replace; nothing is written.

        `InputError` where something is in the way of a new run.
        """
        try:
            if path.exists() and not path.is_dir():
                raise InputError(f"{path} is a file; give a folder that is new or empty")
            if not path.exists() or not any(path.iterdir()):
                return False
        except OSError as error:
            raise _unwritable(path, error) from error
        if not force:
            raise InputError(
                f"{path} is not empty; give a new folder, or --force to replace the run"
            )
        if not (path / MARKER).is_file():
            raise InputError(
                f"{path} is not the folder of a run, so --force does not clear it; give another"
            )
        return True

    @classmethod
    def check_reopens(cls, path: Path) -> None:
        """Raise `InputError` where no run lies there that could go on."""
        if not (path / MARKER).is_file():
            raise InputError(f"{path} is not the folder of a run; start one there first")

    @classmethod
    def reopened(cls, path: Path) -> RunFolder:
        """Reopen the folder of a run that stopped, for it to go on. `InputError` where there is none."""
        cls.check_reopens(path)
        check_no_way_out(path)
        _shut(path)
        # Nothing is removed before it is sure that the run goes on: see set_rounds.
        (path / MARKER).write_text(GOES_ON)
        return cls(path)

    @classmethod
    @contextmanager
    def replacing(cls, path: Path, *, force: bool) -> Iterator[RunFolder]:
        """Prepare a folder for a run inside `with`.

        An earlier run is put aside, and comes back where bad input, or a full disk, ends the new one
        before its first round has: then nothing is lost and nothing is left half-written. Once a
        round has ended the folder stays, whatever comes after; `RunFailed` says so of bad input.
        """
        aside = path / PREVIOUS
        put_aside = force and (path / MARKER).is_file()
        if put_aside:
            check_no_way_out(path)
            _move_run(path, aside)
        try:
            folder = cls.prepared(path, force=force)
        except MycroftError:
            if put_aside:
                _move_run(aside, path)
                aside.rmdir()
            raise
        try:
            with full_disk_said(path):
                yield folder
        except MycroftError as error:
            if folder.has_come_somewhere():
                raise folder.kept(error) from error
            if isinstance(error, InputError) or (isinstance(error, DiskFull) and aside.is_dir()):
                _put_back(aside, path)
            raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def has_come_somewhere(self) -> bool:
        """Check whether a round has ended here: that work is not thrown away."""
        return (self.path / MARKER).is_file() and (self.path / "rounds.jsonl").exists()

    def kept(self, error: MycroftError) -> MycroftError:
        """Return what to raise for an error of a run whose folder stays; of bad input it says so."""
        if not isinstance(error, InputError):
            return error
        return RunFailed(
            f"{error}\nall that the run came to is kept in {self.path}; go on there with --resume, or "
            "look at its models and rounds.jsonl"
        )

    def is_fresh(self) -> bool:
        """Check whether this is a run's folder that is open to a run: new, or reopened."""
        marker = self.path / MARKER
        if not marker.is_file():
            return False
        return not (self.path / "rounds.jsonl").exists() or marker.read_text() == GOES_ON

    def owner(self, name: str) -> Path:
        """Name the folder that stands for an owner's own disk."""
        return self.path / "owners" / name

    def model(self, name: str, suffix: str = ".safetensors") -> Path:
        """Name the file of a saved model: baseline, control, own-hard-set, free, round-1 ..., final."""
        return self.path / "models" / f"{name}{suffix}"

    def saved(self, name: str) -> Path | None:
        """Find the file of a saved model; None if it is not there."""
        return next((self.path / "models").glob(f"{name}.s*"), None)

    def save_model(self, name: str, model: AnyModel) -> None:
        """Write a model's weights."""
        # Here, since it loads torch: whether a folder is free is looked at without.
        from mycroft_fl.models.weights import save_model, suffix_of

        save_model(model, self.model(name, suffix_of(model)))

    def save_task(self, task: Task) -> None:
        """Write what an acquired example's arrays mean: class names, and a table's columns."""
        table = task.table.as_dict() if task.table else None
        self.save_json("task.json", {"classes": list(task.classes), "table": table})

    def add_round(self, record: RoundRecord) -> None:
        """Append a round to `rounds.jsonl`, durable when this returns."""
        place = os.open(self.path / "rounds.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(place, "a") as lines:
            lines.write(json.dumps(record.as_json()) + "\n")
            lines.flush()
            os.fsync(lines.fileno())

    def set_rounds(self, records: Sequence[RoundRecord]) -> None:
        """Begin `rounds.jsonl` with the rounds that a resumed run had; none where it is new."""
        # Of an earlier end nothing stays, once it is sure that the run goes on.
        for name in ("rounds.jsonl", "error.json"):
            (self.path / name).unlink(missing_ok=True)
        (self.path / MARKER).write_text("")
        if records:
            lines = [json.dumps(each.as_json()) + "\n" for each in records]
            self.save_text("rounds.jsonl", "".join(lines))

    def save_acquired(self, records: Sequence[OwnerRecord]) -> None:
        """Write all acquired examples with the owner and the order of arrival of each."""
        parts = [
            (each.owner, answer, part)
            for each in records
            for answer, part in enumerate(each.acquired, start=1)
        ]
        arrays: dict[str, np.ndarray] = {
            "owner": np.repeat(
                [owner for owner, _, _ in parts], [len(part) for _, _, part in parts]
            ),
            "answer": np.repeat([n for _, n, _ in parts], [len(part) for _, _, part in parts]),
        }
        if parts:
            arrays["x"] = np.concatenate([part.x for _, _, part in parts])
            arrays["y"] = np.concatenate([part.y for _, _, part in parts])
        with written_whole(self.path / "acquired.npz") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    def save_failures(self, groups: Sequence[FailingGroup]) -> None:
        """Write typical failures of each group, with what the model takes them for."""
        arrays: dict[str, np.ndarray] = {
            "group": np.repeat(np.arange(len(groups)), [len(each.typical) for each in groups]),
        }
        if groups:
            arrays["x"] = np.concatenate([each.typical.x for each in groups])
            arrays["y"] = np.concatenate([each.typical.y for each in groups])
            arrays["taken_for"] = np.concatenate([each.answers for each in groups])
        with written_whole(self.path / "failures.npz") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    def save_json(self, name: str, content: Any) -> None:
        """Write `content` as readable JSON."""
        self.save_text(name, json.dumps(content, indent=2) + "\n")

    def save_text(self, name: str, text: str) -> None:
        """Write a text file whole."""
        write_whole(self.path / name, text)

    def read_json(self, name: str) -> Any:
        """Read a JSON file of the run; None if it is not there. `DataError` on another's."""
        path = self.path / name
        if not path.is_file():
            return None
        try:
            return json.loads(content_of(path, MOST_JSON))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(
                f"{path} is no whole JSON ({one_line(error)}); start a new run, or restore the file"
            ) from error


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path} cannot be written: {error.strerror}; give another folder")


def _shut(path: Path) -> None:
    """Take from others what they may do in a folder of ours, whatever the umask that made it."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & OTHERS:
        try:
            path.chmod(mode & ~OTHERS)
        except OSError as error:
            raise InputError(
                f"{path} is another user's and open to others, and it would hold owners' records; give "
                "a folder of your own"
            ) from error


def _put_back(aside: Path, path: Path) -> None:
    """Leave a folder as it was before a run that came to nothing: with the earlier run, or none."""
    _remove_run(path)
    if aside.is_dir():
        _move_run(aside, path)
        return
    (path / MARKER).unlink()
    with suppress(OSError):  # what else lies there is not ours
        path.rmdir()


def _move_run(source: Path, to: Path) -> None:
    """Move a run's files and folders to a folder on the same disk."""
    private_folder(to)
    for name in (*FILES, *FOLDERS, PLOTS):
        if (source / name).exists():
            (source / name).rename(to / name)


def _remove_run(path: Path) -> None:
    for name in FILES:
        (path / name).unlink(missing_ok=True)
    for name in (*FOLDERS, PLOTS):
        shutil.rmtree(path / name, ignore_errors=True)
