"""Fronts that nobody beats: utility for records disclosed, and for epsilon.

An answer without noise has no epsilon and stands in a strip of its own, never at the far end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from mycroft_fl.report.layout.drawing import (
    INK,
    WIDTH,
    Plot,
    canvas,
    finished,
    legend_below,
    look,
    shortened,
    style,
)  # fmt: skip
from mycroft_fl.report.study.cells import (
    epsilon_of,
    estimate,
    kind_of,
    kinds_of,
    measure,
    place_of,
    places_of,
)
from mycroft_fl.report.study.folder import DONE, Row, Study, as_field
from mycroft_fl.report.study.plots import reference, scale_along
from mycroft_fl.statistics import Estimate

OWN, FREE = "own hard set", "free"


@dataclass(frozen=True)
class Point:
    """One combination of settings: its kind, and means over seeds."""

    kind: str
    said: str
    hard: Estimate
    disclosed: float
    epsilon: float | None


def fronts(study: Study) -> list[Plot]:
    """Return the fronts of each scenario, where there is something to choose between."""
    rows = [row for row in study.rows if row["status"] == DONE]
    with look():
        return _fronts(study, rows)


def _fronts(study: Study, rows: Sequence[Row]) -> list[Plot]:
    plots = []
    kinds = [*kinds_of(study, rows), OWN, FREE]
    for number, place in enumerate(places_of(study, rows), start=1):
        points = _points(study, [row for row in rows if place_of(study, row) == place])
        if len({point.disclosed for point in points}) > 1:
            plots.append(_disclosed_front(points, place, number, kinds))
        if len({p.epsilon for p in points if p.epsilon is not None}) > 1:
            plots.append(_epsilon_front(points, place, number, kinds))
    return plots


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return those (cost, utility) that no other beats in one and equals in the other, by cost."""
    best, found = -math.inf, []
    for cost, utility in sorted(points, key=lambda each: (each[0], -each[1])):
        if utility > best:
            found.append((cost, utility))
            best = utility
    return found


def _disclosed_front(
    points: Sequence[Point], place: str, number: int, kinds: Sequence[str]
) -> Plot:
    figure, axes = canvas(3.6)
    _scatter(axes, points, [point.disclosed for point in points], kinds)
    best = front([(point.disclosed, 100 * point.hard.mean) for point in points])
    _draw_front(axes, best)
    most = max(point.disclosed for point in points)
    ticks = [0] + [step * 10**power for power in range(1, 8) for step in (1, 3)]
    axes.set_xscale("symlog", linthresh=10)
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(-1, 1.5 * max(most, 10))
    axes.set_xlabel("records disclosed")
    axes.set_ylabel("accuracy on the failures, %")
    axes.set_title(shortened(f"Utility for records: {place}".strip(": "), 44))
    legend_below(figure)
    said = "; ".join(f"{utility:.1f} % for {cost:.0f} records" for cost, utility in best)
    caption = (
        "Each mark is one combination of settings, its mean over seeds. Along the line nothing reaches "
        "more for as few records."
    )
    return finished(figure, f"front-records-{number}", caption, f"On the front: {said}")


def _epsilon_front(points: Sequence[Point], place: str, number: int, kinds: Sequence[str]) -> Plot:
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes, strip = figure.subplots(1, 2, sharey=True, width_ratios=(5, 1))
    noised = [point for point in points if point.epsilon is not None]
    plain = [point for point in points if point.epsilon is None]
    _scatter(axes, noised, [point.epsilon or 0.0 for point in noised], kinds)
    best = front([(point.epsilon or 0.0, 100 * point.hard.mean) for point in noised])
    _draw_front(axes, best)
    scale_along(axes, sorted({point.epsilon for point in noised if point.epsilon is not None}))
    _scatter(strip, plain, [0.0] * len(plain), kinds)
    strip.set_xticks([0], ["none"])
    strip.set_xlim(-1, 1)
    strip.spines["left"].set_visible(False)
    strip.tick_params(axis="y", length=0)
    axes.set_xlabel("epsilon per unit")
    axes.set_ylabel("accuracy on the failures, %")
    axes.set_title(shortened(f"Utility for epsilon: {place}".strip(": "), 44))
    legend_below(figure)
    said = "; ".join(f"{utility:.1f} % at epsilon {cost:g}" for cost, utility in best)
    caption = (
        "Each mark is one combination of settings, its mean over seeds. Right of the gap: answers without "
        "noise, for which no epsilon holds."
    )
    return finished(figure, f"front-epsilon-{number}", caption, f"On the front: {said}")


def _scatter(
    axes: Axes, points: Sequence[Point], places: Sequence[float], kinds: Sequence[str]
) -> None:
    for number, kind in enumerate(kinds):
        mine = [(at, p) for at, p in zip(places, points, strict=True) if p.kind == kind]
        if mine:
            look_of = style(number) | {"linestyle": "none"}
            axes.plot(
                [at for at, _ in mine], [100 * p.hard.mean for _, p in mine],
                label=shortened(kind), markersize=6, **look_of,
            )  # fmt: skip


def _draw_front(axes: Axes, best: Sequence[tuple[float, float]]) -> None:
    if len(best) > 1:
        axes.plot(
            [cost for cost, _ in best], [utility for _, utility in best],
            drawstyle="steps-post", color=INK, linewidth=1, zorder=1, label="nothing does better",
        )  # fmt: skip


def _points(study: Study, rows: Sequence[Row]) -> list[Point]:
    combinations: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if row.get("hard") is not None:
            said = (row.get("part", ""), *(as_field(row[axis.key]) for axis in study.axes))
            combinations.setdefault(said, []).append(row)
    found = []
    for said, mine in combinations.items():
        hard = estimate(mine, measure("hard"))
        disclosed = [row["disclosed"] for row in mine if row.get("disclosed") is not None]
        epsilons = [epsilon_of(row) for row in mine if row.get("epsilon") is not None]
        if hard is not None and disclosed:
            mean = sum(disclosed) / len(disclosed)
            found.append(
                Point(
                    kind_of(study, mine[0]),
                    ", ".join(said),
                    hard,
                    mean,
                    max(epsilons, default=None),
                )
            )
    # Each part has its own: another hard set is another rival.
    parts = dict.fromkeys(row.get("part", "") for row in rows)
    without_owners = [
        (name, reference([row for row in rows if row.get("part", "") == part], column))
        for name, column in ((OWN, "own_hard_set_hard"), (FREE, "free_hard"))
        for part in parts
    ]
    return found + [
        Point(name, name, each, 0.0, None)
        for name, each in without_owners
        if each is not None and found
    ]
