"""The plots of one run: who is worth what, accuracy round by round and group by group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mycroft_fl.report.layout.drawing import (
    BLUE,
    GREEN,
    GREY,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    PURPLE,
    SERIES,
    SKY,
    VERMILION,
    Plot,
    canvas,
    finished,
    legend_below,
    look,
    shortened,
)  # fmt: skip
from mycroft_fl.report.run.front_plot import front_plot
from mycroft_fl.report.run.measure import measure_of
from mycroft_fl.report.run.summary import REFERENCES, metric_columns

MOST_OWNERS = 30
MOST_GROUPS = 12
Result = Mapping[str, Any]
SHORT = {
    "baseline": "baseline",
    "control": "control",
    "own_hard_set": "own hard set",
    "free": "free",
    "random": "random picks",
    "final": "final",
}
COLOURS = {
    "baseline": GREY,
    "control": ORANGE,
    "own_hard_set": VERMILION,
    "free": SKY,
    "random": PURPLE,
    "final": BLUE,
}
MARKS = {
    "baseline": "X",
    "control": "v",
    "own_hard_set": "s",
    "free": "D",
    "random": "^",
    "final": "o",
}
HATCHES = ("", "////", "....", "xxxx", "----")
DASHED = {
    "baseline": (0, (1, 1.5)),
    "control": (0, (1.5, 1.5)),
    "own_hard_set": (0, (5, 1.5)),
    "free": (0, (3, 1, 1, 1)),
    "random": (0, (6, 1.5, 1.5, 1.5)),
}


def run_plots(result: Result) -> list[Plot]:
    """Draw every plot that the result has numbers for."""
    with look():
        drawn = [_ranking(result), _disclosed(result), _rounds(result), _groups(result)]
        drawn.append(front_plot(result))
    return [plot for plot in drawn if plot is not None]


def _ranking(result: Result) -> Plot | None:
    measure = measure_of(result)
    scored = [each for each in result["owners"] if measure.of(each) is not None]
    shown = scored[:MOST_OWNERS]
    if not shown:
        return None
    figure, axes = canvas(0.9 + 0.27 * len(shown))
    for place, each in enumerate(shown):
        score, low, high = measure.of(each) or (0.0, 0.0, 0.0)
        colour, mark = (BLUE, "o") if low > 0 else (VERMILION, "X") if high < 0 else (GREY, "D")
        axes.plot([low, high], [place, place], color=colour, linewidth=2, solid_capstyle="butt")
        axes.plot([score], [place], color=colour, marker=mark, markersize=6)
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(range(len(shown)), [shortened(each["owner"]) for each in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(measure.axis)
    hidden = len(scored) - len(shown)
    caption = (
        f"What each owner is worth, with its {_confidence(result)} interval: blue circles are "
        f"clearly above zero, grey diamonds may be worth nothing, red crosses {measure.below}."
        + (f" The first {len(shown)} of {len(scored)}." if hidden else "")
    )
    alt = f"{measure.axis}; owners from first to last rank: " + "; ".join(
        f"{each['owner']} {measure.text(each)}" for each in shown
    )
    return finished(figure, "ranking", caption, alt)


def _disclosed(result: Result) -> Plot | None:
    giving = [each for each in result["owners"] if each["disclosed"]]
    shown = giving[:MOST_OWNERS]
    if not shown:
        return None
    groups = sorted({name for each in shown for name in each.get("disclosed_groups", {})})[
        :MOST_GROUPS
    ]
    figure, axes = canvas(0.9 + 0.27 * len(shown) + 0.2 * bool(groups))
    left = [0] * len(shown)
    for number, group in enumerate(groups):
        counts = [each["disclosed_groups"].get(group, 0) for each in shown]
        axes.barh(
            range(len(shown)), counts, left=left, height=0.62, label=shortened(group),
            color=SERIES[number % len(SERIES)], hatch=HATCHES[number % len(HATCHES)],
            edgecolor=PAPER, linewidth=0.8,
        )  # fmt: skip
        left = [sum(pair) for pair in zip(left, counts, strict=True)]
    rest = [each["disclosed"] - done for each, done in zip(shown, left, strict=True)]
    if any(rest):
        label = "of another group" if groups else None
        axes.barh(range(len(shown)), rest, left=left, height=0.62, color=GREY, label=label)
    axes.set_yticks(range(len(shown)), [shortened(each["owner"]) for each in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("examples disclosed")
    legend_below(figure, columns=3)
    caption = "What each owner disclosed" + (
        ", by group; groups are known to the simulator alone." if groups else "."
    )
    alt = "Examples disclosed: " + "; ".join(
        f"{each['owner']} {each['disclosed']}"
        + "".join(f", {count} {group}" for group, count in each.get("disclosed_groups", {}).items())
        for each in shown
    )
    return finished(figure, "disclosed", caption, alt)


def _rounds(result: Result) -> Plot | None:
    rounds = [each for each in result["rounds"] if each.get("hard") is not None]
    if not rounds:
        return None
    figure, axes = canvas(3.1)
    numbers = [0, *(each["round"] for each in rounds)]
    start = result["own_hard_set"]
    for key, label, colour, mark, dash in (
        ("hard", "on the failures", BLUE, "o", "-"),
        ("test", "whole test", GREEN, "s", (0, (5, 1.5))),
    ):
        values = [100 * start[key], *(100 * each[key] for each in rounds)]
        axes.plot(numbers, values, color=colour, marker=mark, linestyle=dash, label=label)
    for key in ("control", "free", "random"):
        if result.get(key, {}).get("hard") is not None:
            axes.axhline(
                100 * result[key]["hard"], color=COLOURS[key], linestyle=DASHED[key],
                linewidth=1.2, label=f"{SHORT[key]}, on the failures",
            )  # fmt: skip
    axes.set_xticks(numbers, ["own\nhard set", *(f"{number}" for number in numbers[1:])])
    axes.set_xlim(-0.25, numbers[-1] + 0.25)
    _percent_axis(axes)
    axes.set_xlabel("round")
    legend_below(figure)
    alt = "Accuracy on the failures: " + "; ".join(
        [f"own hard set {100 * start['hard']:.1f} %"]
        + [f"round {each['round']} {100 * each['hard']:.1f} %" for each in rounds]
    )
    caption = (
        "Accuracy after each round on held-out examples. Round 0 is the trainer's own hard set. Models of "
        "rounds know less than the free and the final model: these train on validation examples too."
    )
    return finished(figure, "rounds", caption, alt)


def _groups(result: Result) -> Plot | None:
    if "final" not in result:
        return None
    names = sorted(result["final"].get("groups", {}))[:MOST_GROUPS]
    references = [key for key, _ in REFERENCES if key in result]
    rows: list[tuple[str, str | None]] = [("the failures", "hard"), ("whole test", "test")]
    rows += [(words, "metric") for words in metric_columns(result)]
    line, rows = len(rows) - 0.5, [*rows, *((name, None) for name in names)]
    figure, axes = canvas(1.5 + 0.42 * len(rows))
    for key in references:
        reached = result[key]
        values = [reached.get(at) if at else reached["groups"].get(name) for name, at in rows]
        known = [(100 * value, place) for place, value in enumerate(values) if value is not None]
        axes.plot(
            [value for value, _ in known], [place for _, place in known], linestyle="none",
            color=COLOURS[key], marker=MARKS[key], markersize=6, label=SHORT[key],
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), [shortened(name) for name, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(" and ".join(["accuracy", *metric_columns(result)]) + ", %")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.axhline(line, color=MUTED, linewidth=0.8)
    legend_below(figure, columns=3)
    alt = "Accuracy by model: " + "; ".join(
        f"{SHORT[key]} {100 * result[key]['test']:.1f} % on the whole test, "
        + ", ".join(
            f"{100 * result[key]['groups'][name]:.1f} % on {name}"
            for name in names
            if name in result[key]["groups"]
        )
        for key in references
    )
    return finished(figure, "groups", "Accuracy by model and group, held-out examples.", alt)


def _percent_axis(axes: Axes) -> None:
    axes.set_ylabel("accuracy, %")
    axes.yaxis.set_major_locator(MaxNLocator(6))


def _confidence(result: Result) -> str:
    return f"{100 * result['settings'].get('scoring.confidence', 0.95):g} %"
