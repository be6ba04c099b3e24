"""Wrong labels among a trainer's validation examples, and what they cost on the failures.

    python -m benchmarks.label_noise [--scenarios rotated-digits,pacs-sketch,three-groups] [--seeds 10]
                                     [--first-seed 10] [--shares 0.05,0.2] [--out benchmarks/results]

Runs are those of `benchmarks.shifts` with the rule detector-counted; a share of the labels is drawn
anew. The cost is paired with the run without, seed by seed, in points on the failures of the test set.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.shifts.runs import Result, Run, results_of
from benchmarks.tables import paired, points, row, rule

RULE = "detector-counted"
MODELS = ("free", "final")


def costs(clean: Mapping[int, Result], noisy: Mapping[int, Result]) -> list[str]:
    """Write what free and final model reach less than without wrong labels, by the seeds of both."""
    seeds = sorted(set(clean) & set(noisy))
    return [
        points(
            paired(
                [noisy[seed][model]["hard"] for seed in seeds],
                [clean[seed][model]["hard"] for seed in seeds],
            )
        )
        for model in MODELS
    ]


def by_seed(world: str, share: float, seeds: Sequence[int], out: Path) -> dict[int, Result]:
    """Run a world with a share of wrong labels, or take what is kept."""
    given = (("trainer.label-noise", share),) if share else ()
    runs = [Run(world, RULE, given, seed) for seed in seeds]
    return {run.seed: result for run, result in results_of(runs, out).items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--scenarios", default="rotated-digits,pacs-sketch,three-groups")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=10)
    parser.add_argument("--shares", default="0.05,0.2")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    head = ["world", "wrong labels", *MODELS]
    print(row(head), rule(len(head)), sep="\n")
    for world in options.scenarios.split(","):
        clean = by_seed(world, 0.0, seeds, options.out)
        for share in map(float, options.shares.split(",")):
            noisy = by_seed(world, share, seeds, options.out)
            print(row([world, f"{100 * share:g} %", *costs(clean, noisy)]))


if __name__ == "__main__":
    main()
