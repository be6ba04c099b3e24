"""The result of a run as an object: ranking, models, what was acquired, a report, and its folder."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mycroft_fl.data.task import Task
from mycroft_fl.errors import InputError, SettingError
from mycroft_fl.foreign_text import cleaned
from mycroft_fl.models.estimators import Estimator
from mycroft_fl.models.fitting import AnyModel
from mycroft_fl.models.own import OwnNetwork
from mycroft_fl.models.own_estimators import as_columns
from mycroft_fl.report.run.files import read_run as read_files
from mycroft_fl.report.run.summary import REFERENCES, headline
from mycroft_fl.report.writing import write_report
from mycroft_fl.texts import as_texts, is_text
from strategies.runs.folder import LOOK, RunFolder
from strategies.runs.outcome import saved_model

RANKING = (
    "rank", "owner", "status", "score", "low", "high", "loss_fall", "loss_low", "loss_high",
    "stock", "disclosed", "holds",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Acquired:
    """The examples that owners handed over, in the order of their coming.

    Attributes:
        owner: whose each is.
        x: images (n c h w, bytes) or vectors (n d).
        y: the class of each, by name where the run knows them.
        rows: a table's rows as they stood, up to rounding; None for images and arrays.
    """

    owner: np.ndarray
    x: np.ndarray
    y: np.ndarray
    rows: pd.DataFrame | None = None

    def __len__(self) -> int:
        return len(self.y)

    def frame(self) -> pd.DataFrame:
        """Return owner and label of each as a DataFrame, with a table's columns or the text beside them."""
        known = pd.DataFrame({"owner": self.owner, "label": self.y})
        if is_text(self.x):
            return known.assign(text=as_texts(self.x))
        return known if self.rows is None else pd.concat([known, self.rows], axis=1)


class RunResult:
    """The result of `rank` or `simulate`.

    Example:
        >>> import mycroft_fl as mf
        >>> result = mf.simulate("rotated-digits", owners=2, budget=20, num_rounds=1,
        ...     pilot_per_owner=10, fit_epochs=2, scoring_repeats=1)
        >>> sorted(result.ranking["owner"])
        ['a', 'b']
        >>> result.save("my-run").name
        'my-run'
    """

    def __init__(
        self, folder: Path, task: Task | None = None, final: AnyModel | None = None
    ) -> None:
        self._files = read_files(folder)
        self.folder = folder
        self._task, self._final = task, final

    @property
    def result(self) -> Mapping[str, Any]:
        """All of it as plain values, as result.json holds it."""
        return self._files.result

    @cached_property
    def ranking(self) -> pd.DataFrame:
        """The owners from first to last, a row each; see the page of results for the columns."""
        owners = pd.DataFrame(self._files.result["owners"])
        columns = [name for name in RANKING if name in owners]
        ranking = owners[columns].astype({"rank": "Int64"})
        return ranking.dropna(axis="columns", how="all") if len(ranking) else ranking

    @cached_property
    def models(self) -> pd.DataFrame:
        """The share of test examples that each model gets right; empty where there were none."""
        result = self._files.result
        rows = {
            label: {"failures": result[key]["hard"], "test": result[key]["test"]}
            | dict(result[key].get("groups") or {})
            for key, label in REFERENCES
            if key in result
        }
        return pd.DataFrame.from_dict(rows, orient="index")

    @cached_property
    def described(self) -> list[dict[str, Any]]:
        """What each owner showed before round 1, as plain values; empty unless the run had look = true."""
        return RunFolder(self.folder).read_json(LOOK) or []

    @property
    def answer(self) -> str:
        """The answer in one line: what was disclosed, and what it brought."""
        return cleaned(headline(self._files.result), 1 << 12)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names by label."""
        return self._files.classes or ()

    @cached_property
    def model(self) -> Any:
        """The final model: a torch.nn.Module, one's own where one was given, or a classifier.

        Its outputs stand in the order of `classes`. `SettingError` where the run was read from a
        folder that does not say how the model is built.
        """
        final = self._final
        if final is None and self._task is not None:
            final = saved_model(RunFolder(self.folder), "final", self._task)
        if final is None:
            raise SettingError(
                f"{self.folder} keeps the final model's weights in models/, but not how it is built"
            )
        if isinstance(final, OwnNetwork):
            return final.net
        return final.classifier if isinstance(final, Estimator) else final

    @cached_property
    def acquired(self) -> Acquired:
        """The examples that owners handed over."""
        found, names, table = self._files.acquired, self._files.classes, self._files.table
        if found is None or not len(found.y):
            return Acquired(np.empty(0, str), np.empty((0, 0)), np.empty(0, str))
        y = np.array(names)[found.y] if names else found.y
        rows = None if table is None else as_columns(table, found.x)
        return Acquired(found.owner, found.x, y, rows)

    def report(self, out: str | Path | None = None) -> Path:
        """Write the report, one page of HTML, and return its path.

        Args:
            out: the folder to write into; None for the run's own.
        """
        return write_report(self.folder, None if out is None else Path(out))

    def save(self, folder: str | Path) -> Path:
        """Copy the run's folder to `folder`, which is new or empty, and return its path.

        `InputError` where something lies there already.
        """
        place = Path(folder).absolute()
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise InputError(f"{place} is not empty; give a new folder")
        shutil.copytree(self.folder, place, dirs_exist_ok=True)
        place.chmod(0o700)
        return place

    def __repr__(self) -> str:
        return f"{type(self).__name__}\n{self.ranking.to_string(index=False)}\n{self.answer}"

    def _repr_html_(self) -> str:
        from html import escape

        tables = [self.ranking.to_html(index=False, float_format="{:.4g}".format, na_rep="")]
        if len(self.models):
            tables.append(self.models.to_html(float_format="{:.1%}".format, na_rep=""))
        return "".join(tables) + f"<p><b>{escape(self.answer)}</b></p>"


def read_run(folder: str | Path) -> RunResult:
    """Read the result in a run's folder, a simulation's or a real run's.

    `InputError` where there is none, or a file of it is broken.

    Example:
        >>> import mycroft_fl as mf
        >>> mf.read_run("nowhere")
        Traceback (most recent call last):
        mycroft_fl.errors.InputError: there is no folder nowhere; give the folder of a run
    """
    place = Path(folder)
    if not place.is_dir():
        raise InputError(f"there is no folder {place}; give the folder of a run")
    return RunResult(place.absolute())


@contextmanager
def run_folder(out: str | Path | None) -> Iterator[Path]:
    """Give a run its folder inside `with`; one that nobody named is removed where the run fails.

    Args:
        out: where it is kept; None for a folder that goes with its result, see `going_with`.
    """
    if out is not None:
        yield Path(out).absolute()
        return
    place = Path(tempfile.mkdtemp(prefix="mycroft-"))
    try:
        yield place
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def going_with(result: RunResult, out: str | Path | None) -> RunResult:
    """Return the result; a folder that nobody named is removed once nobody holds it any more."""
    if out is None:
        weakref.finalize(result, shutil.rmtree, result.folder, ignore_errors=True)
    return result
