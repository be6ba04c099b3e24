"""MycroftStrategy: broadcast the hard set, gather subsets, score, rank, improve, ask again."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

from mycroft_fl.models.fitting import AnyModel
from mycroft_fl.models.networks import Classifier
from mycroft_fl.models.weights import flat_weights
from mycroft_fl.protocol.messages import NoisedTarget
from mycroft_fl.protocol.wire import pack_request
from mycroft_fl.selection.methods import method_named
from mycroft_fl.settings.run_config import RunConfig
from strategies.rounds.answer_checks import AnswerChecks
from strategies.rounds.compatibility import check_requirements
from strategies.rounds.discovery import discover_owners
from strategies.rounds.messaging import send
from strategies.rounds.owner_record import RoundRecord
from strategies.rounds.plans import Plan, plans_of
from strategies.rounds.receipts import Receipts
from strategies.rounds.round import Asking
from strategies.rounds.run_state import Answers, Progress
from strategies.rounds.scoreboard import Scoreboard
from strategies.rounds.transport import PlainTransport, Transport
from strategies.runs.resume import Resume
from strategies.training.trainer import Trainer

log = logging.getLogger(__name__)

OnRound = Callable[[RoundRecord, AnyModel], None]


class MycroftStrategy(Strategy):
    """One run of acquisition, as a Flower strategy.

    A round of "training" is a round of selection: `configure_train` asks owners for examples,
    `aggregate_train` checks, scores and ranks what came and improves the trainer's model. There is
    nothing for owners to evaluate. `expected_owners` are waited for before the first round, but no
    longer than `patience` seconds after the last has come;
    `on_round` is told of each round with the model it ended with. `transport` is how messages travel.
    `target` is what owners are sent in place of hard examples, where request = target.
    """

    def __init__(
        self,
        trainer: Trainer,
        *,
        expected_owners: int,
        patience: float = math.inf,
        on_round: OnRound = lambda record, model: None,
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
        self.on_round = on_round
        self.transport: Transport = transport or PlainTransport()
        self.resume = resume or Resume()
        self.progress = Progress(trainer, trainer.improved(None), target=target)
        self.rounds: list[RoundRecord] = []
        self.heard: list[Answers] = []  # of each round since this process began
        self._nodes: dict[str, int] = {}
        self._asking = Asking(0, {}, self.transport, {})
        self._since = time.monotonic()

    @property
    def scoreboard(self) -> Scoreboard:
        """What every owner has given, cost and proved to be worth."""
        return self.progress.scoreboard

    @property
    def model(self) -> AnyModel:
        """The trainer's model as it is now."""
        return self.progress.model

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
        """Flower's `start`, but for three things.

        Owners are called by name first, since Flower's node ids change from run to run; a round
        that would ask nobody ends the run; and every message is accounted for, answered or not.
        """
        self.summary()
        result, arrays = Result(), initial_arrays
        self._call_owners(grid)
        for server_round in range(len(self.rounds) + 1, num_rounds + 1):
            self._since = time.monotonic()
            messages = list(
                self.configure_train(server_round, arrays, train_config or ConfigRecord(), grid)
            )
            if not self._asking.counts:
                log.info("round %d: nothing more is bought", server_round)
                break
            replies = self._send(grid, messages, timeout)
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
        """This round's requests; none when there is nothing left to spend or nobody worth asking."""
        plan = self._plan(server_round)
        asked = plan.whom(self.progress, server_round)
        had = self.resume.had_in(server_round)
        self._asking = Asking(server_round, self._nodes, self.transport, had)
        packed: dict[int, RecordDict] = {}
        for owner, k in asked.items():
            if k not in packed:
                brings = plan.brings(self.progress)
                request = self.progress.request(server_round, plan.answer, k, **brings)
                packed[k] = pack_request(request)
            self._asking.ask(owner, k, packed[k])
        if asked:
            wanted = self._wanted(plan, asked)
            log.info("round %d: asking %d owners for %s", server_round, len(asked), wanted)
        return self._asking.messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Check each answer, score who answered, improve the model. `NotEnoughOwners` if too few."""
        before, plan = self.scoreboard.disclosed, self._plan(server_round)
        receipts = self._received(plan, replies)
        answers, failed = receipts.answers, receipts.failed
        # Only the first round can be too thin: later ones ask the few that earned it.
        if server_round == 1:
            self.scoreboard.require_enough(len(answers.owners), self.config)
        self.heard.append(answers)
        plan.learn(self.progress, answers)
        record = RoundRecord(
            server_round, len(self._asking.counts), len(answers.owners), dict(sorted(failed.items())),
            self.scoreboard.disclosed - before, round(time.monotonic() - self._since, 3),
        )  # fmt: skip
        self.rounds.append(record)
        self.on_round(record, self.model)
        # Answers are of use only to finish this round with those that were silent.
        self.resume.keep(self.rounds, self.progress, receipts.came if failed else {})
        metrics = MetricRecord(
            {"disclosed": self.scoreboard.disclosed, "answered": record.answered}
        )
        return as_arrays(self.model), metrics

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Nothing: owners are not asked to judge a model."""
        return []

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Nothing, see `configure_evaluate`."""
        return None

    def summary(self) -> None:
        """Log what this run is about to do, as a tree."""
        config, hard_set = self.config, self.trainer.hard_set
        log.info("mycroft: method %s, seed %d", config.method, config.seed)
        sent, how = len(hard_set.sent), "hidden" if self.progress.target else "sent"
        log.info("├── hard set: %d of %d hard examples %s", sent, hard_set.found, how)
        log.info("├── budget: %s in at most %d rounds", self._budget_text(), config.num_rounds)
        log.info("└── owners: %d expected, %d needed", self.expected_owners, config.min_owners)

    def _call_owners(self, grid: Grid) -> None:
        self._nodes = discover_owners(
            grid, self.expected_owners, timeout=self.config.timeout, patience=self.patience,
            knows=self.transport.knows,
        )  # fmt: skip
        start = self.resume.start
        self.progress.scoreboard = Scoreboard(self._nodes)
        self.scoreboard.require_enough(len(self._nodes), self.config)
        if start is None:
            self.resume.keep(self.rounds, self.progress, {})
        else:
            log.info("going on after round %d", start.round)
            self.rounds = list(start.rounds)
            start.bring_back(self.progress)

    def _plan(self, server_round: int) -> Plan:
        return self._plans[0 if server_round == 1 else 1]

    def _send(self, grid: Grid, messages: list[Message], timeout: float) -> list[Message]:
        server_round = self._asking.server_round
        self.resume.note_asking(server_round)
        sent = time.monotonic()
        replies = send(grid, messages, timeout=timeout, on_answers=_log_answers)
        log.info("round %d: answers took %.2f s", server_round, time.monotonic() - sent)
        return replies

    def _received(self, plan: Plan, replies: Iterable[Message]) -> Receipts:
        """Each answer to this round's asking, inspected."""
        counts, values = self._asking.counts, plan.values(self.progress)
        receipts = Receipts(self.scoreboard, counts if plan.hands_over else {})

        def most(owner: str) -> int:
            return self._checks.expected(k=counts[owner], values=values).most_bytes

        for owner, content in self._asking.answers(replies, most):
            if isinstance(content, str):
                receipts.fail(owner, content)
                continue
            giver = self.scoreboard.records[owner]
            report = self._checks.of(content, giver, k=counts[owner], values=values)
            if isinstance(report, str):
                receipts.fail(owner, report)
            else:
                receipts.take(owner, report)
        return receipts

    def _wanted(self, plan: Plan, asked: dict[str, int]) -> str:
        if not plan.hands_over:
            return f"a noised {plan.answer}"
        return "all they hold" if self.method.everything else f"{sum(asked.values())} examples"

    def _budget_text(self) -> str:
        return "everything" if self.method.everything else f"{self.config.budget} examples"


def _log_answers(answered: int, sent: int) -> None:
    log.info("%d of %d owners have answered", answered, sent)


def as_arrays(model: AnyModel) -> ArrayRecord:
    """A network's weights as Flower knows them; of an estimator, which has none, nothing."""
    return ArrayRecord([flat_weights(model)] if isinstance(model, Classifier) else [])
