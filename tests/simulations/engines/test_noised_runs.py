"""Whole runs in noised modes: what leaves, what is charged, what the result says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clients.owner.file import load_owner_file
from mycroft_fl.errors import InputError, SettingError
from mycroft_fl.privacy.spending.ledger import PrivacyLedger
from mycroft_fl.report.run.summary import summary
from simulations.engines.run import run
from simulations.setup.simulation import Simulation
from strategies.runs.folder import RunFolder

DIGITS = (Path(__file__).parents[2] / "scenarios" / "digits.toml").read_text()
SCENARIO = (
    DIGITS
    + """
[[owners]]
name = "a"
holds = { rotated = 120, upright = 80 }
[[owners]]
name = "b"
holds = { rotated = 40, upright = 160 }
[[owners]]
name = "c"
holds = { upright = 200 }
[run]
budget = 40
pilot-per-owner = 8
fit.epochs = 8
fine-tune.steps = 30
scoring.repeats = 2
"""
)


@pytest.fixture
def result_of(tmp_path: Path):
    """Runs the scenario in a mode and returns its result."""

    def result_of(mode: str, folder: str = "run", **settings: Any) -> dict[str, Any]:
        file = tmp_path / "small.toml"
        file.write_text(SCENARIO)
        given = {"mode": mode} | {key.replace("__", "."): each for key, each in settings.items()}
        given = {key.replace("_", "-"): each for key, each in given.items()}
        simulation = Simulation.load(str(file), given, tmp_path / folder, engine="in-process")
        RunFolder.prepared(tmp_path / folder, force=False)
        return run(simulation)

    return result_of


def spends(tmp_path: Path, owner: str, folder: str = "run") -> list:
    return PrivacyLedger(tmp_path / folder / "owners" / owner / "ledger.sqlite").rows()


def test_a_score_ranks_owners_and_no_record_moves(result_of, tmp_path: Path) -> None:
    result = result_of("score", policy__epsilon=4.0, policy__delta=1e-5)
    assert [each["owner"] for each in result["owners"]] == ["a", "b", "c"]
    assert [each["rank"] for each in result["owners"]] == [1, 2, 3]
    assert result["disclosed"] == 0
    assert [each["asked"] for each in result["rounds"]] == [3]
    for owner in "abc":
        assert [row.mode for row in spends(tmp_path, owner)] == ["score"]
    for card in result["privacy"]:
        assert card["epsilon"] <= 4.0 + 1e-6
        assert card["delta"] == 1e-5
        assert card["noise"] == "SIMULATED"
    assert any("SIMULATED" in warning for warning in result["warnings"])
    text = summary(result)
    assert "relevance, %" in text
    assert "(epsilon 4, delta 1e-05) per record, add or remove one unit" in text


def test_a_score_by_class_says_of_each_owner_which_class_it_helps_with(
    result_of, tmp_path: Path
) -> None:
    result = result_of("score", score__by="class", policy__epsilon=4.0, policy__delta=1e-5)
    assert [each["owner"] for each in result["owners"]] == ["a", "b", "c"]
    classes = {tuple(each["by_class"]) for each in result["owners"]}
    assert len(classes) == 1  # a question of the hard set, and the same for all
    for each in result["owners"]:
        for output in each["by_class"].values():
            assert output["low"] < output["score"] < output["high"]
    for owner in "abc":
        (spend,) = spends(tmp_path, owner)
        assert spend.mode == "score"
    best = max(result["owners"][0]["by_class"].items(), key=lambda each: each[1]["low"])
    text = summary(result)
    assert f"- a: {best[0]} {100 * best[1]['score']:+.1f} [" in text
    assert "by_class" in result_of("score", "plain", policy__epsilon=4.0)["owners"][0]


@pytest.mark.parametrize("mode", ["gradient", "score-then-raw"])
def test_whatever_follows_a_score_follows_one_by_class(mode: str, result_of) -> None:
    result = result_of(mode, score__by="class", policy__epsilon=1e6, num_rounds=2)
    assert [each["answered"] for each in result["rounds"]] == [3, 3]
    assert result["owners"][0]["owner"] == "a"
    assert result["owners"][0]["by_class"]


def test_a_score_by_class_of_a_target_is_refused_in_one_line(result_of) -> None:
    with pytest.raises(SettingError, match=r"set score\.by"):
        result_of("score", score__by="class", request="target", policy__epsilon=4.0)


def test_the_same_seed_gives_the_same_noise_and_another_seed_other_noise(result_of) -> None:
    def scores(folder: str, seed: int) -> list[float]:
        output = result_of("score", folder, policy__epsilon=0.5, seed=seed)["owners"]
        return [each["score"] for each in sorted(output, key=lambda each: each["owner"])]

    assert scores("a", 0) == scores("b", 0) != scores("c", 1)


def test_after_a_score_the_best_hand_over_the_most_examples(result_of, tmp_path: Path) -> None:
    result = result_of("score-then-raw", policy__epsilon=4.0, policy__delta=1e-5)
    by_name = {each["owner"]: each for each in result["owners"]}
    a, b, c = (by_name[owner]["disclosed"] for owner in "abc")
    assert a > b > c
    assert a + b + c == result["disclosed"] <= 40
    # Nothing but the score was asked in the first round.
    assert result["rounds"][0]["disclosed"] == 0
    assert {row.mode for row in spends(tmp_path, "a")} == {"score", "raw"}
    # The ranking stays the one by noised scores, for owners that gave examples and for others.
    assert [each["rank"] for each in result["owners"]] == [1, 2, 3]
    assert by_name["a"]["card"]["raw"] is True
    assert "No differential privacy applies to them." in by_name["a"]["card"]["promise"]


def test_after_a_score_the_best_hand_over_all_they_hold_where_the_method_is_full(
    result_of, tmp_path: Path
) -> None:
    result = result_of("score-then-raw", policy__epsilon=0.25, policy__delta=1e-5, method="full")
    by_name = {each["owner"]: each for each in result["owners"]}
    earning = {name for name, each in by_name.items() if each["low"] > 0}
    assert set() < earning < {"a", "b", "c"}
    for name, each in by_name.items():
        assert each["disclosed"] == (200 if name in earning else 0)
    # Once: a third round has nothing more to ask for.
    assert [each["disclosed"] for each in result["rounds"]] == [0, 200 * len(earning)]


def test_noised_gradients_move_the_last_layer_within_epsilon(result_of, tmp_path: Path) -> None:
    result = result_of("gradient", policy__epsilon=1e6, policy__delta=1e-5, num_rounds=9)
    assert result["disclosed"] == 0
    assert len(result["rounds"]) == 9
    assert result["final"]["hard"] > result["control"]["hard"]
    a = spends(tmp_path, "a")
    assert [row.mode for row in a] == ["score"] + ["gradient"] * 8
    last = next(each for each in result["owners"] if each["owner"] == "a")["card"]
    assert last["rho_total"] == pytest.approx(sum(row.rho for row in a))
    assert last["epsilon_total"] <= 1e6 * (1 + 1e-6)


def test_last_layers_that_owners_trained_are_combined_within_epsilon(
    result_of, tmp_path: Path
) -> None:
    result = result_of("dp-sgd", policy__epsilon=1e4, policy__delta=1e-5)
    assert result["disclosed"] == 0
    # One run of it, whatever the number of rounds.
    assert len(result["rounds"]) == 2
    assert result["final"]["hard"] > result["control"]["hard"]
    a = spends(tmp_path, "a")
    assert [row.mode for row in a] == ["score", "dp-sgd"]
    assert a[1].spend.sgd is not None
    card = next(each for each in result["owners"] if each["owner"] == "a")["card"]
    assert card["mode"] == "dp-sgd"
    assert 0 < card["epsilon"] < card["epsilon_total"] <= 1e4


def test_examples_drawn_at_random_pay_epsilon_minus(result_of, tmp_path: Path) -> None:
    result = result_of(
        "raw-gumbel", policy__epsilon_minus=9.0, policy__strength=4.0, pilot_per_owner=2, budget=6,
        num_rounds=1,
    )  # fmt: skip
    assert result["disclosed"] == 6
    for owner in "abc":
        [row] = spends(tmp_path, owner)
        assert row.records == 2
        assert row.epsilon_minus == pytest.approx(2 * np.log1p(np.exp(4) / 198))


def test_draws_of_several_rounds_share_epsilon_minus(result_of, tmp_path: Path) -> None:
    result_of(
        "raw-gumbel", policy__epsilon_minus=0.5, pilot_per_owner=1, budget=6, num_rounds=2,
        stop_early=False, allocation="equal",
    )  # fmt: skip
    for owner in "abc":
        first, second = (row.epsilon_minus for row in spends(tmp_path, owner))
        assert first == pytest.approx(0.25)
        assert second == pytest.approx(0.25)


def test_every_simulated_owner_has_its_file_before_anything_is_asked(
    result_of, tmp_path: Path
) -> None:
    result_of("score", policy__epsilon=0.5, policy__max_records=7)
    for owner in "abc":
        file = load_owner_file(tmp_path / "run" / "owners" / owner / "owner.toml")
        assert file.name == owner
        assert (file.policy.epsilon, file.policy.max_records) == (0.5, 7)
        assert file.policy.modes == ("score",)


def test_a_noised_mode_without_an_epsilon_is_refused_before_the_start(result_of) -> None:
    with pytest.raises(InputError, match=r"policy.epsilon is missing"):
        result_of("score")
