"""The price of privacy: utility, ranking and attacks along epsilon.

An answer without noise has no epsilon. It is drawn as a line of its own, or in a strip of its own,
and never as an epsilon without bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

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
)  # fmt: skip
from mycroft_fl.report.study.cells import (
    POLICY_EPSILON,
    a_seed_each,
    epsilon_of,
    estimate,
    kind_of,
    kinds_of,
    measure,
    place_of,
    places_of,
    written,
)  # fmt: skip
from mycroft_fl.report.study.folder import DONE, Row, Study
from mycroft_fl.report.study.plots import WITHOUT_NOISE, draw_band, reference, scale_along
from mycroft_fl.statistics import Estimate


@dataclass(frozen=True)
class Measured:
    """One quantity along epsilon: its column, what it is called, what it is multiplied by, its ends."""

    name: str
    label: str
    title: str
    factor: float
    level: float | None
    level_label: str
    within: tuple[float, float] = (0, 1)


ALONG_EPSILON = (
    Measured("hard", "accuracy on the failures, %", "Utility", 100, None, ""),
    Measured(
        "tau", "Kendall's tau of the ranking", "Ranking", 1, 0, "a ranking by chance", (-1, 1)
    ),
    Measured("auc", "AUC of the attack", "Attack", 1, 0.5, "guessing"),
)


def privacy_plots(study: Study) -> list[Plot]:
    """Plot utility, tau and AUC along epsilon, where several were tried."""
    rows = [row for row in study.rows if row["status"] == DONE]
    noised = {epsilon_of(row) for row in rows if row.get("epsilon") is not None}
    plots: list[Plot] = []
    with look():
        if len(noised) > 1:
            for measured in ALONG_EPSILON:
                if measured.name == "hard" and any(
                    axis.key == POLICY_EPSILON for axis in study.axes
                ):
                    continue  # the study's own panels run along it already
                plots += _along_epsilon(study, rows, measured)
    return plots


def _along_epsilon(study: Study, rows: Sequence[Row], measured: Measured) -> list[Plot]:
    plots: list[Plot] = []
    for place in places_of(study, rows):
        mine = [
            row
            for row in rows
            if place_of(study, row) == place and row.get(measured.name) is not None
        ]
        epsilons = sorted({epsilon_of(row) for row in mine if row.get("epsilon") is not None})
        if len(epsilons) > 1:
            figure = _figure(study, mine, epsilons, measured, place)
            caption = (
                f"{measured.title} against epsilon; mean and 95 % band over seeds. What is answered "
                "without noise has no epsilon and is a line of its own."
            )
            if measured.name == "auc":
                caption += " No attack can do better than the ceiling of its mode."
            alt = f"{measured.label} by epsilon: " + _in_words(study, mine, epsilons, measured)
            plots.append(
                finished(figure, f"epsilon-{measured.name}-{len(plots) + 1}", caption, alt)
            )
    return plots


def _figure(
    study: Study, rows: Sequence[Row], epsilons: list[float], measured: Measured, place: str
) -> Figure:
    """Return one quantity along epsilon, at one place of the study's other axes."""
    figure, axes = canvas(3.6)
    _curves(study, axes, rows, epsilons, measured)
    if measured.name == "auc":
        noised = [row for row in rows if row.get("epsilon") is not None]
        _draw_ceilings(study, axes, noised, epsilons)
    if measured.level is not None:
        dotted, name = (0, (1, 2)), measured.level_label
        axes.axhline(measured.level, color=GREY, linewidth=1, linestyle=dotted, label=name)
    scale_along(axes, epsilons)
    axes.set_xlabel("epsilon per unit, at the owner's delta")
    axes.set_ylabel(measured.label)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.set_title(shortened(f"{measured.title}: {place}".strip(": "), 44))
    legend_below(figure)
    return figure


def _curves(
    study: Study, axes: Axes, rows: Sequence[Row], epsilons: list[float], measured: Measured
) -> None:
    for number, kind in enumerate(kinds_of(study, study.rows)):
        own = [row for row in rows if kind_of(study, row) == kind]
        if not own:
            continue
        noised = [row for row in own if row.get("epsilon") is not None]
        if noised:
            points = [(epsilon, _at(noised, epsilon, measured)) for epsilon in epsilons]
            draw_band(
                axes, points, style(number), shortened(kind), measured.factor, measured.within
            )
            continue
        found = estimate(a_seed_each(own), measure(measured.name))
        if found is not None:
            flat = [(epsilon, found) for epsilon in epsilons]
            look_of = style(number) | {"marker": "none", "linestyle": WITHOUT_NOISE}
            name = f"{shortened(kind)}: no epsilon"
            draw_band(axes, flat, look_of, name, measured.factor, measured.within)
    if measured.name == "hard":
        found = reference(rows, "own_hard_set_hard")
        if found is not None:
            flat = [(epsilon, found) for epsilon in epsilons]
            look_of = {"color": INK, "linestyle": (0, (5, 1.5)), "linewidth": 1.2}
            draw_band(axes, flat, look_of, "own hard set", measured.factor)


def _at(rows: Sequence[Row], epsilon: float, measured: Measured) -> Estimate | None:
    return estimate([row for row in rows if epsilon_of(row) == epsilon], measure(measured.name))


def _draw_ceilings(
    study: Study, axes: Axes, rows: Sequence[Row], epsilons: Sequence[float]
) -> None:
    """Draw the best AUC of any attack, by kind: at one epsilon mechanisms allow different ones."""
    kinds = kinds_of(study, study.rows)
    there = [kind for kind in kinds if any(kind_of(study, row) == kind for row in rows)]
    for kind in there:
        mine = [row for row in rows if kind_of(study, row) == kind]
        tops = [(epsilon, _highest(mine, epsilon)) for epsilon in epsilons]
        known = [(epsilon, top) for epsilon, top in tops if top is not None]
        if known:
            axes.plot(
                [at for at, _ in known], [top for _, top in known],
                color=INK if len(there) == 1 else style(kinds.index(kind))["color"], linewidth=1.4,
                label="ceiling" if len(there) == 1 else f"ceiling of {shortened(kind)}",
            )  # fmt: skip


def _highest(rows: Sequence[Row], epsilon: float) -> float | None:
    """Return the highest over seeds: what was spent, and so what is allowed, differs a little."""
    tops = [
        row["auc_ceiling"]
        for row in rows
        if epsilon_of(row) == epsilon and row.get("auc_ceiling") is not None
    ]
    return max(tops, default=None)


def _in_words(
    study: Study, rows: Sequence[Row], epsilons: Sequence[float], measured: Measured
) -> str:
    said = []
    for kind in kinds_of(study, rows):
        own = [row for row in rows if kind_of(study, row) == kind]
        noised = [row for row in own if row.get("epsilon") is not None]
        if not noised:
            found = estimate(a_seed_each(own), measure(measured.name))
            said.append(
                f"{kind}, without noise: {written(found, factor=measured.factor, digits=2)}"
            )
            continue
        for epsilon in epsilons:
            found = estimate(
                [r for r in noised if epsilon_of(r) == epsilon], measure(measured.name)
            )
            if found is not None:
                figure = written(found, factor=measured.factor, digits=2)
                said.append(f"{kind} at epsilon {epsilon:g}: {figure}")
    return "; ".join(said)
