"""`study` and `read_study`: a grid of runs as one frame."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

import pandas as pd
import tomli_w

from mycroft_fl.errors import SettingError
from mycroft_fl.report.study.folder import Study
from mycroft_fl.report.study.folder import read_study as read_folder
from mycroft_fl.report.writing import write_report

STUDIES = Path("studies")


class StudyResult:
    """A study as far as it has come.

    Example:
        >>> import mycroft_fl as mf
        >>> tiny = {"seeds": [0], "run": {"scenario": "rotated-digits", "owners": 2, "budget": 20,
        ...     "num-rounds": 1, "pilot-per-owner": 10, "fit.epochs": 1, "scoring.repeats": 1},
        ...     "grid": {"method": ["random"]}}
        >>> mf.study(tiny, out="one").summary("disclosed")["mean"].tolist()
        [20.0]
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.study: Study = read_folder(folder)

    @property
    def frame(self) -> pd.DataFrame:
        """A row for each finished cell: the settings that vary, the seed, and what was measured."""
        return pd.DataFrame(list(self.study.rows))

    def summary(self, measure: str = "hard") -> pd.DataFrame:
        """Return mean, standard deviation and number of seeds of a measure, for each combination.

        `SettingError` for a measure that no cell has.

        Args:
            measure: a column of `frame`, such as "hard", "test" or "disclosed".
        """
        frame = self.frame
        if measure not in frame:
            raise SettingError(f"no cell has '{measure}'; choose from {list(frame.columns)}")
        keys = ["part", *(axis.key for axis in self.study.axes)]
        return frame.groupby(keys, dropna=False)[measure].agg(["mean", "std", "count"])

    def report(self, out: str | Path | None = None) -> Path:
        """Write the report, one page of HTML, and return its path.

        Args:
            out: the folder to write into; None for the study's own.
        """
        return write_report(self.folder, None if out is None else Path(out))

    def __repr__(self) -> str:
        return (
            f"StudyResult of {self.study.title}: {len(self.study.rows)} of {self.study.cells} cells"
        )

    def _repr_html_(self) -> str:
        return str(self.frame.to_html(index=False, na_rep=""))


def study(
    asked_for: str | Path | Mapping[str, Any],
    *,
    out: str | Path | None = None,
    jobs: int = 1,
    retry: bool = False,
    progress: bool | None = None,
) -> StudyResult:
    """Run what a folder lacks of a study; the same call goes on where it stopped.

    Worker processes read modules of one's own anew: a method or model is an import path.

    Args:
        asked_for: a packaged study's name, a TOML file, or a mapping in the form of such a file.
        out: the study's folder, new or one to go on in; None for studies/NAME. A mapping needs one.
        jobs: cells at a time.
        retry: whether cells that failed before are computed again.
        progress: whether lines are shown; None for in a terminal.

    Raises:
        InputError: whatever is wrong with the study or the folder, before anything runs.

    Example:
        >>> tiny = {"seeds": [0], "run": {"scenario": "rotated-digits", "owners": 2, "budget": 20,
        ...     "num-rounds": 1, "pilot-per-owner": 10, "fit.epochs": 1, "scoring.repeats": 1},
        ...     "grid": {"method": ["random", "features"]}}
        >>> len(study(tiny, out="tiny").frame)
        2
    """
    from simulations.study.run import run_study
    from simulations.study.workers import WorkerSettings

    if jobs < 1:
        raise SettingError(f"jobs is {jobs}; give a whole number of at least 1")
    folder, name = _folder(asked_for, out), asked_for
    if isinstance(asked_for, Mapping):
        import tempfile

        with tempfile.TemporaryDirectory(prefix="mycroft-") as place:
            file = Path(place) / f"{folder.name}.toml"
            file.write_text(tomli_w.dumps(dict(asked_for)), encoding="utf-8")
            run_study(file, folder, WorkerSettings(jobs), retry=retry, stream=_stream(progress))
    else:
        run_study(str(name), folder, WorkerSettings(jobs), retry=retry, stream=_stream(progress))
    return StudyResult(folder)


def read_study(folder: str | Path) -> StudyResult:
    """Read a study's folder, finished or not. `DataError` where it is none.

    Example:
        >>> read_study("nowhere")
        Traceback (most recent call last):
        mycroft_fl.errors.DataError: ...
    """
    return StudyResult(Path(folder).absolute())


def _folder(asked_for: Any, out: str | Path | None) -> Path:
    if out is not None:
        return Path(out).absolute()
    if isinstance(asked_for, Mapping):
        raise SettingError("a study that no file describes needs a folder; give out=")
    return (STUDIES / Path(asked_for).stem).absolute()


def _stream(wanted: bool | None) -> TextIO:
    shows = sys.stderr.isatty() if wanted is None else wanted
    return sys.stderr if shows else StringIO()
