"""What a reader must know before believing a run's figures: the warnings of result.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from simulations.population.world import World
from simulations.setup.simulation import Simulation
from strategies.mycroft import MycroftStrategy
from strategies.rounds.plans import plans_of
from strategies.rounds.scoreboard import Scoreboard
from strategies.training.trainer import Trainer

TOLERATED_FALL = 0.03
LEAST_AGREEMENT = 0.1

Reached = Mapping[str, Any]
"""A model's accuracies: `hard`, `test`, and by group."""


def run_warnings(
    simulation: Simulation, strategy: MycroftStrategy, models: Mapping[str, Reached], lucky: Reached
) -> list[str]:
    """All of them. `lucky` is what as many random picks reached, in place of the chosen ones."""
    scoreboard, scenario = strategy.scoreboard, simulation.scenario
    return [
        *_of_hard_set(strategy.trainer, simulation.config.hard_set_sent),
        *_of_noise(scoreboard),
        *_of_luck(simulation, scoreboard, models["final"]["hard"], lucky["hard"]),
        *_of_owners([owner.name for owner in scenario.owners], scoreboard),
        *_of_groups(models["control"]["groups"], models["final"]["groups"]),
        *_of_data(simulation.world, reused=any(owner.reuse for owner in scenario.owners)),
    ]


def _of_hard_set(trainer: Trainer, wanted: int) -> Iterator[str]:
    sent = len(trainer.hard_set.sent)
    if sent < wanted:
        yield f"only {sent} hard examples were found, {wanted} were to be sent"
    agreement = trainer.hard_set_agreement()
    if agreement < LEAST_AGREEMENT:
        yield (
            f"the hard set does not agree with itself (halves at cosine {agreement:.2f}): it is too "
            "small or too mixed to say what the model lacks; send more with hard-set.sent"
        )


def _of_noise(scoreboard: Scoreboard) -> Iterator[str]:
    cards = [card for each in scoreboard.records.values() for card in each.cards]
    if any(card.noise == "SIMULATED" for card in cards):
        yield "SIMULATED noise: whoever knows the seed can subtract it; nothing is hidden"


def _of_luck(
    simulation: Simulation, scoreboard: Scoreboard, reached: float | None, lucky: float | None
) -> Iterator[str]:
    """Where examples were to be acquired: whether they were, and did more than random ones."""
    method = simulation.config.method
    if not any(plan.hands_over for plan in plans_of(simulation.config.mode)):
        return
    if not scoreboard.disclosed:
        yield "nothing was acquired: no owner handed anything over"
    elif method in ("random", "full") or reached is None or lucky is None:
        return
    elif reached <= lucky:
        how = "equal to" if reached == lucky else "worse than"
        yield (
            f"method {method} is {how} random picks of the same number ({reached:.3f} against "
            f"{lucky:.3f} on the failures): look for a broken similarity"
        )


def _of_owners(expected: list[str], scoreboard: Scoreboard) -> Iterator[str]:
    absent = [name for name in expected if name not in scoreboard.records]
    if absent:
        yield f"did not answer the roll and were not asked: {', '.join(absent)}"
    if scoreboard.buys_nothing:
        yield "no owner's lower bound is above zero: buy from nobody"


def _of_groups(control: Mapping[str, float], final: Mapping[str, float]) -> Iterator[str]:
    for group, after in final.items():
        before = control[group]
        if after < before - TOLERATED_FALL:
            yield f"accuracy on {group} fell from {before:.3f} (control) to {after:.3f}"


def _of_data(world: World, *, reused: bool) -> Iterator[str]:
    if world.duplicates:
        yield f"{world.duplicates} duplicate examples were dropped before drawing"
    if world.overlap:
        yield f"{world.overlap} rows of the test file stand in the other file too: dropped"
    if reused:
        yield "owners hold examples that other owners hold too, slightly shifted (reuse)"
