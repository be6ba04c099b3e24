"""After a run: the saved models on the test examples, and all that the result says."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from mycroft_fl.examples import Examples
from mycroft_fl.models.catalogue import build_model
from mycroft_fl.models.fitting import AnyModel, correct
from mycroft_fl.models.weights import loaded, suffix_of
from mycroft_fl.report.schema import check_result
from mycroft_fl.report.summary import summary
from mycroft_fl.seeds import derived_seed
from simulations.environment import environment
from simulations.held_out import HeldOut
from simulations.membership import attacked
from simulations.simulation import Simulation
from strategies.mycroft import MycroftStrategy
from strategies.plans import PLANS
from strategies.standing import Standing

SCHEMA = 1
TOLERATED_FALL = 0.03
LEAST_AGREEMENT = 0.1


def evaluate(simulation: Simulation, strategy: MycroftStrategy) -> None:
    """Write result.json and summary.md. No decision of the run can depend on anything here."""
    result = result_of(simulation, strategy)
    check_result(result)
    simulation.folder.save_text("summary.md", summary(result))
    simulation.folder.save_json("result.json", result)


def result_of(simulation: Simulation, strategy: MycroftStrategy) -> dict[str, Any]:
    """All that there is to say of a run, as `result.json` holds it."""
    world = simulation.world
    saved = {
        name: _saved(simulation, name) for name in ("baseline", "control", "own-hard-set", "final")
    }
    test = world.trainer("test")
    hard = ~correct(saved["baseline"], test)
    tests = HeldOut(test, world.trainer_groups("test"), hard)
    reached = {name: tests.accuracies(model) for name, model in saved.items()}
    final, luck = saved["final"], strategy.trainer.improved(_random_instead(simulation, strategy))
    lucky = tests.accuracies(luck)
    rounds = []
    for record in strategy.rounds:
        after = tests.accuracies(_saved(simulation, f"round-{record.round}"))
        rounds.append({**record.as_json(), **after})
    return {
        "schema": SCHEMA,
        "scenario": simulation.scenario.name,
        "method": simulation.config.method,
        "engine": simulation.engine,
        "seed": simulation.config.seed,
        "settings": simulation.settings(),
        "warnings": _warnings(simulation, strategy, reached, lucky),
        "baseline": reached["baseline"],
        "control": reached["control"],
        "own_hard_set": reached["own-hard-set"],
        "random": lucky,
        "final": reached["final"],
        "tested": tests.counts(),
        "gains": {
            name: tests.gain(final, rival, simulation.config)
            for name, rival in (
                ("control", saved["control"]),
                ("own_hard_set", saved["own-hard-set"]),
                ("random", luck),
            )
        },
        "rounds": rounds,
        "owners": _owners(simulation, strategy),
        "privacy": _privacy(strategy) + _published(simulation),
        "disclosed": strategy.books.disclosed,
        "seconds": round(time.monotonic() - strategy.trainer.since, 3),
        "environment": _environment(simulation),
        # After the run's own seconds were read.
        **({"attack": attacked(simulation, strategy)} if simulation.attack != "none" else {}),
    }


def _saved(simulation: Simulation, name: str) -> AnyModel:
    task = simulation.task
    model = build_model(task.model, task.shape, task.num_classes, seed=0)
    return loaded(model, simulation.folder.model(name, suffix_of(model)))


def _random_instead(simulation: Simulation, strategy: MycroftStrategy) -> Examples | None:
    """As many examples from each owner as it disclosed, but drawn at random.

    Only a simulator can know what luck alone would have brought.
    """
    parts = []
    for name, standing in sorted(strategy.books.standings.items()):
        if standing.disclosed and not standing.does_harm:
            held = simulation.world.owner(name)
            rng = np.random.default_rng(
                derived_seed(simulation.config.seed, "random-instead", name)
            )
            count = min(standing.disclosed, len(held))
            parts.append(held[rng.choice(len(held), size=count, replace=False)])
    return Examples.concatenate(parts) if parts else None


def _owners(simulation: Simulation, strategy: MycroftStrategy) -> list[dict[str, Any]]:
    """Every owner of the scenario, from first to last of the ranking."""
    missing = [
        Standing(owner.name, failure="timeout")
        for owner in simulation.scenario.owners
        if owner.name not in strategy.books.standings
    ]
    return [
        _owner(simulation, standing, rank)
        for standing, rank in [*strategy.books.ranking(), *((each, None) for each in missing)]
    ]


def _owner(simulation: Simulation, standing: Standing, rank: int | None) -> dict[str, Any]:
    score, world = standing.score, simulation.world
    groups = world.group_counts(standing.owner, standing.subset()) if standing.disclosed else {}
    return {
        "owner": standing.owner,
        "status": standing.status,
        "rank": rank,
        "score": score.gain if score else None,
        "low": score.low if score else None,
        "high": score.high if score else None,
        "by_class": standing.by_class_as_json(),
        "disclosed": standing.disclosed,
        "disclosed_groups": groups,
        "holds": world.holds(standing.owner),
        "card": standing.cards[-1].as_json() if standing.cards else None,
    }


def _published(simulation: Simulation) -> list[dict[str, Any]]:
    """The cards of what the trainer published. No owner can have a name with brackets."""
    releases = simulation.folder.read_json("published.json") or []
    return [
        {"owner": "(trainer)", "answer": answer, **release["card"]}
        for answer, release in enumerate(releases, start=1)
    ]


def _privacy(strategy: MycroftStrategy) -> list[dict[str, Any]]:
    """Every release of the run with its card, by owner and in order."""
    return [
        {"owner": name, "answer": answer, **card.as_json()}
        for name, standing in sorted(strategy.books.standings.items())
        for answer, card in enumerate(standing.cards, start=1)
    ]


def _warnings(
    simulation: Simulation,
    strategy: MycroftStrategy,
    reached: Mapping[str, Mapping[str, Any]],
    lucky: Mapping[str, Any],
) -> list[str]:
    """What a reader must know before believing the figures."""
    config, hard_set, warnings = simulation.config, strategy.trainer.hard_set, []
    if len(hard_set.sent) < config.hard_set_sent:
        warnings.append(
            f"only {len(hard_set.sent)} hard examples were found, {config.hard_set_sent} were to be sent"
        )
    agreement = strategy.trainer.hard_set_agreement()
    if agreement < LEAST_AGREEMENT:
        warnings.append(
            f"the hard set does not agree with itself (halves at cosine {agreement:.2f}): it is too "
            "small or too mixed to say what the model lacks; send more with hard-set.sent"
        )
    cards = [card for each in strategy.books.standings.values() for card in each.cards]
    if any(card.noise == "SIMULATED" for card in cards):
        warnings.append(
            "SIMULATED noise: whoever knows the seed can subtract it; nothing is hidden"
        )
    if not any(plan.hands_over for plan in PLANS[config.mode]):
        pass  # nothing to acquire
    elif not strategy.books.disclosed:
        warnings.append("nothing was acquired: no owner handed anything over")
    elif config.method not in ("random", "full"):
        warnings += _against_luck(config.method, reached["final"]["hard"], lucky["hard"])
    absent = [
        each.name
        for each in simulation.scenario.owners
        if each.name not in strategy.books.standings
    ]
    if absent:
        warnings.append(f"did not answer the roll and were not asked: {', '.join(absent)}")
    if strategy.books.buys_nothing:
        warnings.append("no owner's lower bound is above zero: buy from nobody")
    for group, after in reached["final"]["groups"].items():
        before = reached["control"]["groups"][group]
        if after < before - TOLERATED_FALL:
            warnings.append(f"accuracy on {group} fell from {before:.3f} (control) to {after:.3f}")
    if world_duplicates := simulation.world.duplicates:
        warnings.append(f"{world_duplicates} duplicate examples were dropped before drawing")
    if overlap := simulation.world.overlap:
        warnings.append(f"{overlap} rows of the test file stand in the other file too: dropped")
    if any(owner.reuse for owner in simulation.scenario.owners):
        warnings.append("owners hold examples that other owners hold too, slightly shifted (reuse)")
    return warnings


def _against_luck(method: str, reached: float | None, lucky: float | None) -> list[str]:
    if reached is None or lucky is None or reached > lucky:
        return []
    how = "equal to" if reached == lucky else "worse than"
    return [
        f"method {method} is {how} random picks of the same number ({reached:.3f} against "
        f"{lucky:.3f} on the failures): look for a broken similarity"
    ]


def _environment(simulation: Simulation) -> dict[str, Any]:
    return {**environment(), "threads": simulation.config.threads}
