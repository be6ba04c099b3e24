"""Noised answers against raw picks: ranking owners, drawing examples, training on noised gradients.

    python benchmarks/privacy.py ranking  --task fashion|rotated|noisy|intrusion [--seeds 10]
    python benchmarks/privacy.py drawing  --task fashion|rotated|intrusion
    python benchmarks/privacy.py gradient --task fashion|rotated|intrusion

`ranking`: twelve owners of distinct shares of the group that the trainer fails on; Kendall's tau-b of
the ranking against the true shares, by the score at each epsilon (per record, add/remove, delta 1e-5),
by 50 raw OMP picks (fine-tuned), and by the mean relevance of 50 random records.
`drawing`: one owner of 8,000 examples, 15 % of the group; accuracy on the failures with fifty examples
drawn at each strength, by OMP, at random, with the own hard set, and the control.
`gradient`: the same owner; accuracy on the failures and on the whole test by noised gradients at each
epsilon, and by raw OMP picks, the own hard set and the control.
The noise is seeded (SIMULATED). One cell is one seed, kept in OUT/privacy-TABLE-TASK.jsonl; a second
call goes on where the first one stopped. Means and 95 % intervals over seeds are printed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from privacy_drawing import HOLDS, USEFUL, drawing, shares_of_gain
from privacy_ranking import ranking
from privacy_worlds import (
    NO_NOISE,
    SETTINGS,
    noised_policy,
    request_of,
    statistic_of,
    vault_of,
    world_of,
)
from tables import keep, paired, points, row, rule, stored

from clients.policy import Policy
from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import correct
from mycroft_fl.report.statistics import over_seeds
from mycroft_fl.seeds import derived_seed
from strategies.noised import NoisedSteps, relevance_score
from strategies.trainer import Trainer

EPSILONS = (0.5, 1.0, 2.0, 4.0, 8.0, NO_NOISE)
STEPS = 40
PICKS = (25, 50, 100)


def gradient(task: str, seed: int) -> dict[str, float]:
    """Accuracy on the failures and on the whole test, way by way."""
    world, trainer = world_of(task, {"big": (HOLDS - USEFUL, USEFUL)}, seed)
    test, held = world.trainer("test"), world.owner("big")
    hard = ~correct(trainer.baseline, test)
    reached: dict[str, tuple[float, float]] = {}

    def note(way: str, model: torch.nn.Module) -> None:
        right = correct(model, test)
        reached[way] = (float(right[hard].mean()), float(right.mean()))

    note("control", trainer.control)
    note("own-hard-set", trainer.own_hard_set)
    for k in PICKS:
        with tempfile.TemporaryDirectory() as folder:
            vault = vault_of("big", held, Policy(), seed, folder)
            picked = vault.answer(request_of(trainer, "raw", k=k)).disclosed
        note(f"raw, {k} OMP picks", trainer.improved(picked))
        drawn = np.random.default_rng(derived_seed(seed, k)).choice(len(held), k, replace=False)
        note(f"raw, {k} at random", trainer.improved(held[drawn]))
    for epsilon in EPSILONS:
        model = by_noised_gradients(trainer, held, epsilon, seed)
        if model is not None:
            note(f"gradient, epsilon {epsilon:g}", model)
    return {f"{way}: failures": hard for way, (hard, _) in reached.items()} | {
        f"{way}: whole test": whole for way, (_, whole) in reached.items()
    }


def by_noised_gradients(
    trainer: Trainer, held: Examples, epsilon: float, seed: int
) -> torch.nn.Module | None:
    """The model after a score and `STEPS` noised steps, as mode = gradient goes."""
    with tempfile.TemporaryDirectory() as folder:
        vault = vault_of("big", held, noised_policy(epsilon, STEPS + 1), seed, folder, epsilon)
        told = {"big": statistic_of(vault, request_of(trainer, "score"))}
        scores = {"big": relevance_score(told["big"], 0.95)}
        steps = NoisedSteps.begun(trainer, told, scores)
        if steps is None:
            return None
        for step in range(STEPS):
            asked = request_of(trainer, "gradient", server_round=step + 2, head=steps.head)
            steps.step({"big": statistic_of(vault, asked)})
    return steps.best()


TABLES: dict[str, Callable[[str, int], dict[str, float]]] = {
    "ranking": ranking,
    "drawing": drawing,
    "gradient": gradient,
}


def main() -> None:
    """Run what is missing of a table, then print its means with intervals."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("table", choices=list(TABLES))
    parser.add_argument("--task", choices=list(SETTINGS), default="fashion")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args()
    torch.set_num_threads(1)
    store = given.out / f"privacy-{given.table}-{given.task}.jsonl"
    for seed in range(given.seeds):
        if str(seed) not in stored(store):
            keep(store, str(seed), TABLES[given.table](given.task, seed))
            print(f"seed {seed} of {given.seeds}", flush=True)
    found = [stored(store)[str(seed)] for seed in range(given.seeds)]
    shares = shares_of_gain(found) if given.table == "drawing" else {}
    more = ["over random, points", "share of OMP's gain"] if shares else []
    print(row([given.task, "mean", "±", *more]))
    print(rule(3 + len(more)))
    for way in dict.fromkeys(way for each in found for way in each):
        told = over_seeds([each[way] for each in found if way in each])
        if shares:
            gain = paired([each[way] for each in found], [each["random"] for each in found])
            more = [points(gain), f"{shares[way]:.2f}"]
        print(row([way, f"{told.mean:.3f}", f"{told.half_width:.3f}", *more]))


if __name__ == "__main__":
    main()
