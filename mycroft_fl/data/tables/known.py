"""The tables that have a name: scikit-learn's small ones, and NSL-KDD from its files."""

from __future__ import annotations

import functools
import importlib.metadata
import os
from collections.abc import Callable
from pathlib import Path

from mycroft_fl.data.formats.cache import cache_folder, fingerprint
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.errors import DataError
from mycroft_fl.files import write_whole

NSL_FILES = ("train.csv.gz", "test.csv.gz")


def nsl_kdd() -> DatasetSpec:
    """Describe network connections, `normal` or one of some 40 attacks (Tavallaee et al. 2009).

    The test file holds attacks that the other does not; `difficulty` is no feature.
    """
    root = os.environ.get("MYCROFT_DATA")
    folder = Path(root) / "nsl-kdd" if root else None
    if folder is None or not all((folder / name).is_file() for name in NSL_FILES):
        raise DataError(
            "nsl-kdd is read from files: set MYCROFT_DATA to a folder in which nsl-kdd/ holds "
            f"{' and '.join(NSL_FILES)}, with a header, the columns attack and difficulty last"
        )
    train, test = (str(folder / name) for name in NSL_FILES)
    return DatasetSpec(
        train, label="attack", drop=("difficulty",), test_path=test,
        log=("duration", "src_bytes", "dst_bytes"),
    )  # fmt: skip


def _of_scikit_learn(name: str) -> DatasetSpec:
    """Return a table that scikit-learn ships, written as CSV once."""
    from sklearn import datasets

    version = importlib.metadata.version("scikit-learn")
    path = cache_folder() / f"{name}-{fingerprint(version)}.csv"
    if not path.is_file():
        bunch = getattr(datasets, f"load_{name.replace('-', '_')}")(as_frame=True)
        frame = bunch.frame.rename(columns={"target": "class"})
        frame["class"] = [str(bunch.target_names[label]) for label in frame["class"]]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, frame.to_csv(index=False))
    return DatasetSpec(str(path), label="class")


KNOWN_TABLES: dict[str, Callable[[], DatasetSpec]] = {
    "breast-cancer": functools.partial(_of_scikit_learn, "breast-cancer"),
    "iris": functools.partial(_of_scikit_learn, "iris"),
    "nsl-kdd": nsl_kdd,
    "wine": functools.partial(_of_scikit_learn, "wine"),
}
