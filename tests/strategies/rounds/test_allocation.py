"""Who is asked for how many: never over the budget, by seed, by worth."""

from __future__ import annotations

import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from mycroft_fl.scoring import Score
from strategies.rounds.allocation import by_score, by_stock, equal_shares, pilots

names = st.sets(st.text("abcdefgh0123", min_size=1, max_size=4), min_size=1, max_size=30)
budgets = st.integers(1, 500)


def score(gain: float, low: float) -> Score:
    return Score(gain, low, 2 * gain - low)


@given(owners=names, budget=budgets, each=st.integers(1, 40), seed=st.integers(0, 2**40))
def test_pilots_spend_what_they_can_and_never_more_than_the_budget(owners, budget, each, seed):
    asked = pilots(owners, budget=budget, per_owner=each, seed=seed)
    assert sum(asked.values()) == min(budget, each * len(owners))
    assert set(asked) <= owners
    assert all(1 <= count <= each for count in asked.values())
    # Only the last may be asked for less.
    assert sum(count < each for count in asked.values()) <= 1


@given(owners=names, each=st.integers(1, 40), spare=st.integers(0, 100), seed=st.integers(0, 99))
def test_all_are_asked_alike_where_the_budget_pays_for_all(owners, each, spare, seed):
    asked = pilots(owners, budget=each * len(owners) + spare, per_owner=each, seed=seed)
    assert asked == dict.fromkeys(owners, each)


@given(data=st.data(), owners=names, budget=budgets, seed=st.integers(0, 99))
def test_who_is_asked_depends_on_the_seed_and_not_on_the_order_of_arrival(
    data, owners, budget, seed
):
    shuffled = data.draw(st.permutations(sorted(owners)))
    first = pilots(sorted(owners), budget=budget, per_owner=15, seed=seed)
    assert list(first.items()) == list(
        pilots(shuffled, budget=budget, per_owner=15, seed=seed).items()
    )


def test_over_seeds_every_owner_is_asked_about_as_often():
    owners = [f"o{number}" for number in range(10)]
    seeds = 1000
    times = dict.fromkeys(owners, 0)
    for seed in range(seeds):
        for owner in pilots(owners, budget=60, per_owner=15, seed=seed):
            times[owner] += 1
    # Binomial(1000, 0.4): five standard deviations are 77.
    assert all(abs(count - 0.4 * seeds) < 77 for count in times.values())


@given(owners=names, budget=st.integers(0, 500))
def test_equal_shares_spend_everything_and_differ_by_one_at_most(owners, budget):
    asked = equal_shares(owners, budget)
    each, over = divmod(budget, len(owners))
    wanted = {
        name: each + (place < over) for place, name in enumerate(sorted(owners)) if each or place < over
    }  # fmt: skip
    assert asked == wanted


@given(
    gains=st.dictionaries(
        st.text("abcdef", min_size=1, max_size=3),
        st.floats(-0.5, 0.5).map(lambda gain: round(gain, 4)),
        max_size=12,
    ),
    budget=budgets,
    width=st.floats(0, 0.3),
)
def test_a_split_by_score_spends_the_budget_on_those_who_earn_it(gains, budget, width):
    scores = {name: score(gain, gain - width) for name, gain in gains.items()}
    asked = by_score(scores, budget)
    earning = {name for name, each in scores.items() if each.low > 0}
    seeming = {name for name, gain in gains.items() if gain > 0}
    open_to = earning or seeming or set(scores)
    assert set(asked) <= open_to
    assert sum(asked.values()) == (budget if open_to else 0)
    assert all(count > 0 for count in asked.values())
    if not (earning or seeming):
        assert asked == equal_shares(scores, budget)
        return
    whole = sum(Fraction(str(gains[name])) for name in open_to)
    for name in open_to:
        share = budget * Fraction(str(gains[name])) / whole
        assert math.floor(share) <= asked.get(name, 0) <= math.ceil(share)
        for other in open_to:
            if gains[name] > gains[other]:
                assert asked.get(name, 0) >= asked.get(other, 0)


def test_twice_the_gain_is_asked_for_twice_as_many():
    scores = {"a": score(0.2, 0.1), "b": score(0.1, 0.05), "c": score(0.3, -0.01)}
    assert by_score(scores, 90) == {"a": 60, "b": 30}


def test_nobody_is_asked_where_nobody_was_scored():
    assert by_score({}, 100) == {}


stocked = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3),
    st.tuples(
        st.floats(-5, 50).map(lambda each: round(each, 3)),
        st.floats(-20, 200).map(lambda each: round(each, 3)),
    ),
    max_size=12,
)


@given(owners=stocked, budget=budgets)
def test_a_split_by_stock_never_passes_budget_or_stock_and_is_in_proportion(owners, budget):
    promises = {name: promise for name, (promise, _) in owners.items()}
    stocks = {name: stock for name, (_, stock) in owners.items()}
    asked = by_stock(promises, stocks, budget)
    able = {name for name in owners if promises[name] > 0 and stocks[name] >= 1}
    assert set(asked) <= able
    assert all(1 <= count <= stocks[name] for name, count in asked.items())
    # All is spent that may be.
    assert sum(asked.values()) == min(budget, sum(math.floor(stocks[name]) for name in able))
    free = [name for name in able if asked.get(name, 0) < math.floor(stocks[name])]
    for one in free:
        for other in able:
            # Who has not given all is asked for no less than its promise beside any other's.
            least = asked.get(other, 0) * promises[one] / promises[other]
            assert asked.get(one, 0) >= least - 1 - promises[one] / promises[other]


def test_what_one_owner_lacks_goes_to_the_others():
    promises, stocks = {"a": 3.0, "b": 1.0, "c": 1.0}, {"a": 10.4, "b": 99.0, "c": 0.9}
    assert by_stock(promises, stocks, 40) == {"a": 10, "b": 30}
    assert by_stock(promises, stocks, 8) == {"a": 6, "b": 2}
    assert by_stock({}, {}, 10) == {}


def test_an_owner_that_claims_any_number_gets_no_more_than_the_budget():
    promises, stocks = {"a": 1e12, "b": 1.0}, {"a": 1e6, "b": 9.0}
    assert by_stock(promises, stocks, 10**6) == {"a": 10**6 - 1, "b": 1}


def test_where_the_fall_in_loss_is_known_it_divides_the_budget():
    plain = score(0.1, -0.1)
    scores = {
        "a": plain.with_loss(Score(0.2, 0.1, 0.3)),
        "b": plain.with_loss(Score(0.1, 0.05, 0.2)),
        "c": score(0.9, 0.8).with_loss(Score(0.4, -0.1, 0.9)),
    }
    assert by_score(scores, 90) == {"a": 26, "b": 13, "c": 51}
