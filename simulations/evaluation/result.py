"""The result of a simulation: the saved models on the test examples, and all else there is to say."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from mycroft_fl.errors import DataError, RunFailed
from mycroft_fl.examples import Examples
from mycroft_fl.report.run.answer import answer
from mycroft_fl.report.run.result import OwnerResult, Result
from mycroft_fl.report.run.schema import check_result
from mycroft_fl.report.run.summary import summary
from mycroft_fl.seeds import derived_seed
from simulations.evaluation.membership import attacked
from simulations.evaluation.warnings import run_warnings
from simulations.setup.simulation import Simulation
from strategies.mycroft import MycroftStrategy
from strategies.rounds.owner_record import OwnerRecord
from strategies.runs.environment import versions
from strategies.runs.held_out import HeldOut
from strategies.runs.outcome import (
    BASELINE,
    FINAL,
    failing_of,
    owner_result,
    prices,
    reached,
    releases,
    round_results,
    saved_models,
)

UNCHECKED = "unchecked.json"


def evaluate(simulation: Simulation, strategy: MycroftStrategy) -> None:
    """Write result.json and summary.md. No decision of the run can depend on anything here."""
    found = result_of(simulation, strategy)
    result = replace(found, verdict=answer(found.as_json()).verdict).as_json()
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


def result_of(simulation: Simulation, strategy: MycroftStrategy) -> Result:
    """Evaluate the saved models and collect all that there is to say of a run."""
    world, folder, task = simulation.world, simulation.folder, simulation.task
    config, scoreboard = simulation.config, strategy.scoreboard
    saved = saved_models(folder, task)
    metric = strategy.trainer.metric
    groups = world.trainer_groups("test")
    tests = HeldOut.of(world.trainer("test"), saved[BASELINE], groups, metric)
    luck = strategy.trainer.final(_random_instead(simulation, strategy))
    lucky = tests.accuracies(luck.model)
    known = reached(tests, saved, config)
    known["gains"]["random"] = tests.gains(saved[FINAL], luck.model, config)
    result = Result(
        scenario=simulation.scenario.name,
        method=config.method,
        engine=simulation.engine,
        seed=config.seed,
        settings=simulation.settings(),
        warnings=run_warnings(simulation, strategy, known, lucky),
        metric=metric.name,
        free_is=strategy.trainer.free.name,
        final_is=strategy.final.how,
        failing=failing_of(strategy.trainer),
        front=prices(tests, saved, strategy.final.candidates),
        random=lucky,
        random_is=luck.how,
        **known,
        rounds=round_results(folder, task, strategy.rounds, tests),
        owners=_owners(simulation, strategy),
        privacy=releases(folder, scoreboard),
        disclosed=scoreboard.disclosed,
        seconds=round(time.monotonic() - strategy.trainer.since, 3),
        environment={**versions(), "threads": config.threads},
    )
    if simulation.attack == "none":
        return result
    # After the run's own seconds were read.
    return replace(result, attack=attacked(simulation, strategy), attacked=True)


def _random_instead(simulation: Simulation, strategy: MycroftStrategy) -> Examples | None:
    """Draw, at random, as many examples from each owner as it disclosed.

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


def _owners(simulation: Simulation, strategy: MycroftStrategy) -> list[OwnerResult]:
    """Sum up every owner of the scenario, from first to last of the ranking."""
    scoreboard, world = strategy.scoreboard, simulation.world
    missing = [
        OwnerRecord(owner.name, failure="timeout")
        for owner in simulation.scenario.owners
        if owner.name not in scoreboard.records
    ]

    def groups(record: OwnerRecord) -> dict[str, int]:
        return world.group_counts(record.owner, record.subset()) if record.disclosed else {}

    return [
        owner_result(record, rank, disclosed_groups=groups(record), holds=world.holds(record.owner))
        for record, rank in [*scoreboard.ranking(), *((each, None) for each in missing)]
    ]
