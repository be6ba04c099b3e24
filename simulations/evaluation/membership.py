"""An attack that only a simulator can make on the model a run ended with: was this record among what made it?

Membership inference against one owner, the first of the ranking whose records moved the model. What
moved it is repeated, each time with about half of them and all else as it was: the trainer's data,
what other owners answered. An owner's noised answers are drawn anew by the code that drew the first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clients.answering.noised import release_of
from clients.answering.trainer_view import TrainerView, ViewCache, in_range
from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import AnyModel
from mycroft_fl.models.networks import Classifier
from mycroft_fl.privacy.attacks.membership import (
    FineTune,
    auc_between_models,
    auc_ceiling,
    paired_shadows,
)
from mycroft_fl.privacy.audits.bounds import membership_ceiling
from mycroft_fl.privacy.noise.accounting import ORDERS, Spend, epsilon_at
from mycroft_fl.privacy.noise.samplers import simulated
from mycroft_fl.privacy.spending.ledger import PrivacyLedger
from mycroft_fl.report.run.result import Attack
from mycroft_fl.seeds import derived_seed
from simulations.setup.simulation import Simulation
from strategies.mycroft import MycroftStrategy
from strategies.noised.steps import NoisedSteps
from strategies.rounds.plans import plans_of
from strategies.rounds.run_state import Answers, Progress

PAIRS = 8
"""Pairs of models: sixteen are fine-tuned for one attack."""
FEWEST = 8
"""Fewest records to attack; with fewer an attack says nothing."""
DELTAS = np.concatenate([np.geomspace(1e-9, 0.05, 24), np.linspace(0.06, 0.6, 28)])


@dataclass(frozen=True, eq=False)
class Victim:
    """An owner under attack: records of it that moved the model, and how others would have."""

    owner: str
    pool: Examples
    improved: FineTune
    ceiling: float | None


def attacked(simulation: Simulation, strategy: MycroftStrategy) -> Attack | None:
    """Try LiRA on an owner whose records moved the model; None where no owner's did.

    `ceiling` is the best AUC that what the owner's ledger charged allows, None where examples were
    handed over. By record: nothing is attacked where an owner hides persons.
    """
    hands_over = any(plan.hands_over for plan in plans_of(simulation.config.mode))
    victim = _handed_over(strategy) if hands_over else _noised(simulation, strategy)
    if victim is None or len(victim.pool) < FEWEST:
        return None
    seed = derived_seed(simulation.config.seed, "membership")
    found = paired_shadows(victim.improved, victim.pool, PAIRS, seed=seed)
    return Attack(
        owner=victim.owner,
        records=len(victim.pool),
        models=2 * PAIRS,
        auc=auc_between_models(found),
        ceiling=victim.ceiling,
    )


def best_possible(spends: Sequence[Spend]) -> float:
    """Compute the best AUC of any attack on what these charges paid for.

    Noised sums are of Gaussian DP, mu^2 = 2 rho. Of DP-SGD its Rényi profile is what is known: a
    ceiling that is a little too high.
    """
    if all(spend.sgd is None for spend in spends):
        return membership_ceiling(math.sqrt(2 * sum(spend.rho for spend in spends)))
    renyi = [(order, sum(spend.renyi(order) for spend in spends)) for order in ORDERS]
    epsilons = [min(epsilon_at(curve, order, delta) for order, curve in renyi) for delta in DELTAS]
    return auc_ceiling(np.array(epsilons), DELTAS)


def _handed_over(strategy: MycroftStrategy) -> Victim | None:
    """Take the records that an owner handed over, and the fine-tune on those and all others'."""
    giving = {
        record.owner: record.subset()
        for record, _ in strategy.scoreboard.ranking()
        if record.disclosed and not record.does_harm
    }
    if not giving:
        return None
    owner = next(iter(giving))
    others = [giving[name] for name in sorted(giving) if name != owner]

    def improved(members: Examples, seed: int) -> Classifier:
        acquired = Examples.concatenate([*others, members])
        return _network(strategy.trainer.final(acquired, repeat=seed).model)

    return Victim(owner, giving[owner], improved, None)


def _noised(simulation: Simulation, strategy: MycroftStrategy) -> Victim | None:
    """Take the records of an owner whose noised answers moved the model, and the run with other noise."""
    stepped = {owner for heard in strategy.heard[1:] for owner in heard.statistics}
    ranked = [record.owner for record, _ in strategy.scoreboard.ranking()]
    name = next((owner for owner in ranked if owner in stepped), None)
    if name is None or len(strategy.heard) < len(strategy.rounds):
        return None
    if not strategy.final.has_owners:
        return None  # no record of an owner has a part in it
    held = simulation.world.records(name)
    if held.units is not None:
        return None
    plan, trainer = plans_of(simulation.config.mode)[1], strategy.trainer
    policy = simulation.policy(next(o for o in simulation.scenario.owners if o.name == name))

    def improved(members: Examples, seed: int) -> Classifier:
        noise, kept = simulated(seed), ViewCache()
        first, *later = strategy.heard
        begun = NoisedSteps.begun(trainer, first.statistics, strategy.scoreboard.scored())
        progress = Progress(
            trainer, trainer.baseline, strategy.scoreboard, begun, strategy.progress.target
        )
        for number, heard in enumerate(later, start=2):
            answers = dict(heard.statistics)
            if name in answers:
                request = progress.request(number, plan.answer, 1, **plan.brings(progress))
                view = TrainerView.of(request, members)
                answers[name] = release_of(view, members, policy, kept=kept).draw(noise)
            plan.learn(progress, Answers(heard.owners, answers))
        return _network(progress.model)

    request = strategy.progress.request(1, plan.answer, 1)
    pool = held.examples[in_range(request, held.examples)]
    rows = PrivacyLedger(simulation.folder.owner(name) / "ledger.sqlite").rows()
    return Victim(name, pool, improved, best_possible([row.spend for row in rows]))


def _network(model: AnyModel) -> Classifier:
    assert isinstance(model, Classifier)  # what else is attacked has been refused before the run
    return model
