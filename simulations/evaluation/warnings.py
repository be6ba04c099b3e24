"""The warnings of a simulated run: reasons to doubt its figures, also those that only a simulator sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mycroft_fl.report.run.result import Accuracies
from simulations.population.world import World
from simulations.setup.simulation import Simulation
from strategies.mycroft import MycroftStrategy
from strategies.rounds.plans import plans_of
from strategies.runs.warnings import (
    of_hard_set,
    of_metric,
    of_noise,
    of_nothing_acquired,
    of_owners,
    of_processes,
    of_suspects,
)

TOLERATED_FALL = 0.03


def run_warnings(
    simulation: Simulation,
    strategy: MycroftStrategy,
    models: Mapping[str, Accuracies],
    lucky: Accuracies,
) -> list[str]:
    """Collect all warnings. `lucky` is what as many random picks reached, in place of the chosen ones."""
    scoreboard, scenario, config = strategy.scoreboard, simulation.scenario, simulation.config
    return [
        *of_metric(strategy.trainer),
        *of_hard_set(strategy.trainer, config.hard_set_sent),
        *of_suspects(strategy.trainer),
        *of_noise(scoreboard),
        *of_nothing_acquired(config.mode, scoreboard),
        *(
            _of_luck(simulation, strategy, models["final"], lucky)
            if strategy.final.has_owners
            else ()
        ),
        *of_processes(strategy.asked_again),
        *of_owners([owner.name for owner in scenario.owners], scoreboard),
        *_of_groups(models["control"].groups or {}, models["final"].groups or {}),
        *_of_data(simulation.world, reused=any(owner.reuse for owner in scenario.owners)),
    ]


def _of_luck(
    simulation: Simulation, strategy: MycroftStrategy, final: Accuracies, random: Accuracies
) -> Iterator[str]:
    """Warn where acquired examples did no more than random ones, in the run's metric."""
    method = simulation.config.method
    hands_over = any(plan.hands_over for plan in plans_of(simulation.config.mode))
    if not hands_over or not strategy.scoreboard.disclosed or method in ("random", "full"):
        return
    metric = strategy.trainer.metric
    reached, lucky, what = final.hard, random.hard, "on the failures"
    if not metric.is_accuracy:
        reached, lucky, what = final.metric, random.metric, f"by {metric.name}"
    if reached is not None and lucky is not None and reached <= lucky:
        how = "equal to" if reached == lucky else "worse than"
        yield (
            f"method {method} is {how} random picks of the same number ({reached:.3f} against "
            f"{lucky:.3f} {what}): look for a broken similarity"
        )


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
