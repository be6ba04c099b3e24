"""The strategy over a scripted network: what is asked, what is believed, when it ends."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from flwr.supercore.task_identity import TaskIdentity

from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.task import Task
from mycroft_fl.errors import NotEnoughOwners, SettingError
from mycroft_fl.examples import Examples
from mycroft_fl.models.weights import flat_weights
from mycroft_fl.protocol.messages import OwnerReport, Request
from mycroft_fl.protocol.wire import (
    INTRODUCE,
    SELECT,
    pack_failure,
    pack_introduction,
    pack_report,
    unpack_request,
)
from mycroft_fl.scoring import Score
from mycroft_fl.settings.run_config import MAX_EXAMPLES, RunConfig
from strategies.mycroft import MycroftStrategy
from strategies.rounds.owner_record import OwnerRecord, RoundRecord
from strategies.runs.warnings import of_processes
from strategies.training.trainer import Trainer, TrainerData
from strategies.training.valuation import Valuation

TASK = Task(tuple("0123456789"), (1, 8, 8), np.dtype(np.uint8), "mlp")
QUICK = RunConfig(
    method="features", budget=40, pilot_per_owner=5, fit_epochs=4, fine_tune_steps=3,
    scoring_repeats=1, timeout=5.0,
)  # fmt: skip
Reply = RecordDict | Error | None
Answer = Callable[[Request], Reply]


@pytest.fixture(scope="module")
def digits() -> Examples:
    shared = load_dataset("digits", Path()).examples
    return shared[np.arange(1000)]  # a copy: what is shared is read-only


@Grid.register
class Network:
    """Owners by name, each a function from a request to a reply; keeps every request."""

    def __init__(self, **owners: Answer) -> None:
        TaskIdentity.run_id = TaskIdentity.task_id = TaskIdentity.node_id = 1
        self.owners = owners
        self.nodes = dict(enumerate(owners, start=1000))
        self.requests: list[tuple[str, Request]] = []

    def get_node_ids(self):
        return list(self.nodes)

    def send_and_receive(self, messages, *, timeout):
        replies = []
        for number, message in enumerate(messages):
            node = message.metadata.dst_node_id
            message.metadata.__dict__["_message_id"] = f"{number}-{node}"
            name = self.nodes[node]
            if message.metadata.message_type == INTRODUCE:
                reply: Reply = pack_introduction(name)
            else:
                assert message.metadata.message_type == SELECT
                request = unpack_request(message.content)
                self.requests.append((name, request))
                reply = self.owners[name](request)
            if reply is not None:
                replies.append(Message(reply, reply_to=message))
        return replies[::-1]

    def asked(self) -> list[dict[str, int]]:
        """Round by round, owner -> how many."""
        rounds: dict[int, dict[str, int]] = {}
        for name, request in self.requests:
            rounds.setdefault(request.server_round, {})[name] = request.k
        return [rounds[number] for number in sorted(rounds)]


def giving(examples: Examples, limit: int = 10**9) -> Answer:
    """An owner that hands over its examples one after the other, up to `limit` of them."""
    given = 0

    def answer(request: Request) -> RecordDict:
        nonlocal given
        part = examples[given : min(limit, given + request.k)]
        given += len(part)
        return pack_report(OwnerReport(part))

    return answer


def saying(reply: Reply) -> Answer:
    return lambda request: reply


@pytest.fixture
def strategy_of(digits) -> Callable[..., MycroftStrategy]:
    def make(changed: dict | None = None, *, owners: int = 3, **rest) -> MycroftStrategy:
        data = TrainerData(digits[:200], digits[200:320])
        trainer = Trainer(TASK, data, replace(QUICK, **(changed or {})))
        return MycroftStrategy(trainer, expected_owners=owners, **rest)

    return make


@pytest.fixture
def scoring(monkeypatch) -> dict[str, Score]:
    """The score that each owner will get; 0.2 with a lower bound of 0.1 unless it is set."""
    fixed: dict[str, Score] = {}
    usual = Score(0.2, 0.1, 0.3)
    monkeypatch.setattr(
        Valuation,
        "scores",
        lambda self, subsets: {name: fixed.get(name, usual) for name in subsets},
    )
    return fixed


def run(strategy: MycroftStrategy, network: Network, **rest):
    config = strategy.config
    arrays = ArrayRecord([flat_weights(strategy.trainer.baseline)])
    return strategy.start(
        network, arrays, num_rounds=config.num_rounds, timeout=config.timeout, **rest
    )


def test_it_is_a_strategy_of_flowers_that_asks_nobody_to_evaluate(strategy_of):
    strategy = strategy_of()
    assert isinstance(strategy, Strategy)
    assert strategy.configure_evaluate(1, ArrayRecord(), ConfigRecord(), Network()) == []
    assert strategy.aggregate_evaluate(1, []) is None


def test_the_budget_counts_all_and_pilots_come_first(strategy_of, scoring, digits):
    scoring["b"] = Score(0.1, 0.05, 0.2)
    network = Network(a=giving(digits[400:500]), b=giving(digits[500:600]))
    strategy = strategy_of(owners=2)
    run(strategy, network)
    assert network.asked() == [{"a": 5, "b": 5}, {"a": 10, "b": 5}, {"a": 10, "b": 5}]
    assert strategy.scoreboard.disclosed == 40
    assert [record.disclosed for record in strategy.rounds] == [10, 15, 15]


def test_what_an_owner_leaves_unspent_goes_into_the_later_rounds(strategy_of, scoring, digits):
    network = Network(a=giving(digits[400:500], limit=8), b=giving(digits[500:600]))
    strategy = strategy_of({"num_rounds": 4}, owners=2)
    run(strategy, network)
    # 30 left over three rounds; a gives 3 of its 5, which are all that it has.
    assert network.asked() == [{"a": 5, "b": 5}, {"a": 5, "b": 5}, {"b": 11}, {"b": 11}]
    assert strategy.scoreboard.disclosed == 40


def test_an_empty_answer_ends_the_asking_of_that_owner(strategy_of, scoring, digits):
    network = Network(a=giving(digits[400:405]), b=giving(digits[500:600]))
    run(strategy_of(owners=2), network)
    assert network.asked()[1:] == [{"a": 8, "b": 7}, {"b": 23}]


def test_a_thin_budget_leaves_some_unasked(strategy_of, digits):
    network = Network(**{name: giving(digits[400:500]) for name in "abcd"})
    strategy = strategy_of({"budget": 12, "num_rounds": 1}, owners=4)
    run(strategy, network)
    assert sum(network.asked()[0].values()) == 12
    statuses = [each.status for each, _ in strategy.scoreboard.ranking()]
    assert statuses == ["scored", "scored", "scored", "not-asked"]


def test_it_stops_when_nobody_earns_it_and_says_so(strategy_of, scoring, digits, caplog):
    scoring |= dict.fromkeys("ab", Score(0.1, -0.1, 0.3))
    network = Network(a=giving(digits[400:500]), b=giving(digits[500:600]))
    strategy = strategy_of(owners=2)
    with caplog.at_level(logging.INFO, logger="strategies.mycroft"):
        run(strategy, network)
    assert len(network.asked()) == len(strategy.rounds) == 1
    assert strategy.scoreboard.buys_nothing
    assert "round 2: nothing more is bought" in caplog.text


@pytest.mark.parametrize("allocation", ["score", "equal"])
def test_nothing_more_is_bought_where_nobody_earns_it_however_it_is_allocated(
    strategy_of, scoring, digits, allocation
):
    scoring |= dict.fromkeys("ab", Score(0.1, -0.1, 0.3))
    network = Network(a=giving(digits[400:500]), b=giving(digits[500:600]))
    strategy = strategy_of({"allocation": allocation}, owners=2)
    run(strategy, network)
    assert len(strategy.rounds) == 1


def test_it_goes_on_where_it_may_not_stop_early(strategy_of, scoring, digits):
    scoring |= dict.fromkeys("ab", Score(0.1, -0.1, 0.3))
    network = Network(a=giving(digits[400:500]), b=giving(digits[500:600]))
    strategy = strategy_of({"stop_early": False}, owners=2)
    run(strategy, network)
    assert strategy.scoreboard.disclosed == 40


def test_equal_allocation_asks_all_alike_whatever_their_score(strategy_of, scoring, digits):
    scoring["a"] = Score(-0.1, -0.2, 0.0)
    network = Network(a=giving(digits[400:500]), b=giving(digits[500:600]))
    run(strategy_of({"allocation": "equal", "budget": 41}, owners=2), network)
    assert network.asked() == [{"a": 5, "b": 5}, {"a": 8, "b": 8}, {"a": 8, "b": 7}]


def test_it_ends_with_the_budget_before_the_rounds_do(strategy_of, scoring, digits):
    network = Network(a=giving(digits[400:500]))
    strategy = strategy_of({"budget": 5, "num_rounds": 9}, owners=1)
    run(strategy, network)
    assert len(network.asked()) == 1


def test_full_asks_all_for_everything_once(strategy_of, scoring, digits):
    network = Network(a=giving(digits[400:500]), b=giving(digits[500:520]))
    strategy = strategy_of({"method": "full", "budget": 1}, owners=2)
    run(strategy, network)
    assert network.asked() == [{"a": MAX_EXAMPLES, "b": MAX_EXAMPLES}]
    assert strategy.scoreboard.disclosed == 120


def malformed(digits: Examples) -> dict[str, tuple[str, Answer]]:
    five = digits[600:605]
    report = pack_report(OwnerReport(five))
    not_a_number = Examples(np.full((5, 1, 8, 8), np.nan, np.float32), five.y)
    bad_label = Examples(five.x, five.y + 100)
    return {
        "raises": ("error", saying(Error(code=2, reason="secret"))),
        "silent": ("timeout", saying(None)),
        "gone": ("timeout", saying(Error(code=5, reason=""))),
        "declines": ("refused", saying(pack_failure("refused"))),
        "fails": ("error", saying(pack_failure("error"))),
        "empty": ("malformed", saying(RecordDict())),
        "narrow": (
            "malformed",
            saying(pack_report(OwnerReport(Examples(five.x[..., 1:], five.y)))),
        ),
        "floats": (
            "malformed",
            saying(pack_report(OwnerReport(Examples(five.x.astype(np.float32), five.y)))),
        ),
        "nan": ("malformed", saying(pack_report(OwnerReport(not_a_number)))),
        "label": ("malformed", saying(pack_report(OwnerReport(bad_label)))),
        "too-many": ("malformed", saying(pack_report(OwnerReport(digits[600:606])))),
        "twice": ("malformed", saying(pack_report(OwnerReport(five[np.array([0, 1, 0])])))),
        "metrics": (
            "malformed",
            saying(RecordDict({"report": MetricRecord({"status": 1}), "arrays": report["arrays"]})),
        ),
        "copies": (
            "duplicate",
            lambda request: pack_report(OwnerReport(request.hard[: request.k])),
        ),
    }


@pytest.mark.unchecked
def test_each_failure_has_its_code_and_the_others_go_on(strategy_of, scoring, digits):
    cheats = malformed(digits)
    owners = {
        "good": giving(digits[400:500]),
        **{name: cheat for name, (_, cheat) in cheats.items()},
    }
    strategy = strategy_of({"budget": 75, "num_rounds": 1}, owners=len(owners))
    network = Network(**owners)
    run(strategy, network)
    [record] = strategy.rounds
    assert record.failed == {name: code for name, (code, _) in sorted(cheats.items())}
    assert (record.asked, record.answered, record.disclosed) == (len(owners), 1, 5)
    ranking = [(each.owner, each.status, rank) for each, rank in strategy.scoreboard.ranking()]
    assert ranking[0] == ("good", "scored", 1)
    assert ranking[1:] == [(name, "failed", None) for name in sorted(cheats)]
    [answer] = strategy.scoreboard.records["good"].acquired
    assert answer.ids.tolist() == digits[400:405].ids.tolist()
    # What failed may have been disclosed all the same, and counts; a refusal discloses nothing.
    lost = {name: strategy.scoreboard.records[name].lost for name in cheats}
    assert lost == {name: 0 if code == "refused" else 5 for name, (code, _) in cheats.items()}


def dying(times: int, then: Answer) -> Answer:
    """An owner whose process dies so many times before it answers."""
    died = 0

    def answer(request: Request) -> Reply:
        nonlocal died
        died += 1
        return Error(code=0, reason="the worker died") if died <= times else then(request)

    return answer


def test_an_owner_whose_process_died_is_asked_again_twice_and_named(
    strategy_of, scoring, digits, caplog
):
    strategy = strategy_of({"budget": 45, "num_rounds": 1}, owners=3)
    network = Network(
        well=giving(digits[400:500]),
        once=dying(2, giving(digits[500:600])),
        ever=dying(9, giving(digits[600:700])),
    )
    run(strategy, network)
    [record] = strategy.rounds
    assert record.failed == {"ever": "error"}
    assert (record.asked, record.answered) == (3, 2)
    asked = Counter(name for name, _ in network.requests)
    assert asked == {"well": 1, "once": 3, "ever": 3}
    assert strategy.scoreboard.records["once"].status == "scored"
    assert "round 1: processes died; asking again: ever, once" in caplog.text
    [warning] = of_processes(strategy.asked_again)
    assert warning.startswith("the process that answered for ever, once died")


def test_an_example_sold_twice_is_a_duplicate(strategy_of, digits):
    again = digits[400:405]
    network = Network(a=lambda request: pack_report(OwnerReport(again)), b=giving(digits[500:600]))
    strategy = strategy_of({"allocation": "equal", "stop_early": False}, owners=2)
    run(strategy, network)
    assert [record.failed.get("a") for record in strategy.rounds][:2] == [None, "duplicate"]
    assert strategy.scoreboard.records["a"].disclosed == 5


def test_what_is_known_to_do_harm_is_not_trained_on(strategy_of, digits):
    strategy = strategy_of(owners=2)
    harmful = OwnerRecord("a", (digits[:5],), score=Score(-0.2, -0.3, -0.1))
    useless = OwnerRecord("b", (digits[5:9],), score=Score(-0.1, -0.3, 0.1))
    strategy.scoreboard.records = {"a": harmful, "b": useless}
    kept = strategy.scoreboard.worth_having()
    assert kept is not None
    assert kept.ids.tolist() == digits[5:9].ids.tolist()


def test_an_owner_that_fails_later_keeps_its_rank_and_may_answer_again(
    strategy_of, scoring, digits
):
    honest = giving(digits[400:500])

    def moody(request: Request) -> Reply:
        return Error(code=2, reason="") if request.server_round == 2 else honest(request)

    network = Network(a=moody, b=giving(digits[500:600]))
    strategy = strategy_of({"min_owners": 2}, owners=2)
    run(strategy, network)
    assert [record.failed for record in strategy.rounds] == [{}, {"a": "error"}, {}]
    assert [set(asked) for asked in network.asked()] == [{"a", "b"}] * 3
    assert [(each.owner, each.status, rank) for each, rank in strategy.scoreboard.ranking()] == [
        ("a", "scored", 1),
        ("b", "scored", 2),
    ]
    assert strategy.scoreboard.records["a"].failure is None


def test_fewer_nodes_than_needed_is_an_error_that_says_what_to_do(strategy_of, digits):
    network = Network(a=giving(digits[400:500]))
    strategy = strategy_of({"min_owners": 2, "timeout": 0.2}, owners=2)
    with pytest.raises(
        NotEnoughOwners,
        match=r"^1 owners answered within 0\.2 s, fewer than min-owners = 2; an owner's log, or the run's",
    ):
        run(strategy, network)
    assert network.requests == []


def test_fewer_good_answers_than_needed_in_the_first_round_is_an_error(strategy_of, digits):
    network = Network(a=giving(digits[400:500]), b=saying(pack_failure("error")))
    with pytest.raises(NotEnoughOwners, match=r"^1 owners answered within 5 s \(1 error\), fewer"):
        run(strategy_of({"min_owners": 2}, owners=2), network)


def test_owners_that_have_nothing_to_give_are_no_failure(strategy_of, digits):
    network = Network(a=giving(digits[:0]), b=giving(digits[:0]))
    strategy = strategy_of(owners=2)
    run(strategy, network)
    assert [(r.answered, r.failed, r.disclosed) for r in strategy.rounds] == [(2, {}, 0)]
    assert [each.score for each, _ in strategy.scoreboard.ranking()] == [Score(0.0, 0.0, 0.0)] * 2
    assert strategy.scoreboard.buys_nothing
    assert strategy.scoreboard.worth_having() is None


def test_an_answer_that_is_lost_has_cost_the_budget_all_the_same(strategy_of, scoring, digits):
    honest = giving(digits[400:500])
    network = Network(
        good=honest, late=saying(None), bad=saying(RecordDict()), no=saying(pack_failure("refused"))
    )
    strategy = strategy_of({"budget": 40, "num_rounds": 2}, owners=4)
    run(strategy, network)
    # 5 pilots, 10 that may have been disclosed unseen, and nothing for the refusal.
    assert network.asked()[1] == {"good": 25}
    assert strategy.scoreboard.disclosed == 30
    assert {name: each.spent for name, each in strategy.scoreboard.records.items()} == {
        "good": 30,
        "late": 5,
        "bad": 5,
        "no": 0,
    }


def test_the_same_examples_sold_again_are_a_duplicate(strategy_of, scoring, digits):
    again = pack_report(OwnerReport(digits[400:405]))
    network = Network(a=saying(again), b=giving(digits[500:600]))
    strategy = strategy_of({"num_rounds": 2}, owners=2)
    run(strategy, network)
    assert [record.failed for record in strategy.rounds] == [{}, {"a": "duplicate"}]
    assert strategy.scoreboard.records["a"].disclosed == 5


def test_nothing_is_learnt_from_an_owner_known_to_do_harm(strategy_of, scoring, digits):
    scoring |= {"bad": Score(-0.2, -0.3, -0.1), "poor": Score(-0.1, -0.3, 0.1)}
    network = Network(
        bad=giving(digits[400:500]), good=giving(digits[500:600]), poor=giving(digits[600:700])
    )
    strategy = strategy_of({"num_rounds": 1})
    run(strategy, network)
    kept = Examples.concatenate([digits[500:505], digits[600:605]])
    assert strategy.scoreboard.worth_having().ids.tolist() == kept.ids.tolist()
    assert strategy.scoreboard.disclosed == 15


def test_values_far_beyond_the_trainers_own_are_malformed(digits):
    def vectors(part: Examples) -> Examples:
        return Examples(part.x.reshape(len(part), -1).astype(np.float32) / 255, part.y)

    task = replace(TASK, shape=(64,), dtype=np.dtype(np.float32))
    trainer = Trainer(task, TrainerData(vectors(digits[:200]), vectors(digits[200:320])), QUICK)
    strategy = MycroftStrategy(trainer, expected_owners=2)
    huge = vectors(digits[400:405])
    huge.x[2, 3] = 1e6
    owners = {"a": giving(vectors(digits[500:600])), "huge": saying(pack_report(OwnerReport(huge)))}
    run(strategy, Network(**owners))
    assert strategy.rounds[0].failed == {"huge": "malformed"}


def test_a_method_that_needs_the_trainers_model_is_refused_where_that_stays_home(strategy_of):
    with pytest.raises(
        SettingError, match=r"'hard-features' looks through the trainer's model, which stays home"
    ):
        strategy_of({"method": "hard-features", "gradients_from": "owner"})


@pytest.mark.parametrize(
    ("changed", "travel"),
    [
        ({"method": "omp"}, True),
        ({"method": "hard-features"}, True),
        ({"method": "features"}, False),
        ({"method": "random"}, False),
        ({"method": "full"}, False),
        ({"method": "features", "feature_space": "model"}, True),
        ({"method": "omp", "gradients_from": "owner"}, False),
        ({"method": "features", "feature_space": "model", "gradients_from": "owner"}, False),
    ],
    ids=str,
)
def test_weights_travel_only_where_the_method_looks_through_them(
    strategy_of, digits, changed, travel
):
    network = Network(a=giving(digits[400:500]))
    strategy = strategy_of({**changed, "num_rounds": 1}, owners=1)
    run(strategy, network)
    [(_, request)] = network.requests
    assert (request.weights is not None) is travel
    if travel:
        np.testing.assert_array_equal(request.weights, flat_weights(strategy.trainer.baseline))


def test_a_request_holds_the_hard_set_that_is_sent_and_the_runs_settings(strategy_of, digits):
    network = Network(a=giving(digits[400:500]))
    changed = {"seed": 7, "owner_epochs": 3, "gradient_layers": "all", "feature_weight": 3.0}
    strategy = strategy_of(changed | {"num_rounds": 1}, owners=1)
    run(strategy, network)
    [(_, request)] = network.requests
    assert request.hard.ids.tolist() == strategy.trainer.hard_set.sent.ids.tolist()
    plain = {k: v for k, v in vars(request).items() if k not in ("hard", "weights")}
    assert plain == {
        "server_round": 1, "method": "features", "k": 5, "num_classes": 10, "model": "mlp",
        "feature_space": "pixels", "owner_epochs": 3, "seed": 7, "mode": "raw", "score_by": "hard-set",
        "gradient_layers": "all", "feature_weight": 3.0, "head": None, "rate": 0.0,
        "whitening": None, "target": None, "detector": None,
    }  # fmt: skip
    kept = [strategy.trainer.splits.scoring, strategy.trainer.splits.tuning]
    assert not any(np.isin(part.ids, request.hard.ids).any() for part in kept)


def test_of_too_many_owners_the_best_by_a_cheap_score_are_scored(
    strategy_of, scoring, digits, monkeypatch
):
    cheap = {"a": 0.1, "b": 0.4, "c": 0.3, "d": 0.4}
    monkeypatch.setattr(
        Valuation, "alignments", lambda self, subsets: {n: cheap[n] for n in subsets}
    )
    network = Network(**{name: giving(digits[400:500]) for name in cheap})
    strategy = strategy_of({"scoring_at_most": 2, "num_rounds": 1}, owners=4)
    run(strategy, network)
    assert [(each.owner, each.status, rank) for each, rank in strategy.scoreboard.ranking()] == [
        ("b", "scored", 1),
        ("d", "scored", 2),
        ("c", "screened", 3),
        ("a", "screened", 4),
    ]


def test_the_model_is_improved_with_all_that_was_acquired_in_the_order_of_names(
    strategy_of, scoring, digits
):
    network = Network(b=giving(digits[500:600]), a=giving(digits[400:500]))
    output: list[tuple[RoundRecord, np.ndarray]] = []
    strategy = strategy_of(
        owners=2, on_round=lambda record, model: output.append((record, flat_weights(model)))
    )
    result = run(strategy, network)
    acquired = Examples.concatenate([digits[400:421], digits[500:519]])
    assert strategy.scoreboard.worth_having().ids.tolist() == acquired.ids.tolist()
    wanted = flat_weights(strategy.trainer.improved(acquired))
    np.testing.assert_array_equal(flat_weights(strategy.model), wanted)
    np.testing.assert_array_equal(result.arrays.to_numpy_ndarrays()[0], wanted)
    np.testing.assert_array_equal(output[-1][1], wanted)
    assert [record for record, _ in output] == strategy.rounds
    assert dict(result.train_metrics_clientapp[3]) == {"disclosed": 40, "answered": 2}


def test_flowers_own_evaluation_is_called_after_each_round(strategy_of, scoring, digits):
    strategy = strategy_of(owners=1)
    asked: list[int] = []

    def evaluate(server_round: int, arrays: ArrayRecord) -> MetricRecord | None:
        asked.append(server_round)
        return MetricRecord({"right": server_round}) if server_round > 1 else None

    result = run(strategy, Network(a=giving(digits[400:500])), evaluate_fn=evaluate)
    assert asked == [1, 2, 3]
    assert {n: dict(each) for n, each in result.evaluate_metrics_serverapp.items()} == {
        2: {"right": 2},
        3: {"right": 3},
    }


def test_the_same_run_twice_is_the_same_whatever_the_nodes_are_called(strategy_of, digits):
    scores = []
    for names in ("abc", "cba"):
        owners = {n: giving(digits[400 + 50 * "abc".index(n) :][:50]) for n in names}
        strategy = strategy_of()
        run(strategy, Network(**owners))
        ranking = [(each.owner, each.score, rank) for each, rank in strategy.scoreboard.ranking()]
        scores.append((ranking, flat_weights(strategy.model).tolist()))
    assert scores[0] == scores[1]
