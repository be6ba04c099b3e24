"""The figures of the table of shifts, against what is counted by hand and by all pairs."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.shifts import figures
from benchmarks.shifts.runs import Run, results_of
from benchmarks.shifts.worlds import RULES, WORLDS, World
from simulations.population.scenario_file import load_scenario
from simulations.setup.simulation import Simulation

FAILING = ("bad", "worse")


def owner(name, rank, holds, disclosed=0, low=None):
    return {"owner": name, "rank": rank, "holds": holds, "disclosed": disclosed, "low": low}


RESULT = {
    "disclosed": 40,
    "verdict": "Buy from a",
    "owners": [
        owner("a", 1, {"bad": 10, "good": 10}, 20, 0.1),
        owner("b", 2, {"worse": 30, "good": 10}, 12, -0.1),
        owner("c", 3, {"good": 10}, 8),
        owner("d", None, {"good": 10}),
    ],
    "free": {"hard": 0.5, "test": 0.7, "groups": {"good": 0.9, "fair": 0.8, "bad": 0.2}},
    "final": {"hard": 0.75, "test": 0.65, "groups": {"good": 0.8, "fair": 0.9, "bad": 0.1}},
}


def test_each_figure_is_what_one_counts_by_hand():
    assert figures.over(RESULT, "free", "hard") == pytest.approx(0.25)
    assert figures.over(RESULT, "free", "test") == pytest.approx(-0.05)
    assert figures.elsewhere(RESULT, ("bad", "good")) == pytest.approx(0.1)
    useful = [figures.usefulness(each, FAILING) for each in RESULT["owners"]]
    assert useful == [0.5, 0.75, 0, 0]
    assert not figures.right_first(RESULT, FAILING)
    assert figures.right_first(RESULT, ("bad",))
    assert figures.spent_for_nothing(RESULT, FAILING) == pytest.approx(8 / 40)
    assert figures.ranking_tau(RESULT, FAILING) == pytest.approx((2 - 1) / 3)


def test_over_another_rule_only_seeds_of_both_count():
    mine, other = ({"final": {"hard": each}} for each in (0.75, 0.5))
    assert figures.over_rule({1: mine, 2: mine, 3: mine}, {2: other, 4: other}) == [0.25]


def test_where_nothing_can_be_said_there_is_no_figure():
    nothing = {**RESULT, "disclosed": 0}
    assert math.isnan(figures.spent_for_nothing(nothing, FAILING))
    assert math.isnan(figures.ranking_tau(RESULT, ("none",)))


@given(st.lists(st.integers(0, 4), min_size=2, max_size=7), st.randoms(use_true_random=False))
def test_tau_agrees_with_counting_all_pairs(useful, rng):
    ranks = list(range(1, len(useful) + 1))
    rng.shuffle(ranks)
    owners = [
        owner(str(place), rank, {"bad": good, "good": 10 - good})
        for place, (rank, good) in enumerate(zip(ranks, useful, strict=True))
    ]
    pairs = list(itertools.combinations(range(len(useful)), 2))
    signs = [
        math.copysign(1, ranks[b] - ranks[a]) * ((useful[a] > useful[b]) - (useful[a] < useful[b]))
        for a, b in pairs
    ]
    told_apart = sum(sign != 0 for sign in signs)
    tau = figures.ranking_tau({"owners": owners}, FAILING)
    if not told_apart:
        assert math.isnan(tau)
    else:
        assert tau == pytest.approx(sum(signs) / math.sqrt(told_apart * len(pairs)))


@pytest.mark.parametrize(
    ("verdict", "low", "word"),
    [
        ("Keep your model", None, "keep"),
        ("Nothing was bought", None, "keep"),
        ("Buy from nobody yet: together they help, but who does is not clear", None, "nobody yet"),
        ("Buy from a", None, "buy"),
        ("Buy from a and c", 0.1, "buy, one in vain"),
    ],
)
def test_a_verdict_becomes_a_word(verdict, low, word):
    owners = [*RESULT["owners"][:2], {**RESULT["owners"][2], "low": low}]
    assert figures.verdict_of({**RESULT, "verdict": verdict, "owners": owners}, FAILING) == word


@pytest.mark.parametrize("name", WORLDS)
def test_every_world_names_groups_that_its_trainer_is_tested_on(name, tmp_path):
    world = WORLDS[name]
    scenario = load_scenario(world.scenario)
    assert set(world.failing) < set(scenario.trainer["test"])
    if scenario.by_column is None:
        Simulation.load(world.scenario, world.settings, tmp_path)


def test_a_run_is_named_by_its_settings_and_not_by_its_rule(monkeypatch):
    monkeypatch.setitem(RULES, "another", dict(RULES["random"]))
    one, same = (Run("heart", rule, (), 3).key for rule in ("random", "another"))
    assert one == same
    assert Run("heart", "random", (("budget", 9),), 3).key != one
    assert Run("heart", "random", (), 4).key != one


@pytest.mark.slow
def test_a_second_call_runs_nothing_again(tmp_path, monkeypatch, capsys):
    scenario = tmp_path / "tiny.toml"
    scenario.write_text(
        'dataset = "digits"\nmodel = "linear"\n[groups.few]\nclasses = [0, 1, 2]\n[groups.most]\n'
        "classes = [3, 4, 5, 6, 7, 8, 9]\n[trainer]\ntrain = { most = 60 }\n"
        "validation = { most = 30, few = 30 }\ntest = { most = 30, few = 30 }\n"
        '[[owners]]\nname = "a"\nholds = { few = 40 }\n[[owners]]\nname = "b"\nholds = { most = 40 }\n'
        "[run]\nbudget = 20\npilot-per-owner = 5\nnum-rounds = 1\nscoring.repeats = 1\n"
    )
    monkeypatch.setitem(WORLDS, "tiny", World(str(scenario), ("few",)))
    runs = [Run("tiny", rule, (), 0) for rule in RULES]
    first = results_of(runs, tmp_path)
    assert capsys.readouterr().out.count("CPU seconds") == len(RULES)
    assert results_of(runs, tmp_path) == first
    assert capsys.readouterr().out == ""
    assert all(0 <= each["final"]["hard"] <= 1 for each in first.values())
    bad = Run("tiny", "random", (("budget", -1),), 0)
    assert results_of([bad], tmp_path) == {}
    assert "tiny, random, seed 0: " in capsys.readouterr().out
