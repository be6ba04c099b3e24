"""Noised answers against raw picks: ranking owners, drawing examples, training on noised gradients.

    python -m benchmarks.privacy ranking  --task fashion|rotated|noisy|intrusion [--seeds 10]
    python -m benchmarks.privacy by-class --task fashion|rotated|noisy|intrusion
    python -m benchmarks.privacy drawing  --task fashion|rotated|intrusion
    python -m benchmarks.privacy gradient --task fashion|rotated|intrusion
    python -m benchmarks.privacy dp-sgd   --task fashion|rotated|intrusion
    python -m benchmarks.privacy published --task fashion|rotated|intrusion
    python -m benchmarks.privacy target   --task fashion|rotated|intrusion
    python -m benchmarks.privacy detector --task fashion|rotated

`ranking`: twelve owners of distinct shares of the group that the trainer fails on; Kendall's tau-b of
the ranking against the true shares, by the score at each epsilon (per record, add/remove, delta 1e-5),
by 50 raw OMP picks (fine-tuned), and by the mean relevance of 50 random records.
`by-class`: the same ranking by scores by class (`score.by = "class"`) beside those by the hard set;
and of single classes' sums the mean tau-b, over the classes that most owners hold failing records of,
against how many of them each owner holds.
`drawing`: one owner of 8,000 examples, 15 % of the group; accuracy on the failures with fifty examples
drawn at each strength, by OMP, at random, with the own hard set, and the control.
`gradient`: the same owner; accuracy on the failures and on the whole test by noised gradients at each
epsilon, by the same steps without a target, without knowing of failures and with a perfect target, by
raw OMP picks, the own hard set and the control.
`dp-sgd`: the same by one run of DP-SGD at the owner.
`published`: what twelve owners' published scores (`publish-epsilon`) keep of the trainer's own ranking.
`target`: fifty picks by a noised target (`request = "target"`) beside fifty by the hard set.
`detector`: attacks on a failure detector (`request = "detector"`): whether a failure was among those that
it was learnt from, and how near the direction of its gradient comes to one of them.
The noise is seeded (SIMULATED). One cell is one seed, kept in OUT/privacy-TABLE-TASK.jsonl; a second
call goes on where the first one stopped. Means and 95 % intervals over seeds are printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.privacy.detector import detector
from benchmarks.privacy.gradient import dp_sgd, gradient
from benchmarks.privacy.gumbel import drawing, shares_of_gain
from benchmarks.privacy.published import published
from benchmarks.privacy.ranking import by_class, ranking
from benchmarks.privacy.target import target
from benchmarks.privacy.worlds import SETTINGS
from benchmarks.tables import keep, paired, points, row, rule, stored
from mycroft_fl.statistics import over_seeds

TABLES: dict[str, Callable[[str, int], dict[str, float]]] = {
    "ranking": ranking,
    "by-class": by_class,
    "drawing": drawing,
    "gradient": gradient,
    "dp-sgd": dp_sgd,
    "published": published,
    "target": target,
    "detector": detector,
}


def main() -> None:
    """Run what is missing of a table, then print its means with intervals."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("table", choices=list(TABLES))
    parser.add_argument("--task", choices=list(SETTINGS), default="fashion")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results")
    given = parser.parse_args()
    torch.set_num_threads(1)
    store = given.out / f"privacy-{given.table}-{given.task}.jsonl"
    for seed in range(given.seeds):
        if str(seed) not in stored(store):
            keep(store, str(seed), TABLES[given.table](given.task, seed))
            print(f"seed {seed} of {given.seeds}", flush=True)
    found = [stored(store)[str(seed)] for seed in range(given.seeds)]
    shares = shares_of_gain(found) if given.table == "drawing" else {}
    beside = all("random" in each for each in found)
    more = ["over random, points"] * beside + ["share of OMP's gain"] * bool(shares)
    print(row([given.task, "mean", "±", *more]))
    print(rule(3 + len(more)))
    for way in dict.fromkeys(way for each in found for way in each):
        output = over_seeds([each[way] for each in found if way in each])
        if beside:
            gain = paired([each[way] for each in found], [each["random"] for each in found])
            more = [points(gain), *([f"{shares[way]:.2f}"] if shares else [])]
        print(row([way, f"{output.mean:.3f}", f"{output.half_width:.3f}", *more]))


if __name__ == "__main__":
    main()
