"""A simulation from its parts: what lies over what, and back again from Flower's run config."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clients.answering.vault import Vault
from mycroft_fl.errors import InputError, MycroftError, ScenarioError, SettingError
from mycroft_fl.settings.run_config import RunConfig
from simulations.setup.attackers import Misbehaving
from simulations.setup.export import export
from simulations.setup.simulation import PATIENCE, Simulation
from strategies.deployment.app import RunPlan

SCENARIO = """
dataset = "digits"
[groups.any]
[trainer]
train = { any = 50 }
validation = { any = 30 }
test = { any = 20 }
[[owners]]
name = "a"
holds = { any = 10 }
[[owners]]
name = "b"
holds = { any = 12 }
behaviour = "silent"
[run]
budget = 77
seed = 5
stop-early = false
[policy]
max-records = 9
"""


@pytest.fixture
def scenario(tmp_path) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(SCENARIO)
    return str(path)


@pytest.fixture
def load(scenario, tmp_path):
    return lambda **settings: Simulation.load(scenario, settings, tmp_path / "out")


def test_settings_lie_over_the_scenario_and_that_over_the_defaults(load):
    config = load(budget=5).config
    assert (config.budget, config.seed, config.stop_early) == (5, 5, False)
    assert config.num_rounds == RunConfig().num_rounds


@pytest.mark.parametrize("count", [1, 2, 5])
def test_owners_are_repeated_in_order(load, count):
    names = [owner.name for owner in load(owners=count).scenario.owners]
    assert names == ["a", "b", "a-2", "b-2", "a-3"][:count]
    assert load(owners=count).trainer_setup().expected_owners == count


def test_model_and_dataset_can_be_overridden(load):
    simulation = load(model="cnn", dataset="mnist5k")
    assert simulation.scenario.model == "cnn"
    assert simulation.settings()["dataset"] == "mnist5k"
    assert load(model="cnn").task.model == "cnn"


def test_policy_keys_are_laid_over_the_scenarios_policy(load):
    assert load().scenario.policy == {"max-records": 9}
    over = {"policy.max-records": 3, "policy.modes": ["raw"]}
    assert load(**over).scenario.policy == {"max-records": 3, "modes": ["raw"]}


def test_the_trainers_counts_are_laid_over_one_by_one(load):
    before = load().scenario.trainer
    simulation = load(**{"trainer.validation.any": 7})
    after = simulation.scenario.trainer
    assert after["validation"] == {**before["validation"], "any": 7}
    assert {**after, "validation": None} == {**before, "validation": None}
    assert len(simulation.world.trainer("validation")) == 7
    assert simulation.settings()["trainer.validation.any"] == 7


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bugdet": 1}, "unknown setting 'bugdet'; did you mean 'budget'?"),
        ({"hard_set.sent": 1}, "unknown setting 'hard_set.sent'; did you mean 'hard-set.sent'?"),
        (
            {"policy.max-record": 1},
            "unknown key 'policy.max-record'; did you mean 'policy.max-records'?",
        ),
        (
            {"policy.max-records": "x"},
            "policy.max-records is the text 'x'; give a whole number such as 100",
        ),
        (
            {"policy.approval": True},
            "policy.approval asks for a person's consent, and a simulation",
        ),
        ({"policy.max-records": -1}, "policy.max-records is -1; it must be at least 0"),
        (
            {"policy.modes": ["pickle"]},
            "policy.modes is ['pickle']; choose from ['raw', 'raw-gumbel'",
        ),
        ({"trainer.validation.ani": 3}, "trainer.validation names the unknown group"),
        ({"trainer.test.any": -1}, "trainer.test.any is -1; give a whole number of at"),
        ({"trainer.train.any": "x"}, "trainer.train.any is 'x'; give a whole number"),
        (
            {"trainer.labelnoise": 0.1},
            "unknown setting 'trainer.labelnoise'; did you mean 'trainer.label-noise'?",
        ),
        # No key that merely begins like one passes unseen.
        (
            {"trainer.label-noises": 0.1},
            "unknown setting 'trainer.label-noises'; did you mean 'trainer.label-noise'?",
        ),
        ({"trainer.label-noise": 2}, "trainer.label-noise is 2.0; give a number from 0 to 1"),
        ({"label-noise": "x"}, "label-noise is the text 'x'; give a number such as 0.1"),
        (
            {"bugdet": 1, "seed": "x", "labelnoise": 1},
            "unknown setting 'bugdet'; did you mean 'budget'?\nunknown setting 'labelnoise'; did",
        ),
        (
            {"budget": 0, "subset-weight": "x", "label-noise": -1},
            "budget is 0; it must be at least 1 and at most 10000000\n"
            "subset-weight is the text 'x'; give a number such as 0.25\n"
            "label-noise is -1.0; give a number from 0 to 1",
        ),
        ({"trainer.tests.any": 3}, "unknown setting 'trainer.tests.any'"),
        ({"owners": "3"}, "owners is the text '3'; give a whole number such as 8"),
        ({"owners": True}, "owners is true; give a whole number such as 8"),
        ({"owners": 0}, "owners is 0; give a whole number of at least 1"),
        ({"model": 3}, "model is the number 3; give a text such as 'mlp'"),
        ({"dataset": 3}, "dataset is the number 3; give a text such as 'mnist5k'"),
        ({"budget": "many"}, "budget is the text 'many'; give a whole number such as 200"),
        ({"budget": 0}, "budget is 0; it must be at least 1"),
        ({"allocation": "fair"}, "allocation is 'fair'; choose from ['score', 'equal']"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_setting_is_said(load, settings, message):
    with pytest.raises(InputError) as raised:
        load(**settings)
    assert str(raised.value).startswith(message)


def test_an_unknown_key_of_the_scenarios_own_is_refused_too(scenario, tmp_path):
    Path(scenario).write_text(SCENARIO.replace("budget = 77", "bugdet = 77"))
    with pytest.raises(SettingError, match="did you mean 'budget'"):
        Simulation.load(scenario, {}, tmp_path)


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"method": "opm"}, SettingError, "unknown method 'opm'; did you mean 'omp'?"),
        ({"method": "no.such:thing"}, SettingError, "method 'no.such:thing' cannot be imported"),
        ({"method": "json:dumps"}, SettingError, "must be a function of (candidates, query, k)"),
        ({"model": "mpl"}, SettingError, "unknown model 'mpl'; did you mean 'mlp'?"),
        ({"dataset": "mnist6k"}, InputError, "no data set 'mnist6k'"),
        ({"owners": 1000}, ScenarioError, "mine: "),
    ],
    ids=str,
)
def test_the_check_finds_before_a_run_what_would_end_it(load, settings, kind, message):
    simulation = load(**settings)
    with pytest.raises(kind) as raised:
        simulation.check()
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "source", ["syntax error (", "raise RuntimeError('mine')", "1 / 0"], ids=lambda text: text[:6]
)
def test_a_module_of_ones_own_that_breaks_is_an_input_error(load, tmp_path, monkeypatch, source):
    (tmp_path / "broken_module_of_my_own.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingError, match="cannot be imported"):
        load(method="broken_module_of_my_own:choose").check()


def round_trip(simulation: Simulation) -> Simulation:
    """Through JSON, as a run config travels between processes."""
    run_config = json.loads(json.dumps(simulation.as_run_config()))
    return Simulation.from_run_config(run_config, Path("elsewhere"))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"budget": 5, "method": "omp", "owners": 3, "model": "cnn", "policy.max-records": 3},
        # Explicitly given, a default value wins over the scenario's.
        {"budget": 200, "seed": 0, "stop-early": True},
    ],
    ids=["nothing", "others", "defaults"],
)
def test_a_simulation_comes_back_from_its_run_config(load, settings):
    simulation = load(**settings)
    again = round_trip(simulation)
    assert again.config == simulation.config
    assert again.scenario == simulation.scenario
    assert again.folder.path == simulation.folder.path
    assert again.engine == simulation.engine
    for key in ("budget", "seed", "stop-early"):
        if key in settings:
            assert again.config.settings()[key] == settings[key]


def test_a_plain_flwr_run_leaves_to_the_scenario_what_stands_at_its_default(scenario, tmp_path):
    plain = {"scenario": scenario, "given": "", "out": "", "engine": "flower"}
    plain |= RunConfig().settings()
    simulation = Simulation.from_run_config(plain, tmp_path / "default-out")
    assert simulation.config == RunConfig(budget=77, seed=5, stop_early=False)
    assert simulation.folder.path == tmp_path / "default-out"
    changed = Simulation.from_run_config({**plain, "budget": 32}, tmp_path)
    assert (changed.config.budget, changed.config.seed) == (32, 5)


def test_an_unknown_key_of_a_run_config_is_refused(scenario, tmp_path):
    with pytest.raises(SettingError, match="unknown setting 'bugdet'"):
        Simulation.from_run_config({"scenario": scenario, "bugdet": 1}, tmp_path)


def test_the_trainers_side_has_no_test_examples(load):
    simulation = load()
    setup = simulation.trainer_setup()
    test = simulation.world.trainer("test").ids
    for part in (setup.data.train, setup.data.validation):
        assert not np.isin(part.ids, test).any()
    assert setup.patience == PATIENCE
    assert setup.task.classes == tuple("0123456789")
    assert (setup.task.shape, setup.task.dtype) == ((1, 8, 8), np.uint8)


def test_each_partition_is_one_owner_with_its_own_folder_and_behaviour(load):
    simulation = load()
    honest, cheat = simulation.vault(0), simulation.vault(1)
    assert isinstance(honest, Vault)
    assert (honest.name, simulation.owner_name(1)) == ("a", "b")
    assert isinstance(cheat, Misbehaving)
    assert cheat.behaviour == "silent"
    assert cheat.timeout == simulation.config.timeout
    assert (simulation.folder.owner("a") / "ledger.sqlite").is_file()


def test_owners_trust_the_runs_own_method_and_no_other(load):
    assert load(method="json:dumps").vault(0)._policy.own_methods == ("json:dumps",)
    assert load(method="omp").vault(0)._policy.own_methods == ()
    assert load().vault(0)._policy.max_records == 9


def test_no_scenario_of_that_name_is_an_input_error_with_a_suggestion(tmp_path):
    with pytest.raises(MycroftError, match="did you mean 'rotated-digits'"):
        Simulation.load("rotated-digit", {}, tmp_path)


def test_an_exported_task_leaves_a_method_open_that_nobody_chose(tmp_path: Path) -> None:
    named = {"": "hard-features", "omp": "omp"}
    for method, in_score in named.items():
        given = {"owners": 1} | ({"method": method} if method else {})
        folder = tmp_path / (method or "open")
        export(Simulation.load("rotated-digits", given, tmp_path / "run"), folder)
        plan = RunPlan(str(folder / "trainer" / "task.toml"), "", {"mode": "score"})
        assert plan.load()[1].method == in_score
