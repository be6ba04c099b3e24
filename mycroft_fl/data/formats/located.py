"""The place of a data set's file: beside the file that names it, or in the folder of all data sets."""

from __future__ import annotations

import os
from pathlib import Path

from mycroft_fl.data.formats.cache import cache_folder
from mycroft_fl.errors import DataError

MARK = "$MYCROFT_DATA/"
"""Begins the path of a file in the folder of data sets; no other variable is looked up."""
SOURCES = {
    "pacs": "PACS (Li et al. 2017) as photo.zip, art_painting.zip, cartoon.zip and sketch.zip, "
    "each of <class>/<image>, all images of 112 x 112 pixels",
    "clinc150": "CLINC150 (Larson et al. 2019) as train.csv.gz, val.csv.gz and test.csv.gz with the "
    "columns text, intent and domain, then run python -m benchmarks.sentences clinc150",
    "heart-hospitals": "heart.csv, the four files of UCI's Heart Disease (dataset 45) as one table, with "
    "the columns hospital (cleveland, hungarian, switzerland, va-long-beach) and disease (yes, no)",
    "diabetes-130": "diabetes.csv.gz, which is diabetic_data.csv of UCI's Diabetes 130-US Hospitals "
    "(dataset 296), compressed",
}


def located(name: str, base: Path) -> Path:
    """Return the path of a data set's file, a relative one taken from `base`.

    One that begins with `$MYCROFT_DATA/` lies in the folder of that name, else in the cache's
    folder, where the project's own scripts put what they make. Raises `DataError`, which says
    what to put where, if it lies in neither.
    """
    if not name.startswith(MARK):
        return (base / Path(name).expanduser()).absolute()
    inner = name.removeprefix(MARK)
    root = os.environ.get("MYCROFT_DATA")
    folders = [Path(root).expanduser().absolute()] if root else []
    for folder in [*folders, cache_folder()]:
        if (folder / inner).exists():
            return folder / inner
    raise DataError(_absent(inner, folders))


def _absent(inner: str, folders: list[Path]) -> str:
    known, _, file = inner.rpartition("/")
    what = SOURCES.get(known, file)
    if not folders:
        return (
            f"there is no {inner}, for MYCROFT_DATA is not set; set it to a folder, and put into its "
            f"folder {known or '.'}: {what}"
        )
    return f"{folders[0]} (MYCROFT_DATA) holds no {inner}; put into {folders[0] / known}: {what}"
