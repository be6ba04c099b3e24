"""Rules of acquisition, world by world, over seeds: gains, ranking, waste and verdicts in one table.

    python -m benchmarks.shifts [--scenarios pacs-sketch,heart] [--rules hard-features,random] [--seeds 5]
                                [--first-seed 100] [--against random] [--true-gains]
                                [--set KEY=VALUE ...] [--out benchmarks/results]

Every cell is one whole run in process with the scenario's own settings. `benchmarks/shifts/worlds.py`
lists worlds and rules; a new one is a line. Runs are kept one by one in OUT, and a second call goes
on where the first one stopped. Gains are in points on test examples that no decision could see,
with 95 % intervals over seeds (Student's t). "random picks" makes a model of as many random picks from
the same owners, which the rule chose. "over the rule" is paired, seed by seed, with the final model of
the rule that --against names, and empty unless that runs as well: random ranks owners by random pilots
too. An owner is as useful as its share of examples of the
failing groups. With --true-gains, "true tau" and "regret" go by what a model gains on the failures
that trains on all of an owner's data.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.shifts import figures
from benchmarks.shifts.runs import Result, Run, results_of
from benchmarks.shifts.true_gains import Gains, true_gains_of
from benchmarks.shifts.worlds import RULES, WORLDS
from benchmarks.tables import row, rule
from mycroft_fl.cli.common import assigned
from mycroft_fl.errors import InputError, suggestion
from mycroft_fl.statistics import over_seeds

HEAD = (
    "world", "rule", "baseline", "free", "over free: failures", "whole test", "elsewhere",
    "over random picks", "over the rule", "right owner first", "tau", "true tau", "regret",
    "spent for nothing", "disclosed", "verdicts", "CPU s",
)  # fmt: skip


def main() -> None:
    """Run what is missing, then print the table."""
    options = _options()
    given = tuple(sorted(assigned(each) for each in options.assignments))
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    lines = [row(HEAD), rule(len(HEAD))]
    versions = set()
    for world in options.scenarios:
        runs = [Run(world, name, given, seed) for seed in seeds for name in options.rules]
        found = results_of(runs, options.out)
        versions |= {result["code"] for result in found.values()}
        gains = true_gains_of(world, given, seeds, options.out) if options.true_gains else {}
        by_rule: dict[str, dict[int, Result]] = {name: {} for name in options.rules}
        for run, result in found.items():
            by_rule[run.rule][run.seed] = result
        for name, results in by_rule.items():
            rivals = by_rule.get(options.against, {}) if name != options.against else {}
            lines.append(row(_cells(world, name, results, gains, rivals)))
    print("\n".join(["", f"Seeds {seeds.start} to {seeds.stop - 1}", "", *lines]))
    if len(versions) > 1:
        print(
            f"\nRuns of {len(versions)} versions of the code; empty {options.out} to run all anew."
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--scenarios", type=_names(WORLDS), default=list(WORLDS))
    parser.add_argument("--rules", type=_names(RULES), default=list(RULES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--against", choices=RULES, default="random")
    parser.add_argument(
        "--true-gains", action="store_true", help="rank against each owner's whole data"
    )
    parser.add_argument("--set", dest="assignments", action="append", default=[])
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results")
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds is {options.seeds}; give a whole number of at least 1")
    return options


def _names(known: dict[str, Any]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        for name in text.split(","):
            if name not in known:
                raise argparse.ArgumentTypeError(f"unknown '{name}'{suggestion(name, list(known))}")
        return text.split(",")

    return read


def _cells(
    world: str,
    name: str,
    by_seed: Mapping[int, Result],
    gains: Mapping[int, Gains],
    rivals: Mapping[int, Result],
) -> list[str]:
    """One row; a world whose runs all failed has empty cells."""
    if not by_seed:
        return [world, name, *[""] * (len(HEAD) - 3), "no result"]
    results = list(by_seed.values())
    known = [(result, gains[seed]) for seed, result in by_seed.items() if seed in gains]
    failing = WORLDS[world].failing
    verdicts = Counter(figures.verdict_of(each, failing) for each in results)
    first = sum(figures.right_first(each, failing) for each in results)
    return [
        world,
        name,
        _share([_on(each["baseline"], failing) for each in results]),
        _share([_on(each["free"], failing) for each in results]),
        _points([figures.over(each, "free", "hard") for each in results]),
        _points([figures.over(each, "free", "test") for each in results]),
        _points([figures.elsewhere(each, failing) for each in results]),
        _points([figures.over(each, "random", "hard") for each in results]),
        _points(figures.over_rule(by_seed, rivals)),
        f"{first} of {len(results)}",
        _mean([figures.ranking_tau(each, failing) for each in results], ".2f"),
        _mean([figures.true_tau(*each) for each in known], ".2f"),
        _mean([100 * figures.regret(*each) for each in known], ".1f"),
        _share([figures.spent_for_nothing(each, failing) for each in results]),
        _mean([each["disclosed"] for each in results], ".0f"),
        ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()),
        _mean([each["processor_seconds"] for each in results], ".1f"),
    ]


def _on(model: Result, failing: Sequence[str]) -> float:
    """A model's accuracy on the failing groups, each as much as another."""
    return sum(float(model["groups"][group]) for group in failing) / len(failing)


def _share(values: Sequence[float]) -> str:
    return _mean([100 * value for value in values], ".0f")


def _mean(values: Sequence[float], form: str) -> str:
    """Write a mean of what is known."""
    known = [value for value in values if not math.isnan(value)]
    return format(sum(known) / len(known), form) if known else ""


def _points(values: Sequence[float]) -> str:
    if not values:
        return ""
    estimate = over_seeds(values)
    width = f" ± {100 * estimate.half_width:.1f}" if math.isfinite(estimate.half_width) else ""
    return f"{100 * estimate.mean:+.1f}{width}"


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(str(error)) from error
