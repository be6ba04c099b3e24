"""Which method picks best: every method, three data sets, four budgets, ten seeds.

    python benchmarks/selection.py [SCENARIO ...] [--seeds 10] [--jobs 2] [--out benchmarks/results]

All owners' candidates lie in one pool, as with one owner that holds everything, so that nothing
but the choice differs: no allocation, no rounds. One cell is one selection and one fine-tune of
the baseline on the trainer's data, the hard set sent (a tenth of each batch) and the picks (a
quarter). Baseline, hard set, pool and own-hard-set are the same for all methods of a seed.

Accuracies are on test examples that no decision could see; "failures" are those of them that the
baseline gets wrong. Intervals are 95 % over seeds (Student's t), of differences paired by seed,
each for itself; a star marks a difference that is also clear of zero at 5 % after Holm's
correction over all methods and budgets of its table. Cells are kept one by one in
OUT/selection-SCENARIO.jsonl, and a second call goes on where the first one stopped; remove the
file after a change to a method.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from scipy import stats
from tables import keep, paired, points, row, rule, share, stored

from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import correct
from mycroft_fl.models.networks import Classifier
from mycroft_fl.report.statistics import Estimate, over_seeds
from mycroft_fl.seeds import derived_seed
from mycroft_fl.selection import Query, method_named
from simulations.simulation import Simulation
from strategies.trainer import Trainer

SCENARIOS = ("rotated-digits", "scarce-fashion", "scarce-cifar10")
BUDGETS = (16, 32, 64, 128)
OWN, CONTROL, RANDOM = "own-hard-set", "control", "random"
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "omp": ("omp", {}),
    "omp, all layers": ("omp", {"gradient_layers": "all"}),
    "omp-whole": ("omp-whole", {}),
    "omp-whole, all layers": ("omp-whole", {"gradient_layers": "all"}),
    "omp-each": ("omp-each", {}),
    "gradient-neighbours": ("gradient-neighbours", {}),
    "gradient-neighbours, all layers": ("gradient-neighbours", {"gradient_layers": "all"}),
    "features": ("features", {}),
    "features, model's space": ("features", {"feature_space": "model"}),
    "hard-features": ("hard-features", {}),
    "funcfeat": ("funcfeat", {}),
    "funcfeat, rehearsed": ("funcfeat", {"feature_weight": 0.0}),
    "coverage": ("coverage", {}),
    "coverage, model's space": ("coverage", {"feature_space": "model"}),
    "omp-coverage": ("omp-coverage", {}),
    "knn-shapley": ("knn-shapley", {}),
    "transport": ("transport", {}),
    RANDOM: ("random", {}),
}
"""A row's name: the method, and the settings that differ from their default."""


def main() -> None:
    """Run what is missing, then print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("scenarios", nargs="*", default=SCENARIOS)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    tables = []
    for scenario in options.scenarios:
        store = options.out / f"selection-{Path(scenario).stem}.jsonl"
        finished = Parallel(n_jobs=options.jobs, return_as="generator_unordered")(
            delayed(run_missing)(scenario, seed, store) for seed in range(options.seeds)
        )
        for done, _ in enumerate(finished, start=1):
            print(f"{scenario}: {done} of {options.seeds} seeds", flush=True)
        tables.append(Table(scenario, options.seeds, stored(store)))
    for table in tables:
        print(f"\n{table.text()}")
    if len(tables) > 1:
        print(f"\n{over_all(tables)}")


def key_of(name: str, budget: int, seed: int) -> str:
    """Names a cell."""
    return f"{name}|{budget}|{seed}"


def cells(seed: int) -> Iterator[tuple[str, int, str]]:
    """Row, budget and key of every cell of a seed; the references come once, with budget 0."""
    for name in (CONTROL, OWN):
        yield name, 0, key_of(name, 0, seed)
    for name in ROWS:
        for budget in BUDGETS:
            yield name, budget, key_of(name, budget, seed)


def run_missing(scenario: str, seed: int, store: Path) -> None:
    """The cells of one seed that `store` lacks; all share one baseline."""
    known = stored(store)
    missing = [cell for cell in cells(seed) if cell[2] not in known]
    if not missing:
        return
    torch.set_num_threads(1)
    bench = Bench.prepared(scenario, seed)
    for name, budget, key in missing:
        keep(store, key, bench.cell(name, budget))


@dataclass(frozen=True, eq=False)
class Bench:
    """One scenario and seed: the trainer with its baseline, the pool, and the test examples."""

    trainer: Trainer
    pool: Examples
    groups: np.ndarray
    test: Examples
    test_groups: np.ndarray
    right_before: np.ndarray

    @classmethod
    def prepared(cls, scenario: str, seed: int) -> Bench:
        with tempfile.TemporaryDirectory() as folder:
            simulation = Simulation.load(
                scenario, {"seed": seed}, Path(folder) / "run", engine="in-process"
            )
            setup, world = simulation.trainer_setup(), simulation.world
            trainer = Trainer(setup.task, setup.data, setup.config)
        names = [owner.name for owner in simulation.scenario.owners]
        test = world.trainer("test")
        return cls(
            trainer,
            Examples.concatenate([world.owner(name) for name in names]),
            np.concatenate([world.owner_groups(name) for name in names]),
            test,
            world.trainer_groups("test"),
            correct(trainer.baseline, test),
        )

    def cell(self, name: str, budget: int) -> dict[str, Any]:
        """One selection and one fine-tune."""
        if name in (CONTROL, OWN):
            return self._judged(
                self.trainer.control if name == CONTROL else self.trainer.own_hard_set
            )
        picked = self._picked(name, budget)
        return self._judged(self.trainer.improved(self.pool[picked])) | {
            "picked": len(picked),
            "useful": float((self.groups[picked] == self._failing).mean()) if len(picked) else 0.0,
        }

    @property
    def _failing(self) -> str:
        """The group that the baseline fails on."""
        groups = np.unique(self.test_groups)
        reached = [self.right_before[self.test_groups == group].mean() for group in groups]
        return str(groups[int(np.argmin(reached))])

    def _judged(self, model: Classifier) -> dict[str, Any]:
        right = correct(model, self.test)
        return {
            "failures": float(right[~self.right_before].mean()),
            "test": float(right.mean()),
            "others": float(right[self.test_groups != self._failing].mean()),
        }

    def _picked(self, name: str, budget: int) -> np.ndarray:
        method, settings = ROWS[name]
        settings = {"feature_space": self.trainer.config.feature_space} | settings
        if settings.get("feature_weight") == 0.0:
            settings["feature_weight"] = self._rehearsed(method)
        query = Query(
            self.trainer.hard_set.sent,
            self.trainer.baseline,
            seed=derived_seed(self.trainer.config.seed, "select", "everyone", 1),
            **settings,
        )
        return method_named(method).select(self.pool, query, budget).indices

    def _rehearsed(self, method: str) -> float:
        from dataclasses import replace

        from strategies.rehearsal import rehearsed_feature_weight

        self.trainer.config = replace(self.trainer.config, method=method)
        return rehearsed_feature_weight(self.trainer)


@dataclass(frozen=True)
class Table:
    """All cells of one scenario."""

    scenario: str
    seeds: int
    results: dict[str, dict[str, Any]]

    def values(self, name: str, budget: int, what: str = "failures") -> list[float]:
        """One value a seed."""
        return [float(self.results[key_of(name, budget, seed)][what]) for seed in range(self.seeds)]

    def mean_over_budgets(self, name: str, what: str = "failures") -> list[float]:
        """One value a seed: the mean over the budgets."""
        return list(np.mean([self.values(name, budget, what) for budget in BUDGETS], axis=0))

    def text(self) -> str:
        """Accuracy on failures, differences to both rivals, and which is best."""
        head = ["accuracy on the failures", *map(str, BUDGETS), "mean", "whole test", "other groups",
                "useful picks", "picked of 128"]  # fmt: skip
        lines = [f"## {self.scenario}, {self.seeds} seeds", "", row(head), rule(len(head))]
        for name in (CONTROL, OWN):
            told = [
                share(over_seeds(self.values(name, 0, w))) for w in ("failures", "test", "others")
            ]
            lines.append(row([name, *[""] * len(BUDGETS), *told, "", ""]))
        lines += [self._row(name) for name in self.by_mean()]
        for rival in (OWN, RANDOM):
            lines += ["", *self._against(rival)]
        return "\n".join([*lines, "", self.verdict()])

    def by_mean(self) -> list[str]:
        """The rows, the best mean over budgets first."""
        return sorted(ROWS, key=lambda name: -np.mean(self.mean_over_budgets(name)))

    def verdict(self) -> str:
        """The best row, over budgets and at each, and those not clearly below it."""
        lines = [f"- **Best over all budgets**: {_level(self.mean_over_budgets)}"]
        lines += [
            f"- At {budget}: {_level(lambda name, b=budget: self.values(name, b))}"
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
    for name in sorted(ROWS, key=lambda name: -np.mean(values(name))):
        mine = values(name)
        lines.append(row([name, share(over_seeds(mine)), points(paired(mine, own)),
                          "" if name == RANDOM else points(paired(mine, values(RANDOM)))]))  # fmt: skip
    return "\n".join([*lines, "", f"- **Best**: {_level(values)}"])


def holm(p_values: list[float], level: float = 0.05) -> list[bool]:
    """Which hypotheses fall, at `level` over all of them together (Holm 1979)."""
    falls = [False] * len(p_values)
    for place, i in enumerate(np.argsort(p_values, kind="stable")):
        if not p_values[i] <= level / (len(p_values) - place):  # nor is NaN, of a single seed
            break
        falls[i] = True
    return falls


def _level(values: Any) -> str:
    """The best row and those whose interval of the difference to it reaches zero."""
    best = max(ROWS, key=lambda name: float(np.mean(values(name))))
    behind = {name: paired(values(name), values(best)) for name in ROWS if name != best}
    level = [f"{name} ({points(gap)})" for name, gap in _by_gap(behind) if not gap.is_clear_of_zero]
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
