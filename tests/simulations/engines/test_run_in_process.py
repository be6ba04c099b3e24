"""Whole runs in this process, on scikit-learn's digits: what the result says is what happened."""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mycroft_fl.errors import NotEnoughOwners, SettingError
from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import correct
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import load_weights
from mycroft_fl.report.run.schema import check_result
from simulations import server_app
from simulations.engines.run import run
from simulations.evaluation.result import _random_instead
from simulations.setup.simulation import Simulation
from strategies.runs.folder import RunFolder

DIGITS = (Path(__file__).parents[2] / "scenarios" / "digits.toml").read_text()
HEAD = (
    DIGITS
    + """
[run]
method = "hard-features"
budget = 48
pilot-per-owner = 8
stop-early = false
fit.epochs = 8
fine-tune.steps = 30
scoring.repeats = 2
"""
)
OWNERS = """
[[owners]]
name = "a"
holds = { rotated = 60, upright = 40 }
[[owners]]
name = "b"
holds = { rotated = 20, upright = 80 }
[[owners]]
name = "f"
holds = { upright = 100 }
"""
CODES = {
    "raise": "error",
    "silent": "timeout",
    "wrong-shape": "malformed",
    "wrong-dtype": "malformed",
    "nan": "malformed",
    "bad-label": "malformed",
    "too-many": "malformed",
    "copies-hard-set": "duplicate",
}
CHEATS = "".join(
    f'[[owners]]\nname = "{name}"\nbehaviour = "{name}"\nholds = {{ rotated = 10, upright = 10 }}\n'
    for name in CODES
)


@pytest.fixture(scope="module", autouse=True)
def quietly_on_one_thread():
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        # It would keep the stream of the first test that runs, and take the logs from others.
        patch.setattr(server_app, "show_progress", lambda *args, **rest: None)
        yield
    torch.set_num_threads(before)


def simulate(
    folder: Path, settings: dict[str, Any] | None = None, *, owners: str = OWNERS
) -> tuple[Simulation, dict[str, Any]]:
    """One run in `folder` and what it left as its result."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "small.toml"
    path.write_text(HEAD + owners)
    out = folder / "out"
    simulation = Simulation.load(str(path), settings or {}, out, engine="in-process")
    RunFolder.prepared(out, force=False)
    return simulation, run(simulation)


@pytest.fixture(scope="module")
def usual(tmp_path_factory) -> tuple[Simulation, dict[str, Any]]:
    return simulate(tmp_path_factory.mktemp("usual"))


def acquired(simulation: Simulation) -> tuple[list[str], list[int], Examples]:
    with np.load(simulation.folder.path / "acquired.npz", allow_pickle=False) as saved:
        return saved["owner"].tolist(), saved["answer"].tolist(), Examples(saved["x"], saved["y"])


def without_times(result: dict[str, Any]) -> dict[str, Any]:
    rounds = [{k: v for k, v in each.items() if k != "seconds"} for each in result["rounds"]]
    return {**{k: v for k, v in result.items() if k != "seconds"}, "rounds": rounds}


def by_owner(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["owner"]: each for each in result["owners"]}


def failures(result: dict[str, Any]) -> dict[str, str]:
    return {owner: code for each in result["rounds"] for owner, code in each["failed"].items()}


def test_the_result_is_valid_and_lies_beside_all_that_the_contract_names(usual):
    simulation, result = usual
    check_result(result)
    folder = simulation.folder.path
    assert json.loads((folder / "result.json").read_text()) == result
    rounds = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
    kept = [
        {k: v for k, v in r.items() if k not in ("test", "hard", "groups", "metric")}
        for r in result["rounds"]
    ]
    assert rounds == kept
    assert (folder / "summary.md").read_text().startswith("# small: hard-features, seed 0\n")
    names = {"baseline", "control", "own-hard-set", "free", "final"}
    names |= {f"round-{each['round']}" for each in result["rounds"]}
    assert {path.stem for path in (folder / "models").iterdir()} == names


def test_the_settings_of_a_result_name_all_that_may_be_overridden(usual):
    simulation, result = usual
    output = {"model": "mlp", "dataset": "digits", "owners": 3}
    assert result["settings"] == simulation.config.settings() | output


def test_twice_the_same_but_for_the_seconds(usual, tmp_path):
    assert without_times(simulate(tmp_path)[1]) == without_times(usual[1])


def test_another_seed_is_another_run(usual, tmp_path):
    other = simulate(tmp_path, {"seed": 1})[1]
    assert other["seed"] == 1
    assert other["baseline"] != usual[1]["baseline"]


def test_the_accuracies_are_those_of_the_saved_models(usual):
    simulation, result = usual
    test, groups = simulation.world.trainer("test"), simulation.world.trainer_groups("test")
    right = {}
    for name in ("baseline", "control", "own-hard-set", "free", "final", "round-1", "round-2"):
        model = build("mlp", (1, 8, 8), 10, seed=1)
        load_weights(model, simulation.folder.path / "models" / f"{name}.safetensors")
        right[name] = correct(model, test)
    for name in ("baseline", "control", "own-hard-set", "free", "final"):
        reached = result[name.replace("-", "_")]
        assert reached["test"] == pytest.approx(right[name].mean())
        assert reached["hard"] == pytest.approx(right[name][~right["baseline"]].mean())
        for group, value in reached["groups"].items():
            assert value == pytest.approx(right[name][groups == group].mean())
    assert all(result[name]["metric"] == result[name]["test"] for name in ("baseline", "final"))
    assert result["baseline"]["hard"] == 0
    assert result["rounds"][0]["test"] == pytest.approx(right["round-1"].mean())
    hard = right["round-2"][~right["baseline"]].mean()
    assert result["rounds"][1]["hard"] == pytest.approx(hard)


def test_an_owner_without_anything_that_is_missing_ranks_last_and_the_model_gets_better(usual):
    _, result = usual
    assert [each["rank"] for each in result["owners"]] == [1, 2, 3]
    assert result["owners"][-1]["owner"] == "f"
    assert result["final"]["hard"] > result["own_hard_set"]["hard"] > result["control"]["hard"]


def test_what_was_disclosed_adds_up_and_nothing_was_disclosed_twice(usual):
    simulation, result = usual
    owners, answers, examples = acquired(simulation)
    assert len(set(examples.ids.tolist())) == len(examples) == result["disclosed"] == 48
    assert sum(each["disclosed"] for each in result["rounds"]) == result["disclosed"]
    assert max(answers) > 1
    for name, output in by_owner(result).items():
        mine = np.array(owners) == name
        assert output["disclosed"] == mine.sum() == sum(output["disclosed_groups"].values())
        held = simulation.world.owner(name)
        assert np.isin(examples.ids[mine], held.ids).all()
        groups = dict(zip(held.ids.tolist(), simulation.world.owner_groups(name), strict=True))
        counted = Counter(str(groups[id_]) for id_ in examples.ids[mine].tolist())
        assert output["disclosed_groups"] == counted
        assert output["holds"] == dict(simulation.world.holds(name))


def test_the_baseline_the_references_and_the_pilots_budget_are_equal_for_all_methods(
    usual, tmp_path
):
    _, ours = usual
    for method in ("omp", "features", "random"):
        _, theirs = simulate(tmp_path / method, {"method": method, "num-rounds": 1})
        for key in ("baseline", "control", "own_hard_set"):
            assert theirs[key] == ours[key]
        assert theirs["method"] == theirs["settings"]["method"] == method
        assert theirs["rounds"][0]["disclosed"] == 24
        check_result(theirs)


@pytest.fixture(scope="module")
def cheated(tmp_path_factory) -> tuple[Simulation, dict[str, Any]]:
    settings = {"budget": 130, "timeout": 1.0, "num-rounds": 1}
    return simulate(tmp_path_factory.mktemp("cheated"), settings, owners=OWNERS + CHEATS)


def test_each_culprit_is_named_with_its_code_and_the_others_are_ranked(cheated):
    simulation, result = cheated
    check_result(result)
    assert failures(result) == CODES
    output = by_owner(result)
    assert sorted(output[name]["rank"] for name in ("a", "b", "f")) == [1, 2, 3]
    for name in CODES:
        assert (output[name]["status"], output[name]["rank"], output[name]["score"]) == (
            "failed",
            None,
            None,
        )
        assert output[name]["disclosed"] == 0
    assert set(acquired(simulation)[0]) == {"a", "b", "f"}


def test_the_detail_of_a_failure_is_in_the_owners_log_alone(cheated):
    simulation, _ = cheated
    log = (simulation.folder.path / "owners" / "raise" / "owner.log").read_text()
    assert "this owner fails whenever it is asked" in log
    ours = [path for path in simulation.folder.path.glob("*.*") if path.suffix != ".npz"]
    assert not any("fails whenever" in path.read_text() for path in ours)


def test_an_owner_gives_what_its_policy_leaves_and_then_refuses(tmp_path):
    settings = {"policy.max-records": 8, "num-rounds": 4}
    simulation, result = simulate(tmp_path, settings)
    assert by_owner(result)["a"]["disclosed"] == 8
    assert set(failures(result).values()) == {"refused"}
    assert result["disclosed"] == len(acquired(simulation)[2]) <= 24


def test_where_all_refuse_the_run_ends_with_an_error(tmp_path):
    with pytest.raises(
        NotEnoughOwners, match="all 3 refused: policies, or the keys that owners admit"
    ):
        simulate(tmp_path, {"policy.max-records": 0})


def test_too_few_answers_end_the_run_and_the_error_is_in_its_folder(tmp_path):
    with pytest.raises(NotEnoughOwners, match=r"3 owners answered .* min-owners = 4"):
        simulate(tmp_path, {"min-owners": 4})
    error = json.loads((tmp_path / "out" / "error.json").read_text())
    assert error["kind"] == "NotEnoughOwners"
    assert not (tmp_path / "out" / "result.json").exists()


def test_a_method_that_cannot_work_is_an_error_of_the_same_kind_in_the_folder(tmp_path):
    with pytest.raises(SettingError, match="unknown class 'eleven'"):
        simulate(tmp_path, {"hard-set.classes": "eleven"})
    assert json.loads((tmp_path / "out" / "error.json").read_text())["kind"] == "SettingError"


def test_reused_examples_are_said_to_be_so_and_counted_by_group(tmp_path):
    owners = OWNERS.replace("holds", "reuse = true\nholds")
    simulation, result = simulate(tmp_path, {"owners": 12, "num-rounds": 1}, owners=owners)
    assert any("(reuse)" in text for text in result["warnings"])
    assert result["disclosed"] == 48
    assert Counter(each["status"] for each in result["owners"]) == {"scored": 6, "not-asked": 6}
    for each in result["owners"]:
        assert sum(each["disclosed_groups"].values()) == each["disclosed"]
    held = [simulation.world.owner(each["owner"]).ids.tolist() for each in result["owners"]]
    trainers = set(simulation.world.trainer("train").ids.tolist())
    assert not trainers & {id_ for ids in held for id_ in ids}


METHOD = """
import numpy as np

from mycroft_fl.selection.methods import Selection


def first(candidates, query, k):
    assert query.model is not None
    return Selection.unweighted(np.arange(k))


def too_much(candidates, query, k):
    return Selection.unweighted(np.arange(k + 1))
"""


@pytest.fixture
def own_methods(tmp_path, monkeypatch) -> str:
    (tmp_path / "methods_of_my_own.py").write_text(METHOD)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "methods_of_my_own", raising=False)
    return "methods_of_my_own"


def test_a_method_of_ones_own_chooses_without_a_fork(own_methods, tmp_path):
    settings = {"method": f"{own_methods}:first", "num-rounds": 1}
    simulation, result = simulate(tmp_path, settings)
    owners, _, examples = acquired(simulation)
    for name in "abf":
        first = simulation.world.owner(name).ids[:8]
        assert sorted(examples.ids[np.array(owners) == name]) == sorted(first)
    assert result["method"] == "methods_of_my_own:first"


def test_a_method_of_ones_own_that_breaks_its_word_discloses_nothing(own_methods, tmp_path):
    with pytest.raises(NotEnoughOwners, match="0 owners answered"):
        simulate(tmp_path, {"method": f"{own_methods}:too_much"})
    log = (tmp_path / "out" / "owners" / "a" / "owner.log").read_text()
    assert "the method returned picks that are not up to 8 distinct indices" in log


def test_without_training_on_the_hard_set_the_reference_is_the_control(usual, tmp_path):
    _, result = simulate(tmp_path, {"train-on-hard-set": False})
    check_result(result)
    assert result["settings"]["train-on-hard-set"] is False
    for key in ("baseline", "control", "own_hard_set"):
        assert result[key] == usual[1][key]
    assert result["final"]["hard"] > result["control"]["hard"]


@pytest.mark.parametrize("method", ["omp", "features", "random"])
def test_gradients_may_come_from_the_owners_own_early_model(tmp_path, method):
    settings = {"method": method, "gradients-from": "owner", "num-rounds": 1}
    _, result = simulate(tmp_path, settings)
    assert failures(result) == {}
    assert result["disclosed"] == 24


def test_full_information_is_everything_that_all_hold(tmp_path):
    simulation, result = simulate(tmp_path, {"method": "full", "budget": 1})
    assert len(result["rounds"]) == 1
    assert result["disclosed"] == 300
    assert {each["owner"]: each["disclosed"] for each in result["owners"]} == dict.fromkeys(
        "abf", 100
    )
    examples = acquired(simulation)[2]
    everything = np.concatenate([simulation.world.owner(name).ids for name in "abf"])
    assert sorted(examples.ids) == sorted(everything)


def test_poisoned_test_examples_change_no_decision(usual, tmp_path, monkeypatch):
    """Test examples of pure noise with wrong labels: the same ranking and the same weights."""
    from simulations.population.world import World

    honest = World.trainer

    def poisoned(world: World, part: str) -> Examples:
        examples = honest(world, part)
        if part != "test":
            return examples
        noise = np.random.default_rng(9).integers(0, 256, examples.x.shape, dtype=np.uint8)
        return Examples(noise, (examples.y + 3) % 10)

    monkeypatch.setattr(World, "trainer", poisoned)
    simulation, result = simulate(tmp_path)
    theirs, ours = usual
    assert result["final"]["test"] != ours["final"]["test"]
    output = ("owner", "status", "rank", "score", "low", "high", "disclosed")
    assert [[each[key] for key in output] for each in result["owners"]] == [
        [each[key] for key in output] for each in ours["owners"]
    ]
    for name in ("baseline", "control", "own-hard-set", "free", "final"):
        file = Path("models") / f"{name}.safetensors"
        saved = [(each.folder.path / file).read_bytes() for each in (simulation, theirs)]
        assert saved[0] == saved[1]
    assert acquired(simulation)[2].ids.tolist() == acquired(theirs)[2].ids.tolist()


@pytest.mark.unchecked
def test_picks_at_random_by_the_simulator_are_as_many_of_each_owners_own(usual):
    simulation, result = usual

    counts = {each["owner"]: each["disclosed"] for each in result["owners"]}
    records = {
        name: SimpleNamespace(does_harm=False, disclosed=count) for name, count in counts.items()
    }
    picks = _random_instead(
        simulation, SimpleNamespace(scoreboard=SimpleNamespace(records=records))
    )
    assert len(picks) == result["disclosed"] == len(set(picks.ids.tolist()))
    for name, count in counts.items():
        assert np.isin(picks.ids, simulation.world.owner(name).ids).sum() == count
    assert sorted(picks.ids) != sorted(acquired(simulation)[2].ids)


def test_a_run_says_what_it_does_line_by_line(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        simulate(tmp_path, {"num-rounds": 1})
    said = [r.getMessage() for r in caplog.records if r.name.startswith("strategies.")]
    assert "3 of 3 owners are there" in said
    assert "round 1: asking 3 owners for 24 examples" in said
    assert "round 1: 24 examples from 3 owners" in said
