"""Differences between methods that are more than luck: paired by seed, corrected for their number."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests

from mycroft_fl.report.study.cells import Panel
from mycroft_fl.report.study.folder import Row, as_field
from mycroft_fl.statistics import Estimate, over_seeds

LEVEL = 0.05
OWN, FREE = "own hard set", "free"


@dataclass(frozen=True)
class PairedComparison:
    """One difference on the failures, first minus second, over the seeds that both have.

    `p` is of the paired t test, `wilcoxon` of the signed-rank test, which assumes no normal
    distribution; `corrected` is `p` after Holm's correction within its family.
    """

    where: str
    first: str
    second: str
    seeds: int
    difference: Estimate
    p: float
    wilcoxon: float
    corrected: float = math.nan

    @property
    def is_clear(self) -> bool:
        """Whether the difference stands after correction."""
        return self.corrected < LEVEL

    def reversed(self) -> PairedComparison:
        """Return the same, seen from the other side."""
        turned = Estimate(-self.difference.mean, self.difference.half_width)
        return replace(self, first=self.second, second=self.first, difference=turned)


def compared(panels: Sequence[Panel]) -> list[PairedComparison]:
    """Return every pair of kinds, and each with the free rival, at every place of every panel.

    All of them are one family: the more there are, the more each must show (Holm 1979).
    """
    found = [each for panel in panels for each in _of_panel(panel)]
    if not found:
        return []
    corrected = multipletests([each.p for each in found], alpha=LEVEL, method="holm")[1]
    return [replace(each, corrected=float(p)) for each, p in zip(found, corrected, strict=True)]


def rival_in(rows: Sequence[Row]) -> tuple[str, str]:
    """Name the column of the strongest model without any owner, and what it is called.

    Studies of version 0.1 know the own hard set alone.
    """
    if any(row.get("free_hard") is not None for row in rows):
        return "free_hard", FREE
    return "own_hard_set_hard", OWN


def _of_panel(panel: Panel) -> Iterator[PairedComparison]:
    for place in panel.everywhere():
        where = panel.where(place)
        for kind in panel.kinds():
            mine = panel.at(kind, place)
            column, rival = rival_in(mine)
            yield from _one(
                where, _name(kind), _by_seed(mine, "hard"), rival, _by_seed(mine, column)
            )
        for first, second in itertools.combinations(panel.kinds(), 2):
            if place is not None and panel.is_aside(first) and panel.is_aside(second):
                continue  # once is enough: no place along changes either
            one, other = (
                _by_seed(panel.at(kind, None if panel.is_aside(kind) else place), "hard")
                for kind in (first, second)
            )
            if place is None and panel.along is not None and not (one and other):
                continue
            yield from _one(where, _name(first), one, _name(second), other)


def _one(
    where: str, first: str, one: dict[int, float], second: str, other: dict[int, float]
) -> Iterator[PairedComparison]:
    both = sorted(one.keys() & other.keys())
    if len(both) < 2:
        return
    differences = np.array([one[seed] - other[seed] for seed in both])
    p, rank = paired_tests(differences)
    yield PairedComparison(
        where, first, second, len(both), over_seeds(differences.tolist()), p, rank
    )


def paired_tests(differences: np.ndarray) -> tuple[float, float]:
    """Return p of the paired t test and of Wilcoxon's signed-rank test, both two-sided.

    Where all differences are zero, both are 1. Where all are equal and not zero the t test has no
    spread to go by, and its place is taken by the other's.
    """
    if not differences.any():
        return 1.0, 1.0
    rank = float(stats.wilcoxon(differences, method="auto").pvalue)
    if np.ptp(differences) <= 1e-12 * np.abs(differences).max():
        return rank, rank
    return float(stats.ttest_1samp(differences, 0.0).pvalue), rank


def _by_seed(rows: Sequence[Row], name: str) -> dict[int, float]:
    return {row["seed"]: float(row[name]) for row in rows if row.get(name) is not None}


def _name(kind: Any) -> str:
    return "the run" if kind is None else as_field(kind)
