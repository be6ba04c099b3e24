"""Attacks at full size on Fashion-MNIST: what each gets, beside the most that is possible.

    python -m benchmarks.privacy.attacks probing    [--seeds 4] [--out benchmarks/results]
    python -m benchmarks.privacy.attacks membership [--seeds 3]

`probing`: an owner of 10,000 images, 50 asked for, strength 4; for each of 100 victims a seed the trainer
knows the upper half of the image and its label. Share of victims handed over by the most similar 50
(`raw`), by `raw-gumbel`, by the same at the strength that an epsilon-minus of 0.0513 pays for (one in
twenty), and by `raw-gumbel` where a noised count must find 860 useful records first (rho for epsilon
0.25 per record, add/remove, delta 1e-5); beside them the exact chance of the only useful record and
the bounds.
`membership`: LiRA with 32 shadow models against a model fine-tuned on 100 of 200 acquired images, by
plain steps of the whole network, by DP-SGD of the last layer (as `publish-model-epsilon` has it) and by
ten noised gradient steps of it, at epsilon 16, 4 and 1 per record, add/remove, delta 1e-5; AUC, and the
ceiling, of DP-SGD from the whole privacy profile (PLD, dp-accounting).
Cells are kept in OUT/attacks-ATTACK.jsonl; a second call goes on where the first one stopped.
"""

from __future__ import annotations

import argparse
import copy
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.privacy.worlds import DELTA, world_of
from benchmarks.tables import keep, row, rule, stored
from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import FineTuneSettings, fine_tune
from mycroft_fl.models.networks import Classifier
from mycroft_fl.models.sources import Source
from mycroft_fl.models.weights import flat_head, load_head
from mycroft_fl.privacy.attacks.findings import STEPS as NOISED_STEPS
from mycroft_fl.privacy.attacks.findings import by_noised_sums
from mycroft_fl.privacy.attacks.membership import auc_ceiling, membership_auc, shadows
from mycroft_fl.privacy.attacks.probing import (
    drawn_share,
    half_known,
    inclusion_of_the_only_useful,
    most_similar,
)
from mycroft_fl.privacy.audits.bounds import membership_ceiling
from mycroft_fl.privacy.noise.accounting import Filter, SgdRun, multiplier_for, sgd_run_within
from mycroft_fl.privacy.noise.mechanisms import (
    UNITS,
    Crowd,
    choice_price,
    strength_by_count,
    strength_within,
)
from mycroft_fl.privacy.noise.samplers import simulated
from mycroft_fl.privacy.relevance.hard_set_target import USEFUL, RecordView, Target
from mycroft_fl.privacy.sgd import HeadRun, Weighted, head_delta
from mycroft_fl.seeds import derived_seed
from mycroft_fl.statistics import over_seeds
from strategies.runs.publisher import CLIP, RATE, SAMPLE_RATE
from strategies.runs.publisher import STEPS as SGD_STEPS

N, PICKS, STRENGTH, CROWD = 10_000, 50, 4.0, 860
ONE_IN_TWENTY = 0.05
VICTIMS, DRAWS = 100, 20
MODELS, POOL, STEPS, BATCH = 32, 200, 150, 32
EPSILONS = (16.0, 4.0, 1.0)
Row = dict[str, float]


def probing(seed: int) -> Row:
    """Shares of victims that a trainer who knows half of each gets."""
    world, trainer = world_of("fashion", {"big": (N - 1500, 1500)}, seed)
    held, typical = world.owner("big"), trainer.train.x.mean(axis=0) / 255
    pool = Examples(held.x.astype(np.float32) / 255, held.y)
    seen, noise = RecordView.through(trainer.baseline, pool), simulated(seed)
    crowd = Crowd(CROWD, multiplier_for(Filter.of(0.25, DELTA).rho), DELTA)
    modest = strength_within(-math.log(1 - ONE_IN_TWENTY), PICKS, N)
    ways = ("raw, most similar", "raw-gumbel, R 4", "raw-gumbel, one in twenty", "in a crowd, R 4")
    got: dict[str, list[float]] = {way: [] for way in ways}
    useful_records = []
    for victim in np.random.default_rng(seed).choice(N, VICTIMS, replace=False).tolist():
        probe = half_known(pool.x[victim], int(pool.y[victim]), typical, seed=victim)
        got["raw, most similar"].append(float(victim in most_similar(pool, probe, PICKS)))
        target = Target.of(trainer.baseline, probe)
        useful = seen.relevances(trainer.baseline.head, target) > USEFUL
        levels = np.where(useful, UNITS, 0).astype(np.int64)
        strengths = {
            "raw-gumbel, R 4": STRENGTH,
            "raw-gumbel, one in twenty": modest,
            "in a crowd, R 4": strength_by_count(levels, STRENGTH, crowd, noise),
        }
        for way, strength in strengths.items():
            got[way].append(drawn_share(useful, victim, PICKS, strength, DRAWS, noise))
        useful_records.append(float(useful.sum()))
    return {way: float(np.mean(shares)) for way, shares in got.items()} | {
        "useful records, median": float(np.median(useful_records)),
        "the only useful record at R 4, exactly": inclusion_of_the_only_useful(N, PICKS, STRENGTH),
        "at the strength for one in twenty": inclusion_of_the_only_useful(N, PICKS, modest),
        "that strength": modest,
        "bound at R 4": -math.expm1(-choice_price(PICKS, STRENGTH, N)),
        "among 860, exactly": inclusion_of_the_only_useful(N, PICKS, STRENGTH, CROWD - 1),
        "bound among 860": -math.expm1(-choice_price(PICKS, STRENGTH, N, CROWD)),
    }


def membership(seed: int) -> Row:
    """AUC of LiRA, plain and at each epsilon, each with its ceiling."""
    world, trainer = world_of("fashion", {"big": (POOL - 60, 60)}, seed)
    pool, baseline = world.owner("big"), trainer.baseline
    settings = FineTuneSettings(STEPS, BATCH, 3e-3)

    def plainly(acquired: Examples, each: int) -> Classifier:
        return fine_tune(baseline, [Source(acquired, 1.0)], settings, seed=each)

    found = {"AUC, plain": membership_auc(shadows(plainly, pool, MODELS, seed=seed)).mean}
    for epsilon in EPSILONS:
        multiplier = noise_for(epsilon)

        def privately(acquired: Examples, each: int, multiplier: float = multiplier) -> Classifier:
            return by_dp_sgd(baseline, acquired, multiplier, each)

        output = membership_auc(shadows(privately, pool, MODELS, seed=seed))
        found[f"AUC, DP-SGD, epsilon {epsilon:g}"] = output.mean
        found[f"ceiling, DP-SGD, epsilon {epsilon:g}"] = ceiling(multiplier)
        mu = math.sqrt(2 * Filter.of(epsilon, DELTA).rho)

        def by_sums(acquired: Examples, each: int, mu: float = mu) -> Classifier:
            noise = simulated(derived_seed(each, "noised sums"))
            return by_noised_sums(baseline, acquired, math.sqrt(NOISED_STEPS) / mu, noise)

        output = membership_auc(shadows(by_sums, pool, MODELS, seed=seed))
        found[f"AUC, noised gradients, epsilon {epsilon:g}"] = output.mean
        found[f"ceiling, noised gradients, epsilon {epsilon:g}"] = membership_ceiling(mu)
    return found


def noise_for(epsilon: float) -> float:
    """The noise multiplier with which all steps cost `epsilon`, as a ledger would account for it."""
    budget = Filter.of(epsilon, DELTA)
    run = sgd_run_within(budget.limit, budget.order, SAMPLE_RATE, SGD_STEPS)
    return run.noise_multiplier


def by_dp_sgd(baseline: Classifier, acquired: Examples, multiplier: float, seed: int) -> Classifier:
    """The last layer after the run of DP-SGD that `publish-model-epsilon` makes."""
    trained = copy.deepcopy(baseline)
    records = Weighted(RecordView.through(trained, acquired), np.ones(len(acquired)))
    run = HeadRun(SgdRun(SAMPLE_RATE, multiplier, SGD_STEPS), CLIP, RATE / (POOL // 2))
    moved = head_delta(trained.head, records, run, simulated(derived_seed(seed, "DP-SGD")))
    load_head(trained, (flat_head(trained) + moved).astype(np.float32))
    return trained


def ceiling(multiplier: float) -> float:
    """The best AUC that the run's exact privacy profile allows."""
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
    from dp_accounting.pld import PLDAccountant

    accountant, step = PLDAccountant(), GaussianDpEvent(multiplier)
    accountant.compose(SelfComposedDpEvent(PoissonSampledDpEvent(SAMPLE_RATE, step), SGD_STEPS))
    epsilons = np.linspace(0, 12, 61)
    return auc_ceiling(epsilons, np.array([accountant.get_delta(each) for each in epsilons]))


ATTACKS: dict[str, Callable[[int], Row]] = {"probing": probing, "membership": membership}


def main() -> None:
    """Run what is missing, then print means with 95 % intervals over seeds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("attack", choices=list(ATTACKS))
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results")
    given = parser.parse_args()
    torch.set_num_threads(1)
    store = given.out / f"attacks-{given.attack}.jsonl"
    for seed in range(given.seeds):
        if str(seed) not in stored(store):
            keep(store, str(seed), ATTACKS[given.attack](seed))
            print(f"seed {seed} of {given.seeds}", flush=True)
    found = [stored(store)[str(seed)] for seed in range(given.seeds)]
    print(row([given.attack, "mean", "±"]))
    print(rule(3))
    for way in found[0]:
        output = over_seeds([each[way] for each in found])
        print(row([way, f"{output.mean:.3f}", f"{output.half_width:.3f}"]))


if __name__ == "__main__":
    main()
