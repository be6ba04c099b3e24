"""What noised answers bring over epsilon, beside raw picks: tables of shares, and one figure.

    python -m benchmarks.privacy.curves [--draw docs/privacy-curves.png]

Reads what `-m benchmarks.privacy gradient` and `privacy.py dp-sgd` kept in OUT, computes nothing anew. Only
seeds that a store holds count, and a table says how many. The share of a gain is a ratio of means: over
the control, in per cent of what 50 raw OMP picks gain over it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np

from benchmarks.privacy.gradient import EPSILONS
from benchmarks.privacy.worlds import NO_NOISE
from benchmarks.tables import paired, points, row, rule, share, stored
from mycroft_fl.statistics import over_seeds

TASKS = {"fashion": "Fashion-MNIST", "rotated": "rotated", "intrusion": "NSL-KDD"}
RIVAL, FAILURES, WHOLE = "raw, 50 OMP picks", ": failures", ": whole test"
COMPARED = (
    ("gradient", "own hard set"),
    ("gradient", "without a target"),
    ("gradient", "knowing of no failure"),
    ("with a perfect target", "without a target"),
    ("dp-sgd", "own hard set"),
)
CURVES = {"gradient": "C0", "dp-sgd": "C2", "without a target": "C1"}
LEVELS = {
    "own hard set": ":",
    "raw, 25 OMP picks": "-.",
    RIVAL: "--",
    "raw, 50 at random": (0, (1, 4)),
}
Cell = dict[str, float]


def cells(out: Path, task: str) -> list[Cell]:
    """What is known of each seed, both tables together."""
    steps, trained = (
        stored(out / f"privacy-{table}-{task}.jsonl") for table in ("gradient", "dp-sgd")
    )
    return [result | trained.get(seed, {}) for seed, result in sorted(steps.items())]


def table(found: list[Cell], task: str) -> list[str]:
    """Way by way: the failures, their gain's share, and the whole test beside 50 raw picks."""
    head = (
        f"{TASKS[task]}, {len(found)} seeds", "failures, %", "of the gain of 50 OMP picks",
        "points over them", "whole test, points over them",
    )  # fmt: skip
    lines = [row(head), rule(5)]
    for way in dict.fromkeys(key.rpartition(":")[0] for each in found for key in each):
        known = [each for each in found if way + FAILURES in each]
        means = {
            name: float(np.mean([each[name + FAILURES] for each in known]))
            for name in (way, "control", RIVAL)
        }
        gained = (means[way] - means["control"]) / (means[RIVAL] - means["control"])
        over = [
            paired([each[way + part] for each in known], [each[RIVAL + part] for each in known])
            for part in (FAILURES, WHOLE)
        ]
        reached = over_seeds([each[way + FAILURES] for each in known])
        lines.append(row([way, share(reached), f"{100 * gained:.0f} %", *map(points, over)]))
    return lines


def gaps(found: list[Cell]) -> list[str]:
    """Compare noised steps with what is free, and with steps that know less or all; paired points."""
    lines = []
    for way, rival in COMPARED:
        output = []
        for epsilon in (*EPSILONS, NO_NOISE):
            at = f", epsilon {epsilon:g}"
            ways = (way + at, rival if rival in LEVELS else rival + at)
            if all(each_way + FAILURES in each for each_way in ways for each in found):
                values = ([each[each_way + FAILURES] for each in found] for each_way in ways)
                output.append(f"{points(paired(*values))} at {epsilon:g}")
        lines.append(f"{way} over {rival}: {', '.join(output)}")
    return lines


def draw(by_task: dict[str, list[Cell]], path: Path) -> None:
    """Failures above, the whole test below; one column a task; bands are 95 % intervals."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        2, len(by_task), figsize=(4 * len(by_task), 6.5), sharex=True, squeeze=False
    )
    for column, (task, found) in enumerate(by_task.items()):
        for place, part in enumerate((FAILURES, WHOLE)):
            panel = axes[place, column]
            for name, style in LEVELS.items():
                level = float(np.mean([each[name + part] for each in found]))
                panel.axhline(level, color="0.35", linestyle=style, linewidth=1.2, label=name)
            control = float(np.mean([each["control" + part] for each in found]))
            panel.axhline(control, color="0.7", linewidth=1.2, label="control")
            for name, colour in CURVES.items():
                _curve(panel, found, name, part, colour)
            panel.set_xscale("log", base=2)
            panel.set_xticks(EPSILONS, [f"{epsilon:g}" for epsilon in EPSILONS])
            panel.grid(alpha=0.2)
        axes[0, column].set_title(f"{TASKS[task]}, {len(found)} seeds")
        axes[1, column].set_xlabel("epsilon per record, add/remove, delta 1e-5")
    axes[0, 0].set_ylabel("accuracy on the failures")
    axes[1, 0].set_ylabel("accuracy on the whole test")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle("Noised answers of one owner of 8,000 examples (noise SIMULATED)")
    figure.set_layout_engine("constrained")
    figure.savefig(path, dpi=90, metadata={"Software": None})


def _curve(panel: mpl.axes.Axes, found: list[Cell], name: str, part: str, colour: str) -> None:
    keys = {epsilon: f"{name}, epsilon {epsilon:g}{part}" for epsilon in EPSILONS}
    output = {
        epsilon: over_seeds([each[key] for each in found if key in each])
        for epsilon, key in keys.items()
        if any(key in each for each in found)
    }
    means = np.array([each.mean for each in output.values()])
    halves = np.array([each.half_width for each in output.values()])
    panel.plot(list(output), means, "o-", color=colour, markersize=4, label=name)
    panel.fill_between(
        list(output), means - halves, means + halves, color=colour, alpha=0.13, linewidth=0
    )


def main() -> None:
    """Print the tables of all tasks, and draw them where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results")
    parser.add_argument("--draw", type=Path)
    given = parser.parse_args()
    mpl.use("Agg")
    by_task = {task: found for task in TASKS if (found := cells(given.out, task))}
    for task, found in by_task.items():
        print(*table(found, task), *gaps(found), "", sep="\n")
    if given.draw and by_task:
        draw(by_task, given.draw)


if __name__ == "__main__":
    main()
