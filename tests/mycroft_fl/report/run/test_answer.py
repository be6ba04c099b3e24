"""The trainer's question: every verdict, and figures that add up."""

from __future__ import annotations

import copy
import json

import pytest

from mycroft_fl.report.run.answer import answer
from mycroft_fl.report.run.gains import cost_per_point, gain_over


@pytest.fixture
def result(runs):
    """A real run's result in which every figure of the answer is set by hand."""
    found = json.loads((runs["images"] / "result.json").read_text())
    found = copy.deepcopy(found)
    found["disclosed"] = 40
    found["free"]["hard"], found["final"]["hard"] = 0.3, 0.5
    found["gains"]["free"]["hard"] = {"gain": 0.2, "low": 0.1, "high": 0.4}
    found["gains"]["random"]["hard"] = {"gain": 0.05, "low": 0.01, "high": 0.09}
    for each in found["owners"]:
        each.update(score=None, low=None, high=None, loss_fall=None, loss_low=None)
    found["owners"][0].update(score=0.08, low=0.02, high=0.14, disclosed=30)
    found["owners"][1].update(score=0.01, low=-0.02, high=0.04, disclosed=10)
    return found


def test_buys_from_those_whose_whole_interval_is_above_zero(result):
    found = answer(result)
    assert found.verdict == "Buy from a"
    text = " ".join(found.reasons)
    assert "50.0 % of its former failures right" in text
    assert "trained on all that you hold yourself, which costs nothing, 30.0 %" in text
    # 40 examples for 20 points is 2 a point; for the bounds, 40 and 10 points, 1 and 4.
    assert "+20.0 [+10.0, +40.0] points for 40 examples, 2.0 (1.0 to 4.0) a point" in text
    assert "is worth +5.0 [+1.0, +9.0] of these points" in text
    assert "a +8.0 [+2.0, +14.0] for 30 examples." in text
    assert {tile.figure for tile in found.tiles} >= {"30.0 → 50.0", "+20.0", "40", "2.0"}


@pytest.mark.parametrize(
    ("free_is", "words"),
    [
        ("baseline", "as it was before, which costs nothing"),
        ("control", "trained on your own data again, which costs nothing"),
        ("own hard set", "with your own hard set alone, which costs nothing"),
        ("all failures, share 0.3", "trained on all that you hold yourself, which costs nothing"),
    ],
)
def test_the_rival_is_called_what_it_is(result, free_is, words):
    result["free_is"] = free_is
    assert words in answer(result).reasons[0]


def test_where_the_free_model_is_the_final_one_no_gain_is_spoken_of(result):
    result["final_is"] = "free"
    found = answer(result)
    assert found.verdict == "Keep your model"
    assert "The final model is the free one" in found.reasons[0]
    assert "With what owners gave, the model gets" not in " ".join(found.reasons)


def test_a_rival_that_knows_more_is_not_left_unsaid(result):
    result["final_is"] = "last round"
    assert any("compare like with like" in each for each in answer(result).notes)


def test_several_are_listed_and_many_are_counted(result):
    helpful = result["owners"][0]
    result["owners"] = [{**helpful, "owner": name} for name in "abc"]
    assert answer(result).verdict == "Buy from a, b and c"
    result["owners"] = [{**helpful, "owner": name} for name in "abcdefgh"]
    found = answer(result)
    assert found.verdict == "Buy from a, b, c, d, e and 3 more"
    assert found.reasons[-1].endswith("; and 3 more.")


def test_where_the_fall_in_log_loss_is_known_its_lower_bound_decides(result):
    result["owners"][0].update(loss_fall=0.02, loss_low=-0.01)
    result["owners"][1].update(loss_fall=0.03, loss_low=0.01)
    assert answer(result).verdict == "Buy from b"


@pytest.mark.parametrize("low", [-0.01, 0.0])
def test_does_not_buy_where_the_free_model_may_do_as_well(result, low):
    result["gains"]["free"]["hard"]["low"] = low
    found = answer(result)
    assert found.verdict == "Keep your model"
    assert "too little to tell from nothing" in found.reasons[0]
    assert cost_per_point(result, gain_over(result, "free")) is None


def test_does_not_buy_what_makes_it_worse(result):
    result["gains"]["free"]["hard"] = {"gain": -0.1, "low": -0.2, "high": -0.01}
    found = answer(result)
    assert found.verdict == "Keep your model"
    assert "-10.0 [-20.0, -1.0] points, no gain" in found.reasons[0]


def test_says_so_where_all_together_help_and_nobody_does_alone(result):
    result["owners"][0]["low"] = -0.01
    found = answer(result)
    assert found.verdict.startswith("Buy from nobody yet: together they help")
    assert "pilot-per-owner" in " ".join(found.reasons)


def test_luck_that_does_as_well_is_said(result):
    result["gains"]["random"]["hard"]["low"] = -0.01
    assert "drawn at random would have done about as well" in " ".join(answer(result).reasons)
    result["method"] = "random"
    assert "at random" not in " ".join(answer(result).reasons)


@pytest.mark.parametrize("how", ["free", "baseline"])
def test_random_picks_that_were_given_up_are_not_called_a_model_of_random_picks(result, how):
    result["random_is"] = how
    said = " ".join(answer(result).reasons)
    assert f"drawn at random were tried too, and given up for the {how} model" in said
    assert "is worth +5.0 [+1.0, +9.0] of these points" in said


def test_what_the_whole_test_loses_is_no_reason_to_buy(result):
    result["gains"]["free"]["test"] = {"gain": -0.03, "low": -0.05, "high": -0.01}
    found = answer(result)
    assert found.verdict == "Keep your model"
    assert (
        "over the whole test it loses more than that brings: -3.0 [-5.0, -1.0]" in found.reasons[0]
    )


@pytest.mark.parametrize(("low", "said"), [(-0.01, True), (0.01, False)])
def test_a_gain_on_the_whole_test_that_is_not_clear_is_said(result, low, said):
    result["gains"]["free"]["test"] = {"gain": 0.02, "low": low, "high": 0.03}
    notes = " ".join(answer(result).notes)
    assert ("Over the whole test the final model gains +2.0 [-1.0, +3.0] points" in notes) == said


def test_a_price_that_is_dear_is_said(result):
    result["tested"] = {"test": 200, "hard": 50, "groups": {}}
    for kept, said in ((0.96, False), (0.94, True)):
        result["final"].update(hard=0.4, test=(20 + kept * 150) / 200)
        found = [each for each in answer(result).notes if "of what the baseline gets right" in each]
        assert bool(found) == said
    assert "loses 6.0 points" in found[0]


def test_an_older_result_has_no_interval_and_says_so(result):
    del result["gains"]
    result["free"]["hard"], result["final"]["hard"] = 0.3, 0.5
    found = answer(result)
    assert "+20.0 points for 40 examples, 2.0 a point" in " ".join(found.reasons)
    assert any("older version" in text for text in found.notes)


def test_nothing_failed_nothing_to_buy_for(result):
    for key in ("baseline", "control", "own_hard_set", "random", "final"):
        result[key]["hard"] = None
    assert answer(result).verdict == "There is nothing to buy for"


def test_nothing_came_nothing_was_bought(result):
    result["disclosed"] = 0
    assert answer(result).verdict == "Nothing was bought"


def test_many_owners_bring_a_word_on_chance(result):
    assert not any("by chance" in text for text in answer(result).notes)
    result["owners"] = [{**result["owners"][0], "owner": f"o{n}"} for n in range(40)]
    assert any("about 1.0 of them" in text for text in answer(result).notes)


def test_a_noised_score_says_whom_to_ask_and_that_nothing_moved(runs):
    result = json.loads((runs["score"] / "result.json").read_text())
    for each in result["owners"]:
        if each["score"] is not None:
            each.update(score=0.02, low=-0.05, high=0.09)
    assert answer(result).verdict == "Ask nobody on this evidence"
    result["owners"][0].update(score=0.2, low=0.1, high=0.3)
    found = answer(result)
    assert found.verdict == f"Ask {result['owners'][0]['owner']}"
    assert "No example moved" in found.reasons[-1]
    assert "+20.0 [+10.0, +30.0] %" in found.reasons[0]
    assert any(tile.figure == "4" and "epsilon" in tile.meaning for tile in found.tiles)


@pytest.mark.parametrize("mode", ["gradient", "dp-sgd"])
def test_noised_steps_that_help_are_worth_asking_for_and_cost_epsilon_not_examples(result, mode):
    result["disclosed"] = 0
    result["settings"]["mode"] = mode
    result["privacy"] = [{**result["privacy"][0], "mode": mode, "epsilon_total": 2.5}]
    found = answer(result)
    assert found.verdict == "Ask a"
    assert "owners spent up to epsilon 2.5 per unit" in " ".join(found.reasons)
    assert "a point" not in " ".join(found.reasons)


@pytest.mark.parametrize("mode", ["gradient", "dp-sgd"])
def test_noised_scores_alone_move_no_model_so_nothing_was_bought(result, mode):
    result["disclosed"] = 0
    result["settings"]["mode"] = mode
    result["privacy"] = [{**result["privacy"][0], "mode": "score", "epsilon_total": 2.5}]
    assert answer(result).verdict == "Nothing was bought"


def test_the_interval_of_a_real_run_holds_the_difference_of_its_accuracies(runs):
    result = json.loads((runs["images"] / "result.json").read_text())
    for rival in ("control", "own_hard_set", "random"):
        for key in ("hard", "test"):
            gain = result["gains"][rival][key]
            assert gain["gain"] == pytest.approx(result["final"][key] - result[rival][key])
            assert gain["low"] <= gain["gain"] <= gain["high"]
    assert result["tested"]["test"] == sum(result["tested"]["groups"].values()) == 120
    wrong = 120 * (1 - result["baseline"]["test"])
    assert result["tested"]["hard"] == pytest.approx(wrong)
