"""Rankings: by the lower bound, ties by name, the failed and not asked without a rank."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycroft_fl.examples import Examples
from mycroft_fl.scoring import Score
from strategies.rounds.owner_record import OwnerRecord, RoundRecord, ranked


def examples(count: int, start: int = 0) -> Examples:
    x = np.arange(start, start + count, dtype=np.float32)[:, None]
    return Examples(x, np.zeros(count, np.int64))


def scored(name: str, low: float, gain: float) -> OwnerRecord:
    return OwnerRecord(name, acquired=(examples(3),), score=Score(gain, low, gain + 0.1))


def places(records: list[OwnerRecord]) -> list[tuple[str, int | None]]:
    return [(each.owner, rank) for each, rank in ranked(records)]


def test_the_lower_bound_decides_then_the_gain_then_the_name():
    records = [
        scored("d", 0.1, 0.2),
        scored("c", 0.1, 0.3),
        scored("b", 0.1, 0.2),
        scored("a", -0.2, 0.9),
    ]
    assert places(records) == [("c", 1), ("b", 2), ("d", 3), ("a", 4)]


def test_where_the_fall_in_loss_is_known_it_decides_then_the_gain():
    def fell(name: str, fall: float, gain: float) -> OwnerRecord:
        plain = scored(name, -0.5, gain)
        assert plain.score is not None
        return replace(plain, score=plain.score.with_loss(Score(fall, fall - 1, fall + 1)))

    records = [fell("a", 0.1, 0.9), fell("b", 0.2, 0.0), fell("c", 0.1, 1.0)]
    assert places(records) == [("b", 1), ("c", 2), ("a", 3)]


def test_where_a_stock_was_counted_stock_times_share_decides():
    def counted(name: str, stock: float, share: float) -> OwnerRecord:
        return replace(scored(name, share - 0.1, share), stock=stock)

    records = [counted("rich", 5.0, 0.9), counted("large", 100.0, 0.1), counted("none", 80.0, -0.2)]
    assert [each.promise for each in records] == pytest.approx([4.5, 10.0, 0.0])
    assert places(records) == [("large", 1), ("rich", 2), ("none", 3)]
    assert OwnerRecord("a", stock=9.0).promise == 0.0
    assert scored("a", 0.1, 0.4).promise == 0.4


def test_the_screened_stand_behind_the_scored_by_their_cheap_score():
    records = [
        OwnerRecord("late", screening=9.0),
        OwnerRecord("later", screening=8.0),
        OwnerRecord("also", screening=8.0),
        replace(scored("poor", -0.5, -0.2), screening=-7.0),
    ]
    assert places(records) == [("poor", 1), ("late", 2), ("also", 3), ("later", 4)]


def test_who_has_nothing_to_give_stands_behind_all_who_gave_something():
    records = [
        OwnerRecord("empty", score=Score(0.0, 0.0, 0.0), exhausted=True),
        scored("unsure", -0.2, 0.1),
        OwnerRecord("late", screening=-1.0),
    ]
    assert places(records) == [("unsure", 1), ("late", 2), ("empty", 3)]


def test_the_failed_and_then_the_not_asked_come_last_and_have_no_rank():
    records = [
        OwnerRecord("z"),
        OwnerRecord("y", failure="error"),
        OwnerRecord("a", failure="timeout"),
        scored("s", -1.0, -1.0),
    ]
    assert places(records) == [("s", 1), ("a", None), ("y", None), ("z", None)]


numbers = st.sampled_from([-0.5, -0.1, 0.0, 0.1, 0.5])
kinds = st.one_of(
    st.builds(
        lambda low, gain, given: {"score": Score(gain, low, 1.0), "acquired": given},
        numbers,
        numbers,
        st.sampled_from([(), (examples(2),)]),
    ),
    st.builds(lambda cheap: {"screening": cheap}, numbers),
    st.just({"failure": "error"}),
    st.just({}),
)


@given(data=st.data(), drawn=st.dictionaries(st.text("abc", min_size=1), kinds, max_size=12))
def test_a_ranking_never_depends_on_the_order_of_arrival(data, drawn):
    records = [OwnerRecord(name, **kind) for name, kind in drawn.items()]
    in_order = ranked(records)
    assert ranked(data.draw(st.permutations(records))) == in_order
    ranks = [rank for _, rank in in_order if rank is not None]
    assert ranks == list(range(1, len(ranks) + 1))
    assert [each.owner for each, rank in in_order if rank is None] == [
        each.owner for each, _ in in_order[len(ranks) :]
    ]


@pytest.mark.parametrize(
    ("record", "status"),
    [
        (OwnerRecord("a"), "not-asked"),
        (OwnerRecord("a", failure="refused"), "failed"),
        (OwnerRecord("a", screening=0.0), "screened"),
        (scored("a", 0.0, 0.0), "scored"),
        (replace(scored("a", 0.0, 0.0), screening=1.0), "scored"),
        (replace(scored("a", 0.0, 0.0), failure="timeout"), "scored"),
        (OwnerRecord("a", screening=1.0, failure="error"), "screened"),
    ],
)
def test_the_status_says_how_far_an_owner_came(record, status):
    assert record.status == status


def test_answers_add_up_in_order_and_one_with_fewer_than_asked_exhausts():
    one = OwnerRecord("a", failure="timeout").with_answer(examples(3), asked=3)
    assert (one.disclosed, one.exhausted, one.failure) == (3, False, None)
    two = one.with_answer(examples(2, start=10), asked=3)
    assert (two.disclosed, two.exhausted) == (5, True)
    assert not one.with_answer(examples(2, start=10), asked=2).exhausted
    assert two.subset().x[:, 0].tolist() == [0, 1, 2, 10, 11]
    spent = two.with_answer(examples(0), asked=1)
    assert spent.exhausted
    assert spent.disclosed == 5


@pytest.mark.parametrize(
    ("code", "lost"),
    [("refused", 0), ("error", 7), ("timeout", 7), ("malformed", 7), ("duplicate", 7)],
)
def test_a_failed_answer_may_have_disclosed_what_was_asked_unless_it_was_refused(code, lost):
    one = OwnerRecord("a").with_answer(examples(3), 3).with_failure(code, 7)
    assert (one.failure, one.disclosed, one.spent) == (code, 3, 3 + lost)
    assert one.with_failure("error", 2).spent == 3 + lost + 2
    assert one.with_answer(examples(1, start=5), 1).spent == 4 + lost


def test_what_was_handed_over_before_is_known_again():
    one = OwnerRecord("a").with_answer(examples(3), 3).with_answer(examples(2, start=10), 2)
    assert not OwnerRecord("a").holds_again(examples(3))
    assert not one.holds_again(examples(4, start=3))
    assert one.holds_again(examples(2, start=11))
    assert not one.holds_again(examples(0))


def test_a_round_record_is_one_line_of_json():
    record = RoundRecord(2, 5, 3, {"a": "error", "b": "timeout"}, 45, 1.5)
    assert json.loads(json.dumps(record.as_json())) == {
        "round": 2,
        "asked": 5,
        "answered": 3,
        "failed": {"a": "error", "b": "timeout"},
        "disclosed": 45,
        "seconds": 1.5,
    }
