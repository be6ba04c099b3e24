"""The trainer's ServerApp: one run of the strategy, and what it leaves on disk."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from mycroft_fl.data.task import Task
from mycroft_fl.errors import MycroftError
from mycroft_fl.files import full_disk_said
from mycroft_fl.models.fitting import AnyModel
from mycroft_fl.privacy.noise.samplers import OS_ENTROPY
from mycroft_fl.settings.run_config import RunConfig
from strategies.mycroft import MycroftStrategy, as_arrays
from strategies.rounds.owner_record import RoundRecord
from strategies.rounds.transport import PlainTransport, Transport
from strategies.runs.checkpoint import Checkpoints
from strategies.runs.folder import CHECKPOINTS, LOOK, PUBLISHED, RunFolder
from strategies.runs.publisher import NoiseFor, Publisher
from strategies.runs.resume import Resume
from strategies.training.trainer import Trainer, TrainerData

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainerSetup:
    """Everything a trainer brings to a run. Test examples are not among it.

    With `waits` the run stops after a round in which owners were silent, to be resumed later.
    """

    task: Task
    data: TrainerData
    config: RunConfig
    expected_owners: int
    folder: RunFolder
    patience: float = math.inf
    transport: Transport = field(default_factory=PlainTransport)
    waits: bool = False
    noise_for: NoiseFor = lambda purpose: OS_ENTROPY


def trainer_app(
    setup_for: Callable[[Context], TrainerSetup],
    after: Callable[[Context, MycroftStrategy], None] = lambda context, strategy: None,
) -> ServerApp:
    """Make a ServerApp that runs the strategy on what `setup_for` gives; `after` sees how it ended.

    An error is also written to the run's folder: Flower keeps nothing of it but text.
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        setup = setup_for(context)
        try:
            with full_disk_said(setup.folder.path):
                after(context, run_trainer(grid, setup))
        except MycroftError as error:
            content = {"kind": type(error).__name__, "message": str(error)}
            with suppress(OSError):  # a disk that is full has no room for this either
                setup.folder.save_json("error.json", content)
            raise

    return app


def run_trainer(grid: Grid, setup: TrainerSetup) -> MycroftStrategy:
    """Fit the baseline, find the hard set, acquire, and save what came of it.

    In a folder with checkpoints it goes on from there, with the baseline that was fitted then.
    """
    folder, config = setup.folder, setup.config
    trainer = Trainer(setup.task, _data(setup), config)
    folder.save_task(setup.task)
    folder.save_model("baseline", trainer.baseline)
    strategy, publisher = _prepared(setup, trainer)
    strategy.start(
        grid,
        as_arrays(trainer.baseline),
        num_rounds=config.num_rounds,
        timeout=config.timeout,
    )
    log.info("fine-tuning the references: control, own hard set, free")
    folder.save_model("control", trainer.control)
    folder.save_model("own-hard-set", trainer.own_hard_set)
    folder.save_model("free", trainer.free.model)
    folder.save_model("final", strategy.final.model)
    folder.save_failures(trainer.knowledge.failing)
    folder.save_acquired(list(strategy.scoreboard.records.values()))
    # All of it: leaving out who does harm would be a choice by the examples themselves.
    published = publisher.publish_model(strategy.scoreboard.acquired())
    if published is not None:
        folder.save_model("published", published)
    if publisher.releases:
        folder.save_json("published.json", publisher.releases)
    return strategy


def _prepared(setup: TrainerSetup, trainer: Trainer) -> tuple[MycroftStrategy, Publisher]:
    """Prepare the strategy, which saves every round, and the publisher, which has published its target."""
    folder = setup.folder
    checkpoints = Checkpoints(folder.path / CHECKPOINTS, trainer)
    resume = Resume.on_disk(checkpoints, waits=setup.waits)
    folder.set_rounds(resume.start.rounds if resume.start else ())
    publisher = Publisher(trainer, folder.path / PUBLISHED, setup.noise_for)

    def on_round(record: RoundRecord, model: AnyModel) -> None:
        publisher.publish_scores(record.round, list(strategy.scoreboard.records))
        folder.add_round(record)
        folder.save_model(f"round-{record.round}", model)
        log.info(
            "round %d: %d examples from %d owners", record.round, record.disclosed, record.answered
        )

    strategy = MycroftStrategy(
        trainer,
        expected_owners=setup.expected_owners,
        patience=setup.patience,
        on_round=on_round,
        on_look=lambda found: folder.save_json(LOOK, found),
        transport=setup.transport,
        resume=resume,
        target=publisher.publish_target(),
    )
    return strategy, publisher


def _data(setup: TrainerSetup) -> TrainerData:
    """Return the trainer's data, with the baseline of the run that is resumed, if it had got that far."""
    before = setup.folder.saved("baseline")
    if before is not None:
        log.info("going on with the baseline in %s", before)
        return replace(setup.data, weights=before)
    log.info("fitting the baseline on %d examples", len(setup.data.train))
    return setup.data
