"""NSL-KDD: the curve over budgets on three attacks that the trainer lacks, and where random catches up.

    python -m benchmarks.intrusion [--seeds 10] [--first 0] [--jobs 2] [--out benchmarks/results]

One round of equal shares: each of six owners picks its sixth of the budget among its own 3,000
connections, by the method itself; then the trainer's model is fitted with all of them. No
allocation, so that nothing but the choice differs. Owners' examples weigh together a quarter of the
fit, or what their number says where that is more, so that a rival with many is not held down.

`random` goes on until it has everything that owners hold. The example count of the own hard set is
free; the rows "with the hard set" train on it too, the others follow the paper and do not. Accuracy
is that on the missing attacks of the test file, which no decision could see; intervals are 95 % over
seeds (Student's t). Cells are kept one by one in OUT/intrusion.jsonl, and a second call goes on
where the first one stopped; remove the file after a change to a model or method.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from benchmarks.intrusion.cells import BEYOND, BUDGETS, MODELS, Cell, methods_of, run_missing
from benchmarks.tables import points, row, rule, share, stored
from mycroft_fl.statistics import over_seeds

DRAWS = 2000


def main() -> None:
    """Run what is missing, then print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results")
    options = parser.parse_args()
    store = options.out / "intrusion.jsonl"
    seeds = range(options.first, options.first + options.seeds)
    finished = Parallel(n_jobs=options.jobs, return_as="generator_unordered")(
        delayed(run_missing)(seed, store) for seed in seeds
    )
    for done, _ in enumerate(finished, start=1):
        print(f"{done} of {options.seeds} seeds", flush=True)
    curves = Curves(seeds, stored(store))
    for model in MODELS:
        print(f"\n## {model}\n\n{curves.table(model)}")
    print(f"\n{curves.catching_up()}")


@dataclass(frozen=True)
class Curves:
    """All cells of some seeds."""

    seeds: range
    results: dict[str, dict[str, Any]]

    def values(self, what: str, *cell: Any) -> np.ndarray:
        """One value a seed of a cell given by model, method, budget and hard set."""
        keys = [Cell(*cell, seed).key for seed in self.seeds]
        return np.array([self.results[key][what] for key in keys], dtype=np.float64)

    def table(self, model: str) -> str:
        """A row a method, a column a budget; accuracy on the missing attacks."""
        budgets = BUDGETS + BEYOND
        lines = [row(["", *map(str, budgets)]), rule(1 + len(budgets))]
        for method in methods_of(model):
            own = BUDGETS if method != "random" else budgets
            lines.append(self._row(method, model, method, own, False))
            disclosed = [self.values("disclosed", model, method, b, False).mean() for b in own]
            if method != "random":
                lines.append(row([f"{method}: disclosed", *(f"{n:.0f}" for n in disclosed)]))
        for method in ("features", "random"):
            name = f"{method}, with the hard set"
            lines.append(self._row(name, model, method, BUDGETS, True))
        free = share(over_seeds(list(self.values("missing", model, "no owner", 0, True))))
        before = self.values("known", model, "no owner", 0, False)
        lost = [
            points(over_seeds(list(self.values("known", model, "features", b, False) - before)))
            for b in (50, 500)
        ]
        lines += [
            "",
            f"Own hard set, no owner: {free}. Known traffic: {share(over_seeds(list(before)))} without "
            f"owners; {lost[0]} with 50 examples by features, {lost[1]} with 500.",
        ]
        return "\n".join(lines)

    def _row(self, name: str, model: str, method: str, budgets: Any, hard: bool) -> str:
        reached = [
            over_seeds(list(self.values("missing", model, method, b, hard))) for b in budgets
        ]
        return row([name, *map(share, reached)])

    def catching_up(self) -> str:
        """With how many times as many examples random comes as far, and the interval over seeds."""
        lines = [row(["random needs", *map(str, BUDGETS)]), rule(1 + len(BUDGETS))]
        for model in MODELS:
            for method in methods_of(model)[:-1]:
                times = [self._times(model, method, budget) for budget in BUDGETS]
                lines.append(row([f"{model}, {method}", *times]))
        return "\n".join(lines)

    def _times(self, model: str, method: str, budget: int) -> str:
        """Mean curves of seeds drawn again and again give the interval (bootstrap, percentiles)."""
        reached = self.values("missing", model, method, budget, False)
        spent = self.values("disclosed", model, method, budget, False)
        sizes = np.array(BUDGETS + BEYOND, dtype=np.float64)
        lucky = np.stack([self.values("missing", model, "random", int(n), False) for n in sizes])
        rng, n = np.random.default_rng(0), len(self.seeds)
        found = [
            needed(sizes, lucky[:, of].mean(1), reached[of].mean()) / spent[of].mean()
            for of in [np.arange(n), *rng.integers(n, size=(DRAWS, n))]
        ]
        low, high = np.quantile(found[1:], [0.025, 0.975], method="nearest")
        most = sizes[-1] / spent.mean()
        return (
            f"{_times_text(found[0], most)} ({_times_text(low, most)} to {_times_text(high, most)})"
        )


def needed(sizes: np.ndarray, curve: np.ndarray, reached: float) -> float:
    """Where a curve first comes to `reached`, between two sizes on a logarithmic scale."""
    above = np.flatnonzero(curve >= reached)
    if len(above) == 0:
        return float("inf")
    at = int(above[0])
    if at == 0:
        return float(sizes[0])
    part = (reached - curve[at - 1]) / (curve[at] - curve[at - 1])
    return float(np.exp(np.log(sizes[at - 1]) + part * np.log(sizes[at] / sizes[at - 1])))


def _times_text(times: float, most: float) -> str:
    return f"{times:.1f}x" if np.isfinite(times) else f"> {most:.0f}x"


if __name__ == "__main__":
    main()
