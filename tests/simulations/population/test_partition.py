"""Who gets which examples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mycroft_fl.errors import ScenarioError
from mycroft_fl.seeds import derived_seed
from simulations.population.partition import Want, marked, partition, scarcest_first


def rng(holder: str, group: str) -> np.random.Generator:
    return np.random.default_rng(derived_seed(0, holder, group))


@st.composite
def pools_and_wants(draw):
    size = draw(st.integers(1, 40))
    subset = st.sets(st.integers(0, size - 1), max_size=size).map(
        lambda identities: np.array(sorted(identities), dtype=np.int64)
    )
    pools = draw(st.dictionaries(st.sampled_from("ABCD"), subset, min_size=1))
    counts = st.dictionaries(st.sampled_from(sorted(pools)), st.integers(0, 5))
    wants = [Want(f"holder-{n}", each) for n, each in enumerate(draw(st.lists(counts, max_size=6)))]
    return pools, wants


@settings(deadline=None)
@given(pools_and_wants())
def test_exact_counts_nothing_twice_everything_eligible(case):
    pools, wants = case
    try:
        draws = partition(pools, wants, rng)
    except ScenarioError:
        return
    held = [identity for drawn in draws.values() for part in drawn.values() for identity in part]
    assert len(held) == len(set(held))
    for want in wants:
        drawn = {group: len(part) for group, part in draws[want.holder].items()}
        assert drawn == {group: count for group, count in want.counts.items() if count}
        assert all(np.isin(part, pools[g]).all() for g, part in draws[want.holder].items())


@settings(deadline=None)
@given(pools_and_wants())
def test_disjoint_groups_fail_only_where_too_few_are_there(case):
    pools, wants = case
    apart = {g: pool + 100 * number for number, (g, pool) in enumerate(sorted(pools.items()))}
    wanted = {g: sum(want.counts.get(g, 0) for want in wants) for g in apart}
    if any(wanted[g] > len(apart[g]) for g in apart):
        with pytest.raises(ScenarioError, match=r"examples are wanted .* but there are \d+;"):
            partition(apart, wants, rng)
    else:
        partition(apart, wants, rng)


def test_a_scarce_group_draws_before_a_wide_one_even_for_a_later_holder():
    pools = {"wide": np.arange(20), "scarce": np.arange(10)}
    draws = partition(pools, [Want("first", {"wide": 10}), Want("last", {"scarce": 10})], rng)
    assert sorted(draws["last"]["scarce"]) == list(range(10))
    assert sorted(draws["first"]["wide"]) == list(range(10, 20))
    assert scarcest_first(pools) == ["scarce", "wide"]


def test_too_few_says_how_many_are_wanted_by_whom_and_how_many_there_are():
    pools = {"wide": np.arange(20), "scarce": np.arange(10)}
    wants = [Want("trainer/train", {"wide": 10}), Want("a", {"scarce": 8, "wide": 5})]
    with pytest.raises(ScenarioError) as caught:
        partition(pools, wants, rng)
    assert str(caught.value) == (
        "group 'wide': 15 examples are wanted (trainer/train, a) but there are 12 "
        "(8 went to groups with fewer to choose from); ask for fewer; "
        "owners with reuse = true may share"
    )


def test_a_draw_depends_on_the_holder_not_on_those_after_it():
    pools = {"all": np.arange(50)}
    alone = partition(pools, [Want("a", {"all": 5})], rng)
    among = partition(pools, [Want("a", {"all": 5}), Want("b", {"all": 5})], rng)
    np.testing.assert_array_equal(alone["a"]["all"], among["a"]["all"])


def test_marked_are_the_identities_that_are_held():
    held = marked([{"x": np.array([1]), "y": np.array([3])}, {"x": np.array([0])}], 5)
    assert held.tolist() == [True, True, False, True, False]
