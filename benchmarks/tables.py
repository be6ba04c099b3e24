"""What the benchmarks' tables share: results kept line by line, cells of Markdown, paired differences."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mycroft_fl.statistics import Estimate, over_seeds


def stored(store: Path) -> dict[str, Any]:
    """Every result in `store` by its key; a last line that was cut off counts as missing."""
    results = {}
    for line in store.read_text().splitlines() if store.is_file() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        results[row["key"]] = row["result"]
    return results


def keep(store: Path, key: str, result: Any) -> None:
    """Add one result as one line, in one write: several processes may add to one file."""
    store.parent.mkdir(parents=True, exist_ok=True)
    with store.open("a") as lines:
        lines.write(json.dumps({"key": key, "result": result}) + "\n")


def paired(values: Sequence[float], others: Sequence[float]) -> Estimate:
    """The mean difference seed by seed, with its 95 % interval (Student's t)."""
    return over_seeds([value - other for value, other in zip(values, others, strict=True)])


def row(cells: Iterable[str]) -> str:
    """One row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def rule(width: int) -> str:
    """What stands under a table's head."""
    return "|" + "---|" * width


def share(estimate: Estimate) -> str:
    """A mean in per cent, with the half-width of its interval."""
    return f"{100 * estimate.mean:.1f} ± {100 * estimate.half_width:.1f}"


def points(estimate: Estimate) -> str:
    """A difference in percentage points, with the half-width of its interval."""
    return f"{100 * estimate.mean:+.1f} ± {100 * estimate.half_width:.1f}"
