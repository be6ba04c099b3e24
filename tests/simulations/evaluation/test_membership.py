"""An attack on a run's last model: what it finds, beside what is known of it, and what it repeats."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mycroft_fl.errors import SettingError
from mycroft_fl.models.weights import flat_weights
from mycroft_fl.privacy.attacks.membership import auc_ceiling
from mycroft_fl.privacy.noise.accounting import SgdRun, Spend
from mycroft_fl.report.run.summary import summary
from simulations.engines.run import run
from simulations.evaluation import membership
from simulations.evaluation import result as evaluation
from simulations.evaluation.membership import DELTAS, PAIRS, best_possible
from simulations.setup.simulation import Simulation
from simulations.study.measures import measures
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
holds = { upright = 200 }
[run]
budget = 80
pilot-per-owner = 40
num-rounds = 1
fit.epochs = 8
fine-tune.steps = 30
scoring.repeats = 1
stop-early = false
"""
)


@pytest.fixture
def loaded(tmp_path: Path):
    """The scenario with settings laid over it."""

    def loaded(**settings: Any) -> Simulation:
        file = tmp_path / "small.toml"
        file.write_text(SCENARIO)
        given = {key.replace("__", ".").replace("_", "-"): each for key, each in settings.items()}
        folder = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
        return Simulation.load(str(file), given, folder, engine="in-process")

    return loaded


@pytest.fixture
def result_of(loaded):
    """Runs it and returns its result."""

    def result_of(**settings: Any) -> dict[str, Any]:
        simulation = loaded(**settings)
        RunFolder.prepared(simulation.folder.path, force=False)
        return run(simulation)

    return result_of


def test_a_model_that_learnt_what_it_was_handed_by_heart_gives_it_away(result_of):
    result = result_of(
        attack="membership", method="random", subset_weight=0.8,
        fine_tune__steps=300, fine_tune__learning_rate=0.01,
    )  # fmt: skip
    found = result["attack"]
    assert found["records"] == next(
        each["disclosed"] for each in result["owners"] if each["owner"] == found["owner"]
    )
    assert found["models"] == 2 * PAIRS
    assert found["auc"] > 0.7
    assert found["ceiling"] is None
    output = f"records of {found['owner']} reached an AUC of {found['auc']:.3f}"
    assert output in summary(result)
    assert "nothing bounds it" in summary(result)
    assert measures(result)["auc"] == found["auc"]
    assert measures(result)["auc_ceiling"] is None


@pytest.mark.parametrize("mode", ["gradient", "dp-sgd"])
def test_behind_much_noise_it_guesses_and_its_ceiling_is_near(result_of, mode):
    settings = {"policy__sgd_steps": 10} if mode == "dp-sgd" else {}
    result = result_of(
        attack="membership", mode=mode, num_rounds=2, policy__epsilon=2.0, train_on_validation=False,
        **settings,
    )  # fmt: skip
    found = result["attack"]
    assert (found["owner"], found["records"]) == ("a", 200)
    # 200 records in 16 models: chance alone stays within 0.04 of guessing.
    assert abs(found["auc"] - 0.5) < 0.05
    assert 0.5 < found["ceiling"] < 0.8
    row = measures(result)
    assert (row["auc"], row["auc_ceiling"]) == (found["auc"], found["ceiling"])
    assert (row["mu"] is None) == (mode == "dp-sgd")
    assert f"at most {found['ceiling']:.3f} by what was promised" in summary(result)


def test_the_same_run_is_attacked_with_the_same_outcome(result_of):
    one, other = (result_of(attack="membership", method="random")["attack"] for _ in range(2))
    assert one == other


def test_a_run_that_nobody_asked_to_attack_says_nothing_of_it(result_of):
    result = result_of()
    assert "attack" not in result
    assert "attack" not in result["settings"]
    assert "Membership inference" not in summary(result)
    assert measures(result)["auc"] is None


def test_nothing_is_attacked_where_nobody_s_records_moved_the_model(result_of):
    # At so little epsilon no score is above zero with its whole interval.
    result = result_of(attack="membership", mode="gradient", num_rounds=2, policy__epsilon=0.02)
    assert result["attack"] is None
    assert measures(result)["auc"] is None


@pytest.mark.parametrize("mode", ["gradient", "dp-sgd"])
def test_what_is_repeated_with_the_answers_of_the_run_is_the_run(result_of, monkeypatch, mode):
    """Noise and all: with the same answers the models of an attack are the model attacked."""
    seen = {}

    def replaying(simulation, strategy):
        victim = membership._noised(simulation, strategy)
        kept = iter([heard.statistics["a"] for heard in strategy.heard[1:]])

        class Kept:
            def draw(self, noise):
                return next(kept)

        monkeypatch.setattr(membership, "release_of", lambda *args, **more: Kept())
        seen["again"] = flat_weights(victim.improved(victim.pool[:3], 0))
        seen["run"] = flat_weights(strategy.model)

    monkeypatch.setattr(evaluation, "attacked", replaying)
    result_of(
        attack="membership", mode=mode, num_rounds=4, policy__epsilon=8.0, train_on_validation=False
    )
    assert np.array_equal(seen["again"], seen["run"])


def test_where_the_free_model_is_the_final_one_no_owner_is_attacked(result_of):
    result = result_of(attack="membership", mode="dp-sgd", num_rounds=2, policy__epsilon=0.01)
    assert result["final_is"] == "free"
    assert result["attack"] is None
    assert result["final"] == result["free"]


def test_an_owner_s_answers_are_drawn_from_the_records_of_each_model_alone(result_of, monkeypatch):
    sizes, pools = [], []
    release_of, paired = membership.release_of, membership.paired_shadows

    def counting(view, examples, policy, **more):
        sizes.append(len(examples))
        return release_of(view, examples, policy, **more)

    def with_masks(improved, pool, pairs, *, seed):
        found = paired(improved, pool, pairs, seed=seed)
        pools.extend(found.member.sum(axis=1).tolist())
        return found

    monkeypatch.setattr(membership, "release_of", counting)
    monkeypatch.setattr(membership, "paired_shadows", with_masks)
    result_of(attack="membership", mode="gradient", num_rounds=2, policy__epsilon=8.0)
    assert sizes == pools
    assert all(0 < size < 200 for size in sizes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attack": "brute"}, "attack is 'brute'; choose from"),
        ({"attack": 3}, "attack is the number 3; give a text such as 'none'"),
        ({"attack": "membership", "mode": "score", "policy__epsilon": 1.0}, "mode 'score' moves none"),
        ({"attack": "membership", "method": "features", "model": "random-forest"}, "model is 'random"),
    ],
)  # fmt: skip
def test_what_cannot_be_attacked_is_said_before_the_run(loaded, settings, message):
    with pytest.raises(SettingError, match=message):
        loaded(**settings).check()


def test_noised_sums_allow_what_their_gaussian_does():
    spends = [Spend(rho=0.1), Spend(rho=0.4)]
    # mu = sqrt(2 * 0.5) = 1: two Gaussians 1 apart, by drawing from them.
    rng = np.random.default_rng(0)
    truth = (rng.normal(1, 1, 400_000) > rng.normal(0, 1, 400_000)).mean()
    assert best_possible(spends) == pytest.approx(truth, abs=0.003)


def test_what_dp_sgd_allows_is_no_less_than_its_exact_profile_does(monkeypatch):
    dp_accounting = pytest.importorskip("dp_accounting")
    from dp_accounting.pld import PLDAccountant

    run_, rho = SgdRun(0.05, 1.5, 100), 0.01
    accountant = PLDAccountant()
    accountant.compose(dp_accounting.GaussianDpEvent(1 / math.sqrt(2 * rho)))
    sampled = dp_accounting.PoissonSampledDpEvent(0.05, dp_accounting.GaussianDpEvent(1.5))
    accountant.compose(dp_accounting.SelfComposedDpEvent(sampled, 100))
    deltas = DELTAS[::6]
    monkeypatch.setattr(membership, "DELTAS", deltas)
    exact = auc_ceiling(np.array([accountant.get_epsilon(d) for d in deltas]), deltas)
    assert exact <= best_possible([Spend(rho=rho), Spend(sgd=run_)]) < exact + 0.15
