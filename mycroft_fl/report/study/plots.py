"""The plots of a study: what is reached along an axis, and by which method, with bands over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator

from mycroft_fl.report.layout.drawing import (
    GREY,
    INK,
    Plot,
    canvas,
    finished,
    legend_below,
    look,
    shortened,
    style,
)
from mycroft_fl.report.study.cells import KIND, POLICY_EPSILON, Panel, estimate, measure, written
from mycroft_fl.report.study.folder import Row, as_field
from mycroft_fl.statistics import Estimate, over_seeds

WITHOUT_NOISE = (0, (6, 1.5, 1.5, 1.5))
FLAT = {"marker": "none", "linestyle": WITHOUT_NOISE}
"""How a line looks that what runs along is nothing to."""
WIDE = 8
"""From this ratio of most to least on, an axis is logarithmic."""
REFERENCES: tuple[tuple[str, str, str, Any], ...] = (
    ("own_hard_set_hard", "own hard set", INK, (0, (5, 1.5))),
    ("free_hard", "free", INK, (0, (3, 1, 1, 1))),
    ("control_hard", "control", GREY, (0, (1.5, 1.5))),
)


def utility_plots(panels: Sequence[Panel]) -> list[Plot]:
    """Return a plot a panel: lines where something runs along, else a row for each kind."""
    with look():
        return [
            _lines(panel, number) if panel.along is not None else _dots(panel, number)
            for number, panel in enumerate(panels, start=1)
        ]


def _lines(panel: Panel, number: int) -> Plot:
    assert panel.along is not None
    figure, axes = canvas(3.5)
    places = panel.places()
    for name, label, colour, dash in REFERENCES:
        rows = [
            (place, [r for kind in panel.kinds() for r in panel.at(kind, place)])
            for place in places
        ]
        points = [(place, reference(each, name)) for place, each in rows]
        draw_band(axes, points, {"color": colour, "linestyle": dash, "linewidth": 1.2}, label)
    for kind in panel.kinds():
        points = [(place, estimate(panel.at(kind, place), measure("hard"))) for place in places]
        if panel.is_aside(kind):
            found = estimate(panel.at(kind, None), measure("hard"))
            points = [(place, found) for place in places]
        draw_band(axes, points, *_look_of(panel, kind))
    scale_along(axes, places)
    axes.set_xlabel(panel.along.key)
    axes.set_ylabel("accuracy on the failures, %")
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.set_title(shortened(panel.fixed_in_words, 44))
    legend_below(figure)
    alt = f"{panel.title}: accuracy on the failures by {panel.along.key}. " + _in_words(panel)
    caption = (
        f"{panel.part.title}: accuracy on the failures by {panel.along.key}; mean and 95 % band over "
        "seeds."
    )
    return finished(figure, f"utility-{number}", caption, alt)


def _dots(panel: Panel, number: int) -> Plot:
    kinds = panel.kinds()
    figure, axes = canvas(1.25 + 0.28 * len(kinds))
    for place, kind in enumerate(kinds):
        found = estimate(panel.at(kind, None), measure("hard"))
        look_of = style(_place_of(panel, kind)) | {"linestyle": "none"}
        if found is not None:
            axes.errorbar(
                100 * found.mean, place, xerr=_half(found), elinewidth=1.8, markersize=6, **look_of
            )
    for name, label, colour, dash in REFERENCES:
        found = reference(panel.rows, name)
        if found is not None:
            axes.axvline(100 * found.mean, color=colour, linestyle=dash, linewidth=1.2, label=label)
    axes.set_yticks(range(len(kinds)), [shortened(_name(panel, kind)) for kind in kinds])
    axes.set_ylim(len(kinds) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("accuracy on the failures, %")
    axes.set_title(shortened(panel.fixed_in_words, 44))
    legend_below(figure)
    caption = f"{panel.part.title}: accuracy on the failures; mean and 95 % interval over seeds."
    return finished(figure, f"utility-{number}", caption, f"{panel.title}. {_in_words(panel)}")


def _look_of(panel: Panel, kind: Any) -> tuple[dict[str, Any], str]:
    """Return how a line looks and what it is called; one without noise does not move along epsilon."""
    look_of, name = style(_place_of(panel, kind)), shortened(_name(panel, kind))
    if panel.is_aside(kind):
        plain = panel.along is not None and panel.along.key == POLICY_EPSILON
        return look_of | FLAT, f"{name}: no epsilon" if plain else name
    if panel.along is None or panel.along.key != POLICY_EPSILON:
        return look_of, name
    mine = [row for place in panel.places() for row in panel.at(kind, place)]
    if any(row.get("epsilon") is not None for row in mine):
        return look_of, name
    return look_of | FLAT, f"{name}: no epsilon"


def draw_band(
    axes: Axes,
    points: Sequence[tuple[Any, Estimate | None]],
    look_of: dict[str, Any],
    label: str,
    factor: float = 100,
    within: tuple[float, float] = (0, 1),
) -> None:
    """Draw a line through means, with its band where there are several seeds; nothing without values.

    A band ends where the quantity does, at `within`: of few seeds an interval is wider.

    Args:
        axes: where to draw.
        points: the place along, and the estimate there.
        look_of: matplotlib's keywords for the line.
        label: for the legend.
        factor: multiplies every number, 100 for per cent.
        within: the range of the quantity.
    """
    known = [(place, found) for place, found in points if found is not None]
    if not known:
        return
    places = [place for place, _ in known]
    means = [factor * found.mean for _, found in known]
    axes.plot(places, means, label=label, **look_of)
    halves = [factor * found.half_width for _, found in known]
    if all(math.isfinite(half) for half in halves):
        least, most = (factor * end for end in within)
        low = [max(mean - half, least) for mean, half in zip(means, halves, strict=True)]
        high = [min(mean + half, most) for mean, half in zip(means, halves, strict=True)]
        axes.fill_between(places, low, high, color=look_of["color"], alpha=0.15, linewidth=0)


def scale_along(axes: Axes, places: Sequence[float]) -> None:
    """Scale the axis along which the places lie: each has its tick, logarithmic where they lie far apart."""
    if min(places) > 0 and max(places) >= WIDE * min(places):
        axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(list(places), [as_field(place) for place in places])


def _half(found: Estimate) -> float:
    return 100 * found.half_width if math.isfinite(found.half_width) else 0.0


def reference(rows: Sequence[Row], name: str) -> Estimate | None:
    """Return what no method changes, over seeds; None where it differs between rows of one seed."""
    by_seed: dict[int, set[float]] = {}
    for row in rows:
        if row.get(name) is not None:
            by_seed.setdefault(row["seed"], set()).add(round(row[name], 9))
    if not by_seed or any(len(values) > 1 for values in by_seed.values()):
        return None
    return over_seeds([value for (value,) in by_seed.values()])


def _place_of(panel: Panel, kind: Any) -> int:
    """Place by the study's order, so that a method looks the same in every plot."""
    return 0 if panel.apart is None else panel.apart.values.index(kind)


def _name(panel: Panel, kind: Any) -> str:
    if panel.apart is None:
        return "all that was acquired"
    if panel.apart.key in ("method", "scenario", KIND):
        return as_field(kind)
    return f"{panel.apart.key} {as_field(kind)}"


def _in_words(panel: Panel) -> str:
    said = []
    for kind in panel.kinds():
        reached = [
            (place, estimate(panel.at(kind, place), measure("hard")))
            for place in panel.everywhere()
        ]
        figures = ", ".join(
            f"{written(found)} %" + ("" if place is None else f" at {as_field(place)}")
            for place, found in reached
            if found is not None
        )
        said.append(f"{_name(panel, kind)}: {figures}")
    return "; ".join(said)
