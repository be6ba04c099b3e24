"""MycroftStrategy: broadcast the hard set, gather subsets, score, rank, improve, ask again."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Iterable

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

from mycroft_fl.config import MAX_EXAMPLES, RunConfig
from mycroft_fl.errors import BadMessage, SettingError
from mycroft_fl.exchange import (
    HANDING_OVER,
    RUN_MODES,
    SCORE_VALUES,
    Expected,
    Failure,
    OwnerReport,
    Request,
    Statistic,
)
from mycroft_fl.models.catalogue import check_eyes
from mycroft_fl.models.fitting import AnyModel
from mycroft_fl.models.networks import Classifier
from mycroft_fl.models.weights import flat_weights
from mycroft_fl.selection import method_named
from mycroft_fl.wire import SELECT, pack_request, unpack_report
from strategies import allocation
from strategies.books import Books
from strategies.noised import NoisedSteps, relevance_score
from strategies.roll_call import roll_call
from strategies.standing import RoundRecord
from strategies.traffic import send, sort_out
from strategies.trainer import Trainer

log = logging.getLogger(__name__)

OnRound = Callable[[RoundRecord, AnyModel], None]


class MycroftStrategy(Strategy):
    """One run of acquisition, as a Flower strategy.

    A round of "training" is a round of selection: `configure_train` asks owners for examples,
    `aggregate_train` checks, scores and ranks what came and improves the trainer's model. There is
    nothing for owners to evaluate. `expected_owners` are waited for before the first round, but no
    longer than `patience` seconds after the last has come;
    `on_round` is told of each round with the model it ended with.
    """

    def __init__(
        self,
        trainer: Trainer,
        *,
        expected_owners: int,
        patience: float = math.inf,
        on_round: OnRound = lambda record, model: None,
    ) -> None:
        self.trainer = trainer
        self.config: RunConfig = trainer.config
        self.method = method_named(self.config.method)
        if self.method.looks_through == "trainer-model" and self.config.gradients_from == "owner":
            raise SettingError(
                f"method '{self.config.method}' looks through the trainer's model, which stays home "
                'with gradients-from = "owner"; set gradients-from = "trainer", or use omp or features'
            )
        check_eyes(trainer.task.model, self.config, self.method.looks_through)
        if self.config.mode == "gradient" and not isinstance(trainer.baseline, Classifier):
            raise SettingError(
                f"mode 'gradient' steps the last layer of a network, and model '{trainer.task.model}' has "
                "none; use mode 'score-then-raw', or a network"
            )
        self.expected_owners = expected_owners
        self.patience = patience
        self.on_round = on_round
        self.books = Books()
        self.model: AnyModel = trainer.improved(None)
        self.rounds: list[RoundRecord] = []
        self._nodes: dict[str, int] = {}
        self._asked: list[tuple[str, int, Message]] = []
        self._steps: NoisedSteps | None = None
        self._since = time.monotonic()

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
        for server_round in range(1, num_rounds + 1):
            self._since = time.monotonic()
            messages = list(
                self.configure_train(server_round, arrays, train_config or ConfigRecord(), grid)
            )
            if not messages:
                log.info("round %d: nothing more is bought", server_round)
                break
            replies = send(grid, messages, timeout=timeout, on_answers=_log_answers)
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
        self._asked = []
        packed: dict[int, RecordDict] = {}
        for owner, k in plan.items():
            if k not in packed:
                packed[k] = pack_request(self._request(server_round, k))
            message = Message(packed[k], dst_node_id=self._nodes[owner], message_type=SELECT)
            self._asked.append((owner, k, message))
        if plan:
            log.info(
                "round %d: asking %d owners for %s", server_round, len(plan), self._wanted(plan)
            )
        return [message for _, _, message in self._asked]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Check each answer, score who answered, improve the model. `NotEnoughOwners` if too few."""
        before = self.books.disclosed
        failed: dict[str, Failure] = {}
        statistics: dict[str, Statistic] = {}
        sent = [message for _, _, message in self._asked]
        for (owner, k, _), (_, content) in zip(self._asked, sort_out(sent, replies), strict=True):
            answer = content if isinstance(content, str) else self._checked(owner, content, k)
            if isinstance(answer, str):
                failed[owner] = answer
                self.books.enter_failure(owner, answer, k if self._hands_over(server_round) else 0)
                continue
            self.books.enter_card(owner, answer.card)
            if answer.disclosed is not None:
                self.books.enter_answer(owner, answer.disclosed)
            if answer.statistic is not None:
                statistics[owner] = answer.statistic
        answered = [owner for owner, _, _ in self._asked if owner not in failed]
        # Only the first round can be too thin: later ones ask the few that earned it.
        if server_round == 1:
            self.books.require_enough(len(answered), self.config)
        self._learn(server_round, answered, statistics)
        record = RoundRecord(
            server_round, len(self._asked), len(answered), dict(sorted(failed.items())),
            self.books.disclosed - before, round(time.monotonic() - self._since, 3),
        )  # fmt: skip
        self.rounds.append(record)
        self.on_round(record, self.model)
        metrics = MetricRecord({"disclosed": self.books.disclosed, "answered": len(answered)})
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
        config, sent = self.config, len(self.trainer.hard_set.sent)
        log.info("mycroft: method %s, seed %d", config.method, config.seed)
        log.info("├── hard set: %d of %d hard examples sent", sent, self.trainer.hard_set.found)
        log.info("├── budget: %s in at most %d rounds", self._budget_text(), config.num_rounds)
        log.info("└── owners: %d expected, %d needed", self.expected_owners, config.min_owners)

    def _call_owners(self, grid: Grid) -> None:
        self._nodes = roll_call(
            grid, self.expected_owners, timeout=self.config.timeout, patience=self.patience
        )
        self.books = Books(self._nodes)
        self.books.require_enough(len(self._nodes), self.config)

    def _plan(self, server_round: int) -> dict[str, int]:
        """Owner -> how many it is asked for in this round."""
        if self._asks_for(server_round) == "score":
            return dict.fromkeys(self.books.standings, 1) if server_round == 1 else {}
        if self._asks_for(server_round) == "gradient":
            return dict.fromkeys(self._steps.owners, 1) if self._steps else {}
        if self.method.everything:
            return dict.fromkeys(self.books.standings, MAX_EXAMPLES) if server_round == 1 else {}
        left = self.config.budget - self.books.spent
        if server_round == 1:
            return allocation.pilots(
                self.books.standings,
                budget=left,
                per_owner=self.config.pilot_per_owner,
                seed=self.config.seed,
            )
        spend = -(-left // (self.config.num_rounds - server_round + 1))
        if self.config.mode == "score-then-raw":
            scores = self.books.scored()
            more: Collection[str] = scores
        else:
            more = self.books.open_to_more()
            scores = {name: score for name, score in self.books.scored().items() if name in more}
        if not more or spend < 1:
            return {}
        if self.config.stop_early and all(score.low <= 0 for score in scores.values()):
            return {}
        if self.config.allocation == "equal":
            return allocation.equal_shares(more, spend)
        return allocation.by_score(scores, spend)

    def _request(self, server_round: int, k: int) -> Request:
        mode = self._asks_for(server_round)
        through_trainer = mode != "raw" or (
            self.config.gradients_from == "trainer"
            and (self.method.looks_through != "nothing" or self.config.feature_space == "model")
        )
        return Request(
            server_round=server_round,
            method=self.config.method,
            k=k,
            hard=self.trainer.hard_set.sent,
            num_classes=self.trainer.task.num_classes,
            model=self.trainer.eyes_name,
            weights=flat_weights(self.trainer.eyes) if through_trainer else None,
            feature_space=self.config.feature_space,
            owner_epochs=self.config.owner_epochs,
            seed=self.config.seed,
            gradient_layers=self.config.gradient_layers,
            feature_weight=self.trainer.feature_weight,
            mode=mode,
            head=self._steps.head if mode == "gradient" and self._steps else None,
        )

    def _asks_for(self, server_round: int) -> str:
        """The mode in which owners are to answer in this round."""
        modes = RUN_MODES[self.config.mode]
        return modes[0] if server_round == 1 else modes[-1]

    def _hands_over(self, server_round: int) -> bool:
        return self._asks_for(server_round) in HANDING_OVER

    def _checked(self, owner: str, content: RecordDict, k: int) -> OwnerReport | Failure:
        """An answer, or the code of what is wrong with it."""
        task, mode = self.trainer.task, self._asks_for(len(self.rounds) + 1)
        values = {"score": SCORE_VALUES, "gradient": self._steps.head.size if self._steps else 0}
        expected = Expected(
            task.shape, task.dtype, task.num_classes, k, self.trainer.largest_value,
            values.get(mode, 0),
        )  # fmt: skip
        try:
            answer = unpack_report(content, expected)
        except BadMessage as error:
            log.warning("the answer of %s is malformed: %s", owner, error)
            return "malformed"
        if answer.disclosed is None:
            return answer
        sold_again = self.books.standings[owner].holds_again(answer.disclosed)
        copied = self.trainer.has_copied(answer.disclosed)
        return "duplicate" if sold_again or copied else answer

    def _learn(
        self, server_round: int, answered: list[str], statistics: dict[str, Statistic]
    ) -> None:
        """Score who answered, and improve the model with what came."""
        match self._asks_for(server_round):
            case "score":
                self.books.enter_scores(
                    {
                        owner: relevance_score(statistic, self.config.scoring_confidence)
                        for owner, statistic in statistics.items()
                    }
                )
                if self.config.mode == "gradient":
                    self._steps = NoisedSteps.begun(self.trainer, statistics, self.books.scored())
            case "gradient" if self._steps is not None:
                self._steps.step(statistics)
                self.model = self._steps.best()
                return
            case _ if self.config.mode != "score-then-raw":
                # There the ranking stays the noised one, over all owners alike.
                self._score(answered)
        self.model = self.trainer.improved(self.books.worth_having())

    def _score(self, owners: list[str]) -> None:
        """Score who answered in this round; of too many, all cheaply and the best by fine-tuning."""
        subsets = self.books.subsets(owners)
        if len(subsets) > self.config.scoring_at_most:
            cheap = self.trainer.alignments(subsets)
            self.books.enter_screening(cheap)
            best_first = sorted(cheap, key=lambda owner: (-cheap[owner], owner))
            subsets = {owner: subsets[owner] for owner in best_first[: self.config.scoring_at_most]}
        self.books.enter_scores(self.trainer.scores(subsets))

    def _wanted(self, plan: dict[str, int]) -> str:
        return "all they hold" if self.method.everything else f"{sum(plan.values())} examples"

    def _budget_text(self) -> str:
        return "everything" if self.method.everything else f"{self.config.budget} examples"


def _log_answers(answered: int, sent: int) -> None:
    log.info("%d of %d owners have answered", answered, sent)


def as_arrays(model: AnyModel) -> ArrayRecord:
    """A network's weights as Flower knows them; of an estimator, which has none, nothing."""
    return ArrayRecord([flat_weights(model)] if isinstance(model, Classifier) else [])
