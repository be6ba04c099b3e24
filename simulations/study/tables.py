"""A study's rows as a Parquet file, for whoever goes on with pandas, Polars or DuckDB."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mycroft_fl.files import written_whole
from mycroft_fl.report.study.folder import MEASURES, Axis, Row

log = logging.getLogger(__name__)


def write_parquet(path: Path, rows: Sequence[Row], axes: Sequence[Axis]) -> None:
    """Write `rows`, whole or not at all; nothing where pyarrow is not installed.

    Measures are numbers, missing ones null. A column has one type: an axis whose values are not
    all numbers is text, what is no text as JSON.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        log.info("no %s: that needs pip install 'mycroft-fl[parquet]'", path.name)
        return
    texts = {axis.key for axis in axes if not _is_numeric(axis)}
    columns: dict[str, list[Any]] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        if name in texts:
            values = [_as_text(value) for value in values]
        elif name in MEASURES:
            values = [None if value is None else float(value) for value in values]
        columns[name] = values
    with written_whole(path) as file:
        parquet.write_table(pyarrow.table(columns), file)


def _is_numeric(axis: Axis) -> bool:
    return all(type(value) in (int, float) for value in axis.values)


def _as_text(value: Any) -> str | None:
    return value if isinstance(value, str | None) else json.dumps(value)
