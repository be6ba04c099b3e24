"""Scenario files: what is read, what is refused."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.errors import ScenarioError
from mycroft_fl.settings.run_config import RunConfig
from simulations.population.scenario_file import (
    BEHAVIOURS,
    Corruption,
    Group,
    Owner,
    Scenario,
    load_scenario,
    packaged_scenarios,
)

BASE = """
title = "A test"
dataset = "digits"
model = "mlp"

[groups.upright]
[groups.rotated]
classes = [2, "3"]
transform = "rotate-180"

[trainer]
train = { upright = 30 }
validation = { upright = 10, rotated = 5 }
test = { upright = 10, rotated = 5 }

[[owners]]
name = "a"
holds = { rotated = 6, upright = 4 }
"""


def read(folder: Path, text: str) -> Scenario:
    (folder / "mine.toml").write_text(text)
    return load_scenario(folder / "mine.toml")


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        read(folder, text)
    message = str(caught.value)
    assert "\n" not in message
    assert "mine.toml" in message
    return message


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path):
    assert read(tmp_path, "\ufeff" + BASE).groups == read(tmp_path, BASE).groups


def test_a_file_is_read_as_it_stands(tmp_path):
    scenario = read(tmp_path, BASE)
    assert (scenario.title, scenario.model) == ("A test", "mlp")
    assert scenario.dataset == DatasetSpec("digits")
    assert (scenario.name, scenario.base, scenario.weights) == ("mine", tmp_path, None)
    assert scenario.groups == (
        Group("upright"),
        Group("rotated", classes=(2, "3"), transform="rotate-180"),
    )
    assert scenario.trainer["validation"] == {"upright": 10, "rotated": 5}
    assert scenario.owners == (Owner("a", {"rotated": 6, "upright": 4}),)
    assert scenario.run == scenario.policy == {}


def test_an_owner_can_be_all_that_it_can_be(tmp_path):
    text = BASE + (
        'label-noise = 0.2\nreuse = true\nbehaviour = "nan"\n'
        'corruption = { kind = "blur", fraction = 0.3, severity = 5 }\n'
    )
    assert read(tmp_path, text).owners[0] == Owner(
        "a",
        {"rotated": 6, "upright": 4},
        label_noise=0.2,
        corruption=Corruption("blur", 0.3, 5),
        behaviour="nan",
        reuse=True,
    )


def test_a_group_can_come_from_a_table(tmp_path):
    text = BASE.replace(
        "[groups.upright]", '[groups.upright]\ndataset = "x.csv"\nwhere = { protocol = "tcp" }'
    )
    group = read(tmp_path, text).groups[0]
    assert (group.dataset, group.where) == (DatasetSpec("x.csv"), {"protocol": "tcp"})


def test_settings_are_flattened_however_they_are_nested(tmp_path):
    nested = BASE + "[run]\nhard-set = { sent = 8 }\nbudget = 5\n[policy]\nepsilon = 1.0\n"
    dotted = BASE + "[run]\nhard-set.sent = 8\nbudget = 5\n[policy]\nepsilon = 1.0\n"
    for text in (nested, dotted):
        scenario = read(tmp_path, text)
        assert scenario.run == {"hard-set.sent": 8, "budget": 5}
        assert scenario.policy == {"epsilon": 1.0}
    twice = BASE + '[run]\nhard-set.sent = 8\n"hard-set.sent" = 9\n'
    assert "run.hard-set.sent stands there twice" in refusal(tmp_path, twice)


def test_copies_and_owners_without_a_name_are_numbered(tmp_path):
    owner = "[[owners]]\nholds = { upright = 1 }\n"
    scenario = read(tmp_path, BASE + "copies = 2\n" + owner + owner + 'name = "f"\ncopies = 1\n')
    assert [each.name for each in scenario.owners] == ["a-1", "a-2", "owner-2", "f-1"]


def test_weights_lie_beside_the_file(tmp_path):
    text = 'weights = "model.safetensors"\n' + BASE
    assert "does not exist" in refusal(tmp_path, text)
    (tmp_path / "model.safetensors").touch()
    assert read(tmp_path, text).weights == tmp_path / "model.safetensors"


TRAIN = "train = { upright = 30 }"
HOLDS = "holds = { rotated = 6, upright = 4 }"
SECOND = '\n[[owners]]\nname = "{}"\nholds = {{ upright = 1 }}\n'


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('title = "A test"', 'titel = "x"', "unknown key 'titel'; did you mean 'title'?"),
        ('title = "A test"', "title = 3", "title is 3; give a text"),
        ('dataset = "digits"', "", "dataset is missing; give a text"),
        (
            "classes = [2",
            "klasses = [2",
            "'groups.rotated.klasses'; did you mean 'groups.rotated.classes'?",
        ),
        ('classes = [2, "3"]', "classes = 3", "groups.rotated.classes is 3; give a list"),
        ('classes = [2, "3"]', "classes = []", "groups.rotated.classes is []; give a list"),
        ('classes = [2, "3"]', "classes = [true]", "groups.rotated.classes is [True]"),
        ('"rotate-180"', '"rotate-18"', "transform is 'rotate-18'; did you mean 'rotate-180'?"),
        ('transform = "rotate-180"', "where = 3", "groups.rotated.where is 3; give a table"),
        ("[groups.upright]", "groups.upright = 3", "groups.upright is 3; give a table"),
        ("test = {", "tests = {", "unknown key 'trainer.tests'; did you mean 'trainer.test'?"),
        (TRAIN, "", "trainer.train holds nothing"),
        (TRAIN, "train = { upright = 0 }", "trainer.train holds nothing"),
        (TRAIN, "train = { upright = -1 }", "trainer.train.upright is -1"),
        (TRAIN, "train = { upright = 1.5 }", "trainer.train.upright is 1.5; give a whole"),
        (TRAIN, "train = { upright = true }", "trainer.train.upright is True"),
        (TRAIN, "train = { uprigt = 3 }", "unknown group 'uprigt'; did you mean 'upright'?"),
        (TRAIN, "train = 3", "trainer.train is 3; give a table"),
        (HOLDS, "", "owners[1].holds holds nothing"),
        (HOLDS, "holds = { rotten = 1 }", "unknown group 'rotten'; did you mean 'rotated'?"),
        (HOLDS, "hold = { rotated = 1 }", "'owners[1].hold'; did you mean 'owners[1].holds'?"),
        (HOLDS, HOLDS + "\nlabel-noise = 1.2", "label-noise is 1.2; give a number from 0 to 1"),
        (HOLDS, HOLDS + "\nlabel-noise = nan", "label-noise is nan"),
        (HOLDS, HOLDS + "\nreuse = 1", "reuse is 1; give true or false"),
        (HOLDS, HOLDS + "\ncopies = 0", "copies is 0; give a whole number of at least 1"),
        (HOLDS, HOLDS + '\nbehaviour = "rise"', "behaviour is 'rise'; did you mean 'raise'?"),
        (HOLDS, HOLDS + "\ncorruption = 3", "corruption is 3; give a table"),
        (HOLDS, HOLDS + "\ncorruption = { fraction = 1 }", "corruption.kind is missing"),
        (HOLDS, HOLDS + '\ncorruption = { kind = "fog" }', "corruption.kind is 'fog'"),
        (HOLDS, HOLDS + '\ncorruption = { kind = "blur" }', "corruption.fraction is missing"),
        (
            HOLDS,
            HOLDS + '\ncorruption = { king = "blur" }',
            "did you mean 'owners[1].corruption.kind'?",
        ),
        (
            HOLDS,
            HOLDS + '\ncorruption = { kind = "blur", fraction = 1, severity = 6 }',
            "corruption.severity is 6",
        ),
        ('name = "a"', 'name = "../a"', "owners[1].name is '../a'"),
        ('name = "a"', 'name = ".."', "owners[1].name is '..'"),
        ('name = "a"', 'name = ""', "owners[1].name is ''"),
        ('name = "a"', 'name = "a b"', "owners[1].name is 'a b'"),
        (HOLDS, HOLDS + SECOND.format("a"), "owners[2].name 'a' is too like another owner's"),
        (HOLDS, HOLDS + SECOND.format("A"), "owners[2].name 'A' is too like another owner's, 'a'"),
        ("[[owners]]", "[[owner]]", "unknown key 'owner'; did you mean 'owners'?"),
        ("[[owners]]", "[owners]", "write one table [[owners]] for each"),
        ("[trainer]", "[trainer", "cannot be read as TOML"),
    ],
)
def test_a_mistake_is_one_line_that_names_file_and_key(tmp_path, old, new, words):
    assert old in BASE
    assert words in refusal(tmp_path, BASE.replace(old, new, 1))


def test_there_must_be_a_group_and_an_owner(tmp_path):
    assert "there is no owner" in refusal(tmp_path, BASE.split("[[owners]]")[0])
    assert "there is no group" in refusal(tmp_path, 'dataset = "digits"\n')


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ScenarioError, match="cannot be read as TOML"):
        load_scenario(tmp_path / "mine.toml")


def test_an_unknown_scenario_is_told_with_the_nearest_name():
    with pytest.raises(ScenarioError, match="did you mean 'rotated-digits'"):
        load_scenario("rotated-digit")
    with pytest.raises(ScenarioError, match=r"neither a TOML file nor .* choose from"):
        load_scenario("/")


def test_packaged_scenarios_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = dict(packaged_scenarios())
    assert set(found) >= {
        "bad-owners", "many-owners", "rotated-digits", "scarce-cifar10", "scarce-fashion"
    }  # fmt: skip
    assert found["rotated-digits"] == "Digits the trainer has only seen upright"


@pytest.mark.parametrize("name", [name for name, _ in packaged_scenarios()])
def test_every_packaged_scenario_says_its_purpose_and_has_known_settings(name):
    scenario = load_scenario(name)
    RunConfig.from_settings(scenario.run)
    text = (scenario.base / f"{name}.toml").read_text()
    assert text.startswith("# ")
    assert tomllib.loads(text)["title"] == scenario.title


def test_bad_owners_holds_every_behaviour_once():
    behaviours = [owner.behaviour for owner in load_scenario("bad-owners").owners]
    assert sorted(filter(None, behaviours)) == sorted(BEHAVIOURS)
    assert behaviours.count(None) == 3


def test_the_budget_of_many_owners_pays_for_pilots_from_a_thousand():
    run = load_scenario("many-owners").run
    assert run["budget"] >= 1000 * run["pilot-per-owner"]


def test_owners_are_repeated_in_order_under_new_names():
    scenario = load_scenario("many-owners")
    many = scenario.with_owners(25)
    assert [owner.name for owner in many.owners][9:12] == ["j", "a-2", "b-2"]
    assert many.owners[-1].name == "e-3"
    assert many.owners[20].holds == scenario.owners[0].holds
    assert scenario.with_owners(3).owners == scenario.owners[:3]
    assert many.owners[:12] == scenario.with_owners(12).owners


def test_repeated_owners_never_share_a_name(tmp_path):
    scenario = read(tmp_path, BASE + SECOND.format("a-2") + SECOND.format("A-3"))
    names = [owner.name for owner in scenario.with_owners(60).owners]
    assert len({name.casefold() for name in names}) == 60
    assert names[:4] == ["a", "a-2", "A-3", "a-4"]


@pytest.mark.parametrize("count", [0, -1])
def test_there_is_at_least_one_owner(count):
    with pytest.raises(ScenarioError, match="at least 1"):
        load_scenario("rotated-digits").with_owners(count)


def test_a_name_that_its_copies_would_make_too_long_to_travel_is_refused(tmp_path):
    name = "n" * 81
    scenarios = Path(__file__).parents[3] / "simulations" / "scenarios"
    text = (scenarios / "rotated-digits.toml").read_text().replace('"a"', f'"{name}"')
    (tmp_path / "long.toml").write_text(text)
    with pytest.raises(ScenarioError, match="use up to 80 letters, digits"):
        load_scenario(tmp_path / "long.toml")
