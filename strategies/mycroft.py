"""The trainer's strategy: broadcast the hard set, gather subsets, score, rank, improve, ask again."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

from mycroft_fl.models.fitting import AnyModel
from mycroft_fl.models.networks import Classifier
from mycroft_fl.models.weights import flat_weights
from mycroft_fl.protocol.messages import NoisedTarget
from mycroft_fl.selection.methods import method_named, sent_in
from mycroft_fl.settings.run_config import RunConfig
from mycroft_fl.tasks.mock import described
from strategies.rounds.answer_checks import AnswerChecks
from strategies.rounds.compatibility import check_requirements
from strategies.rounds.discovery import discover_owners
from strategies.rounds.looking import look_at_owners, looks_as_json
from strategies.rounds.owner_record import RoundRecord
from strategies.rounds.plans import Plan, plans_of
from strategies.rounds.round import Round
from strategies.rounds.run_state import Answers, Progress
from strategies.rounds.scoreboard import Scoreboard
from strategies.rounds.transport import PlainTransport, Route, Transport
from strategies.runs.resume import Resume
from strategies.training.everything import FinalModel
from strategies.training.trainer import Trainer

log = logging.getLogger(__name__)

OnRound = Callable[[RoundRecord, AnyModel], None]


class MycroftStrategy(Strategy):
    """One run of acquisition, as a Flower strategy.

    A round of "training" is a round of selection: `configure_train` plans a `Round` and asks
    owners for examples, `aggregate_train` learns from what came: it scores and ranks owners and
    improves the trainer's model. Owners evaluate nothing.

    Args:
        trainer: its data, its model and the run's settings.
        expected_owners: how many to wait for before round 1.
        patience: seconds without a new owner after which the wait ends.
        on_round: called after each round with its record and the model it ended with.
        on_look: called before round 1 with what owners show, as plain values, where look = true.
        transport: how messages travel.
        resume: from where the run goes on, and where its states are kept.
        target: sent to owners in place of hard examples, where request = target.

    """

    def __init__(
        self,
        trainer: Trainer,
        *,
        expected_owners: int,
        patience: float = math.inf,
        on_round: OnRound = lambda record, model: None,
        on_look: Callable[[list[dict[str, Any]]], None] = lambda found: None,
        transport: Transport | None = None,
        resume: Resume | None = None,
        target: NoisedTarget | None = None,
    ) -> None:
        self.trainer = trainer
        self.config: RunConfig = trainer.config
        self.method = method_named(self.config.method)
        check_requirements(trainer, target)
        self._plans = plans_of(self.config.mode)
        self._checks = AnswerChecks(trainer)
        self.expected_owners = expected_owners
        self.patience = patience
        self.on_round, self.on_look = on_round, on_look
        self.route = Route(transport or PlainTransport())
        self.resume = resume or Resume()
        self.progress = Progress(trainer, trainer.improved(None), target=target)
        self.rounds: list[RoundRecord] = []
        self.asked_again: dict[str, None] = {}  # owners whose process died meanwhile
        self.heard: list[Answers] = []  # of each round since this process began
        self._asked: dict[int, Round] = {}  # rounds whose answers are still to come

    @property
    def scoreboard(self) -> Scoreboard:
        """Every owner's record: what it has given, cost and proved to be worth."""
        return self.progress.scoreboard

    @property
    def model(self) -> AnyModel:
        """The trainer's model as it is now."""
        return self.progress.model

    @cached_property
    def final(self) -> FinalModel:
        """The model that the run ends with, once its last round has ended; made once.

        Of everything that is known. Noised steps end with the model that they moved, or with the free
        one where that is better.
        """
        if any(plan.steps_last_layer for plan in self._plans):
            return self.trainer.kept(self.model)
        return self.trainer.final(self.scoreboard.worth_having())

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 3,
        timeout: float = 3600,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
    ) -> Result:
        """Run as Flower's `start` does, but for three things.

        Owners are called by name first, since Flower's node ids change from run to run; a round
        that would ask nobody ends the run; and every message is accounted for, answered or not.
        """
        self.summary()
        result, arrays = Result(), initial_arrays
        self._call_owners(grid)
        self._look(grid)
        for server_round in range(len(self.rounds) + 1, num_rounds + 1):
            config = train_config or ConfigRecord()
            requests = self.configure_train(server_round, arrays, config, grid)
            asked = self._asked.get(server_round)
            if asked is None:
                log.info("round %d: nothing more is bought", server_round)
                break
            self.resume.note_asking(server_round)
            replies = asked.send(grid, requests, timeout=timeout)
            self.asked_again |= dict.fromkeys(asked.asked_again)
            improved, metrics = self.aggregate_train(server_round, replies)
            if improved is not None:
                result.arrays = arrays = improved
            if metrics is not None:
                result.train_metrics_clientapp[server_round] = metrics
            evaluated = evaluate_fn(server_round, arrays) if evaluate_fn else None
            if evaluated is not None:
                result.evaluate_metrics_serverapp[server_round] = evaluated
        return result

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Plan a round and make its requests; none where nothing is left to spend, or to ask for."""
        plan, had = self._plan(server_round), self.resume.had_in(server_round)
        planned = Round(server_round, plan, self.progress, self._checks, self.route, had)
        if not planned.counts:
            return []
        self._asked[server_round] = planned
        requests = planned.request()
        wanted = self._wanted(plan, planned.counts)
        log.info("round %d: asking %d owners for %s", server_round, len(planned.counts), wanted)
        return requests

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Check each answer, score who answered, improve the model. `NotEnoughOwners` if too few."""
        asked = self._asked.pop(server_round)
        answers = asked.receive(replies)
        # Only the first round can be too thin: later ones ask the few that earned it.
        if server_round == 1:
            self.scoreboard.require_enough(len(answers.owners), self.config)
        self.heard.append(answers)
        self._plan(server_round).learn(self.progress, answers)
        record = asked.record()
        self.rounds.append(record)
        self.on_round(record, self.model)
        # Answers are of use only to finish this round with those that were silent.
        self.resume.keep(self.rounds, self.progress, asked.came if asked.failed else {})
        metrics = MetricRecord(
            {"disclosed": self.scoreboard.disclosed, "answered": record.answered}
        )
        return as_arrays(self.model), metrics

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask nothing: owners judge no model."""
        return []

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Aggregate nothing, see `configure_evaluate`."""
        return None

    def summary(self) -> None:
        """Log what this run is about to do, as a tree."""
        config, hard_set = self.config, self.trainer.hard_set
        log.info("mycroft: method %s, seed %d", config.method, config.seed)
        sent, sends = len(hard_set.sent), sent_in(config)
        if sends == "detector":
            log.info(
                "├── detector: of %d failures, which stay here", self.trainer.detector.failures
            )
        else:
            how = "hidden" if sends == "target" else "sent"
            log.info("├── hard set: %d of %d hard examples %s", sent, hard_set.found, how)
        log.info("├── budget: %s in at most %d rounds", self._budget_text(), config.num_rounds)
        log.info("└── owners: %d expected, %d needed", self.expected_owners, config.min_owners)

    def _call_owners(self, grid: Grid) -> None:
        transport = self.route.transport
        nodes = discover_owners(
            grid, self.expected_owners, timeout=self.config.timeout, patience=self.patience,
            knows=transport.knows,
        )  # fmt: skip
        self.route = Route(transport, nodes)
        self.progress.scoreboard = Scoreboard(nodes)
        self.scoreboard.require_enough(len(nodes), self.config)
        start = self.resume.start
        if start is None:
            self.resume.keep(self.rounds, self.progress, {})
        else:
            log.info("going on after round %d", start.round)
            self.rounds = list(start.rounds)
            start.bring_back(self.progress)

    def _look(self, grid: Grid) -> None:
        """Look at what owners show before they are asked for anything, once in a run, where that is set."""
        if not self.config.look or self.rounds:
            return
        own = described(self.trainer.task)
        found = look_at_owners(grid, self.route, own, timeout=self.config.timeout)
        self.on_look(looks_as_json(found, own))

    def _plan(self, server_round: int) -> Plan:
        return self._plans[0 if server_round == 1 else 1]

    def _wanted(self, plan: Plan, asked: dict[str, int]) -> str:
        if not plan.hands_over:
            return f"a noised {plan.answer}"
        return "all they hold" if self.method.everything else f"{sum(asked.values())} examples"

    def _budget_text(self) -> str:
        return "everything" if self.method.everything else f"{self.config.budget} examples"


def as_arrays(model: AnyModel) -> ArrayRecord:
    """Return a network's weights as Flower knows them; an estimator has none, and gives an empty record."""
    return ArrayRecord([flat_weights(model)] if isinstance(model, Classifier) else [])
