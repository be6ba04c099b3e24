"""A study's rows as tables: a Parquet file for pandas, Polars or DuckDB, and means for a terminal."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mycroft_fl.files import written_whole
from mycroft_fl.report.study.folder import DONE, MEASURES, PART, Axis, Row, as_field
from mycroft_fl.statistics import over_seeds

log = logging.getLogger(__name__)
SHOWN = (
    ("failures", "hard"),
    ("own hard set", "own_hard_set_hard"),
    ("free", "free_hard"),
    ("whole test", "test"),
)


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


def summary_rows(rows: Sequence[Row], axes: Sequence[Axis]) -> tuple[list[str], list[list[str]]]:
    """Return head and rows: each combination's accuracies in per cent, with 95 % intervals over seeds."""
    varying = {part: _varying(rows, axes, part) for part in dict.fromkeys(r[PART] for r in rows)}
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        # A key that is nothing to a cell, as epsilon to plain examples, is left out.
        shown = [f"{key} {said}" for key in varying[row[PART]] if (said := as_field(row[key]))]
        groups.setdefault((row[PART], ", ".join(shown)), []).append(row)
    places = {part: place for place, part in enumerate(varying)}
    table = []
    for (part, what), some in sorted(groups.items(), key=lambda each: places[each[0][0]]):
        done = [row for row in some if row["status"] == DONE]
        shares = [_mean([row.get(column) for row in done], per_cent=True) for _, column in SHOWN]
        disclosed = _mean([row["disclosed"] for row in done])
        counts = [str(len(done)), str(len(some) - len(done))]
        table.append([part, what, *shares, disclosed, *counts])
    head = ["part", "cell", *(label for label, _ in SHOWN), "disclosed", "seeds", "failed"]
    if not any(varying):
        return head[1:], [row[1:] for row in table]
    return head, table


def _is_numeric(axis: Axis) -> bool:
    return all(type(value) in (int, float) for value in axis.values)


def _as_text(value: Any) -> str | None:
    return value if isinstance(value, str | None) else json.dumps(value)


def _varying(rows: Sequence[Row], axes: Sequence[Axis], part: str) -> list[str]:
    """Return the keys that tell the rows of a part apart; the first axis where none does."""
    of_part = [row for row in rows if row[PART] == part]
    keys = [axis.key for axis in axes]
    return [key for key in keys if len({as_field(row[key]) for row in of_part}) > 1] or keys[:1]


def _mean(values: Sequence[float | None], *, per_cent: bool = False) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    found = over_seeds(known)
    if not per_cent:
        return f"{found.mean:.0f}"
    width = f" ± {100 * found.half_width:.1f}" if len(known) > 1 else ""
    return f"{100 * found.mean:.1f}{width}"
