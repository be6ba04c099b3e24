"""After a run: the saved models on the test examples, and all that the result says."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from mycroft_fl.errors import DataError, RunFailed
from mycroft_fl.examples import Examples
from mycroft_fl.models.catalogue import build_model
from mycroft_fl.models.fitting import AnyModel, correct
from mycroft_fl.models.weights import loaded, suffix_of
from mycroft_fl.report.run.files import check_result
from mycroft_fl.report.run.summary import summary
from mycroft_fl.seeds import derived_seed
from simulations.evaluation.environment import environment
from simulations.evaluation.held_out import HeldOut
from simulations.evaluation.membership import attacked
from simulations.evaluation.warnings import run_warnings
from simulations.setup.simulation import Simulation
from strategies.mycroft import MycroftStrategy
from strategies.rounds.owner_record import OwnerRecord

SCHEMA = 1
MODELS = ("baseline", "control", "own-hard-set", "final")
UNCHECKED = "unchecked.json"


def evaluate(simulation: Simulation, strategy: MycroftStrategy) -> None:
    """Write result.json and summary.md. No decision of the run can depend on anything here."""
    result = result_of(simulation, strategy)
    try:
        check_result(result)
    except DataError as error:
        simulation.folder.save_json(UNCHECKED, result)
        raise RunFailed(
            f"the run has finished, but its description is not in order ({error}): there is no "
            f"result.json\nall that the run came to is kept in {simulation.folder.path}, and the "
            f"description as it is in {UNCHECKED}; report this as a bug"
        ) from error
    simulation.folder.save_text("summary.md", summary(result))
    simulation.folder.save_json("result.json", result)


def result_of(simulation: Simulation, strategy: MycroftStrategy) -> dict[str, Any]:
    """All that there is to say of a run, as `result.json` holds it."""
    world = simulation.world
    saved = {name: _saved(simulation, name) for name in MODELS}
    test = world.trainer("test")
    hard = ~correct(saved["baseline"], test)
    tests = HeldOut(test, world.trainer_groups("test"), hard)
    reached = {name: tests.accuracies(model) for name, model in saved.items()}
    luck = strategy.trainer.improved(_random_instead(simulation, strategy))
    lucky = tests.accuracies(luck)

    def gain(rival: AnyModel) -> dict[str, Any]:
        return tests.gain(saved["final"], rival, simulation.config)

    return {
        **_asked(simulation),
        "warnings": run_warnings(simulation, strategy, reached, lucky),
        "baseline": reached["baseline"],
        "control": reached["control"],
        "own_hard_set": reached["own-hard-set"],
        "random": lucky,
        "final": reached["final"],
        "tested": tests.counts(),
        "gains": {
            "control": gain(saved["control"]),
            "own_hard_set": gain(saved["own-hard-set"]),
            "random": gain(luck),
        },
        "rounds": _rounds(simulation, strategy, tests),
        "owners": _owners(simulation, strategy),
        "privacy": _privacy(strategy) + _published(simulation),
        "disclosed": strategy.scoreboard.disclosed,
        "seconds": round(time.monotonic() - strategy.trainer.since, 3),
        "environment": _environment(simulation),
        # After the run's own seconds were read.
        **({"attack": attacked(simulation, strategy)} if simulation.attack != "none" else {}),
    }


def _asked(simulation: Simulation) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "scenario": simulation.scenario.name,
        "method": simulation.config.method,
        "engine": simulation.engine,
        "seed": simulation.config.seed,
        "settings": simulation.settings(),
    }


def _rounds(
    simulation: Simulation, strategy: MycroftStrategy, tests: HeldOut
) -> list[dict[str, Any]]:
    """Every round with what the model reached after it."""
    return [
        {
            **record.as_json(),
            **tests.accuracies(_saved(simulation, f"round-{record.round}")),
        }
        for record in strategy.rounds
    ]


def _saved(simulation: Simulation, name: str) -> AnyModel:
    task = simulation.task
    model = build_model(task.model, task.shape, task.num_classes, seed=0)
    return loaded(model, simulation.folder.model(name, suffix_of(model)))


def _random_instead(simulation: Simulation, strategy: MycroftStrategy) -> Examples | None:
    """As many examples from each owner as it disclosed, but drawn at random.

    Only a simulator can know what luck alone would have brought.
    """
    parts = []
    for name, record in sorted(strategy.scoreboard.records.items()):
        if record.disclosed and not record.does_harm:
            held = simulation.world.owner(name)
            rng = np.random.default_rng(
                derived_seed(simulation.config.seed, "random-instead", name)
            )
            count = min(record.disclosed, len(held))
            parts.append(held[rng.choice(len(held), size=count, replace=False)])
    return Examples.concatenate(parts) if parts else None


def _owners(simulation: Simulation, strategy: MycroftStrategy) -> list[dict[str, Any]]:
    """Every owner of the scenario, from first to last of the ranking."""
    missing = [
        OwnerRecord(owner.name, failure="timeout")
        for owner in simulation.scenario.owners
        if owner.name not in strategy.scoreboard.records
    ]
    return [
        _owner(simulation, record, rank)
        for record, rank in [*strategy.scoreboard.ranking(), *((each, None) for each in missing)]
    ]


def _owner(simulation: Simulation, record: OwnerRecord, rank: int | None) -> dict[str, Any]:
    score, world = record.score, simulation.world
    groups = world.group_counts(record.owner, record.subset()) if record.disclosed else {}
    return {
        "owner": record.owner,
        "status": record.status,
        "rank": rank,
        "score": score.gain if score else None,
        "low": score.low if score else None,
        "high": score.high if score else None,
        "by_class": record.by_class_as_json(),
        "disclosed": record.disclosed,
        "disclosed_groups": groups,
        "holds": world.holds(record.owner),
        "card": record.cards[-1].as_json() if record.cards else None,
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
        for name, record in sorted(strategy.scoreboard.records.items())
        for answer, card in enumerate(record.cards, start=1)
    ]


def _environment(simulation: Simulation) -> dict[str, Any]:
    return {**environment(), "threads": simulation.config.threads}
