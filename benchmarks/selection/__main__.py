"""Which method picks best: every method, three data sets, four budgets, ten seeds.

    python -m benchmarks.selection [SCENARIO ...] [--table methods|choices] [--seeds 10] [--jobs 2]
                                   [--out benchmarks/results]

All owners' candidates lie in one pool, as with one owner that holds everything, so that nothing
but the choice differs: no allocation, no rounds. One cell is one selection and one fine-tune of
the baseline on the trainer's data, the hard set sent (a tenth of each batch) and the picks (a
quarter). Baseline, hard set, pool and own-hard-set are the same for all methods of a seed.

Accuracies are on test examples that no decision could see; "failures" are those of them that the
baseline gets wrong. Intervals are 95 % over seeds (Student's t), of differences paired by seed,
each for itself; a star marks a difference that is also clear of zero at 5 % after Holm's
correction over all methods and budgets of its table. Cells are kept one by one in
OUT/selection-SCENARIO.jsonl, and a second call goes on where the first one stopped; remove the
file after a change to a method. The table `choices` (how many atoms a match may spend,
Euclidean or cosine) has seeds of its own, from 100 on: it is what defaults were chosen by.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy import stats

from benchmarks.selection.cells import (
    BUDGETS,
    CONTROL,
    FIRST_SEED,
    OWN,
    RANDOM,
    ROWS,
    key_of,
    run_missing,
)
from benchmarks.tables import paired, points, row, rule, share, stored
from mycroft_fl.statistics import Estimate, over_seeds

SCENARIOS = ("rotated-digits", "scarce-fashion", "scarce-cifar10")


def main() -> None:
    """Run what is missing, then print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("scenarios", nargs="*", default=SCENARIOS)
    parser.add_argument("--table", choices=sorted(ROWS), default="methods")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results")
    options = parser.parse_args()
    tables = []
    for scenario in options.scenarios:
        store = options.out / f"selection-{Path(scenario).stem}.jsonl"
        first = FIRST_SEED[options.table]
        seeds = range(first, first + options.seeds)
        finished = Parallel(n_jobs=options.jobs, return_as="generator_unordered")(
            delayed(run_missing)(scenario, options.table, seed, store) for seed in seeds
        )
        for done, _ in enumerate(finished, start=1):
            print(f"{scenario}: {done} of {options.seeds} seeds", flush=True)
        tables.append(Table(scenario, seeds, tuple(ROWS[options.table]), stored(store)))
    for table in tables:
        print(f"\n{table.text()}")
    if len(tables) > 1:
        print(f"\n{over_all(tables)}")


@dataclass(frozen=True)
class Table:
    """All cells of one scenario."""

    scenario: str
    seeds: range
    rows: tuple[str, ...]
    results: dict[str, dict[str, Any]]

    def values(self, name: str, budget: int, what: str = "failures") -> list[float]:
        """One value a seed."""
        return [float(self.results[key_of(name, budget, seed)][what]) for seed in self.seeds]

    def mean_over_budgets(self, name: str, what: str = "failures") -> list[float]:
        """One value a seed: the mean over the budgets."""
        return list(np.mean([self.values(name, budget, what) for budget in BUDGETS], axis=0))

    def text(self) -> str:
        """Accuracy on failures, differences to both rivals, and which is best."""
        head = ["accuracy on the failures", *map(str, BUDGETS), "mean", "whole test", "other groups",
                "useful picks", "picked of 128"]  # fmt: skip
        lines = [f"## {self.scenario}, {len(self.seeds)} seeds", "", row(head), rule(len(head))]
        for name in (CONTROL, OWN):
            output = [
                share(over_seeds(self.values(name, 0, w))) for w in ("failures", "test", "others")
            ]
            lines.append(row([name, *[""] * len(BUDGETS), *output, "", ""]))
        lines += [self._row(name) for name in self.by_mean()]
        for rival in (OWN, RANDOM):
            lines += ["", *self._against(rival)]
        return "\n".join([*lines, "", self.verdict()])

    def by_mean(self) -> list[str]:
        """The rows, the best mean over budgets first."""
        return sorted(self.rows, key=lambda name: -np.mean(self.mean_over_budgets(name)))

    def verdict(self) -> str:
        """The best row, over budgets and at each, and those not clearly below it."""
        lines = [f"- **Best over all budgets**: {_level(self.rows, self.mean_over_budgets)}"]
        lines += [
            f"- At {budget}: {_level(self.rows, lambda name, b=budget: self.values(name, b), gaps=False)}"
            for budget in BUDGETS
        ]
        return "\n".join(lines)

    def _row(self, name: str) -> str:
        means = [
            over_seeds(self.mean_over_budgets(name, what))
            for what in ("failures", "test", "others", "useful")
        ]
        count = over_seeds(self.values(name, BUDGETS[-1], "picked")).mean
        at = [over_seeds(self.values(name, budget)) for budget in BUDGETS]
        return row([name, *map(share, at), *map(share, means), f"{count:.0f}"])

    def _against(self, rival: str) -> list[str]:
        rows = [name for name in self.by_mean() if name != rival]
        pairs = {
            (name, budget): (
                self.values(name, budget), self.values(rival, 0 if rival == OWN else budget)
            )
            for name in rows
            for budget in BUDGETS
        }  # fmt: skip
        stars = dict(zip(pairs, holm([_p_value(*pair) for pair in pairs.values()]), strict=True))
        head = [f"over {rival}", *map(str, BUDGETS)]
        return [
            row(head),
            rule(len(head)),
            *(
                row([
                    name,
                    *(
                        points(paired(*pairs[name, budget])) + ("*" if stars[name, budget] else "")
                        for budget in BUDGETS
                    ),
                ])
                for name in rows
            ),
        ]  # fmt: skip


def over_all(tables: list[Table]) -> str:
    """Each row's mean over scenarios and budgets, and which is best."""

    def values(name: str) -> list[float]:
        return list(np.mean([table.mean_over_budgets(name) for table in tables], axis=0))

    head = ["mean over scenarios and budgets", "failures", "over own-hard-set", "over random"]
    lines = ["## All scenarios", "", row(head), rule(len(head))]
    own = list(np.mean([table.values(OWN, 0) for table in tables], axis=0))
    for name in sorted(tables[0].rows, key=lambda name: -np.mean(values(name))):
        mine = values(name)
        lines.append(row([name, share(over_seeds(mine)), points(paired(mine, own)),
                          "" if name == RANDOM else points(paired(mine, values(RANDOM)))]))  # fmt: skip
    return "\n".join([*lines, "", f"- **Best**: {_level(tables[0].rows, values)}"])


def holm(p_values: list[float], level: float = 0.05) -> list[bool]:
    """Which hypotheses fall, at `level` over all of them together (Holm 1979)."""
    falls = [False] * len(p_values)
    for place, i in enumerate(np.argsort(p_values, kind="stable")):
        if not p_values[i] <= level / (len(p_values) - place):  # nor is NaN, of a single seed
            break
        falls[i] = True
    return falls


def _level(
    rows: tuple[str, ...], values: Callable[[str], list[float]], *, gaps: bool = True
) -> str:
    """The best row and those whose interval of the difference to it reaches zero."""
    best = max(rows, key=lambda name: float(np.mean(values(name))))
    behind = {name: paired(values(name), values(best)) for name in rows if name != best}
    level = [
        f"{name} ({points(gap)})" if gaps else name
        for name, gap in _by_gap(behind)
        if not gap.is_clear_of_zero
    ]
    return f"{best}, {share(over_seeds(values(best)))}" + (
        "; not clearly below: " + ", ".join(level) if level else "; all others clearly below"
    )


def _by_gap(behind: dict[str, Estimate]) -> list[tuple[str, Estimate]]:
    return sorted(behind.items(), key=lambda pair: -pair[1].mean)


def _p_value(values: list[float], others: list[float]) -> float:
    if len(values) < 2:
        return float("nan")
    if values == others:
        return 1.0
    return float(stats.ttest_rel(values, others).pvalue)


if __name__ == "__main__":
    main()
