"""Owners by a table's column, against brute force over the rows of the file."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.errors import ScenarioError
from simulations.population.scenario_file import load_scenario
from simulations.population.world import World
from simulations.setup.simulation import Simulation

SCENARIO = """
title = "Wards"
dataset = {{ path = "wards.csv", label = "ill", drop = ["ward"] }}
model = "linear"
[groups.old]
where = {{ age = ["80"] }}
[groups.young]
where = {{ age = ["20", "40"] }}
[trainer]
train = {{ old = 20, young = 20 }}
validation = {{ old = 10, young = 10 }}
test = {{ old = 10, young = 10 }}
[owners]
{owners}
"""
SIZES = {"north": 120, "south": 80, "East Wing": 40, "": 30, "tiny": 6, "small": 9}


def wards(folder, owners, sizes=SIZES):
    rng = np.random.default_rng(0)
    names = [name for name, size in sizes.items() for _ in range(size)]
    frame = pd.DataFrame({
        "age": rng.choice(["20", "40", "80"], len(names)), "dose": rng.normal(size=len(names)),
        "ward": names, "ill": rng.choice(["no", "yes"], len(names)),
    })  # fmt: skip
    frame.to_csv(folder / "wards.csv", index=False)
    (folder / "wards.toml").write_text(SCENARIO.format(owners=owners))
    return load_scenario(folder / "wards.toml"), frame


def by_hand(world, frame):
    """Which rows of the file the trainer does not hold, and all rows as the task's vectors."""
    table = world.task.table
    mine = {
        row.tobytes() for part in ("train", "validation", "test") for row in world.trainer(part).x
    }
    dataset = load_dataset(DatasetSpec.of(world.scenario.dataset), world.scenario.base)
    vectors = table.vectors(dataset.table)
    return frame[[vector.tobytes() not in mine for vector in vectors]], vectors


@pytest.mark.parametrize("seed", [0, 1])
def test_every_owner_holds_exactly_the_rows_of_its_value_that_the_trainer_left(tmp_path, seed):
    scenario, frame = wards(tmp_path, 'by = "ward"\nat-least = 10')
    world = World(scenario, seed)
    left, vectors = by_hand(world, frame)
    names = {"north": "north", "south": "south", "East-Wing": "East Wing"}
    assert [owner.name for owner in world.scenario.owners] == list(names)
    for name, value in names.items():
        rows = left.index[left["ward"] == value]
        expected = {vectors[row].tobytes() for row in rows}
        assert {row.tobytes() for row in world.owner(name).x} == expected
        assert len(world.owner(name)) == len(rows)
        old = int((left.loc[rows, "age"] == "80").sum())
        assert world.holds(name) == {"old": old, "young": len(rows) - old}


def test_small_values_are_pooled_and_rows_without_one_are_nobodys(tmp_path):
    scenario, frame = wards(tmp_path, 'by = "ward"\nat-least = 10\nrest = "pool"')
    world = World(scenario, 0)
    left, _ = by_hand(world, frame)
    assert world.scenario.owners[-1].name == "rest"
    assert len(world.owner("rest")) == left["ward"].isin(["tiny", "small"]).sum()
    everything = sum(len(world.owner(owner.name)) for owner in world.scenario.owners)
    assert everything == (left["ward"] != "").sum()


def test_groups_left_out_belong_to_nobody(tmp_path):
    scenario, _ = wards(tmp_path, 'by = "ward"\nof = ["young"]\nat-least = 10')
    world = World(scenario, 0)
    assert all(set(world.holds(owner.name)) == {"young"} for owner in world.scenario.owners)


@given(
    st.integers(1, 60), st.integers(0, 60), st.sampled_from(["leave", "pool"]), st.integers(0, 3)
)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nobody_holds_a_row_twice_too_many_or_the_trainers(tmp_path, least, most, rest, seed):
    most = most if most >= least else 0
    owners = f'by = "ward"\nat-least = {least}\nat-most = {most}\nrest = "{rest}"'
    world = World(wards(tmp_path, owners)[0], seed)
    parts = [world.trainer(part).ids for part in ("train", "validation", "test")]
    parts += [world.owner(owner.name).ids for owner in world.scenario.owners]
    ids = np.concatenate(parts)
    assert len(np.unique(ids)) == len(ids)
    if most:
        assert all(len(part) <= most for part in parts[3:])


def test_values_too_alike_for_folders_get_numbers(tmp_path):
    sizes = {"North": 100, "north": 90, "a/b": 60, "a b": 50, "***": 40}
    scenario, _ = wards(tmp_path, 'by = "ward"', sizes)
    names = [owner.name for owner in World(scenario, 0).scenario.owners]
    assert names == ["North", "north-2", "a-b", "a-b-2", "value"]


@pytest.mark.parametrize(
    ("owners", "words"),
    [
        ("at-least = 3", "owners.by is missing; give a text"),
        (
            'by = "ward"\nat-leest = 3',
            "unknown key 'owners.at-leest'; did you mean 'owners.at-least'?",
        ),
        ('by = "ward"\nat-least = 0', "owners.at-least is 0; give a whole number of at least 1"),
        ('by = "ward"\nat-most = -1', "owners.at-most is -1; give a whole number of at least 0"),
        ('by = "ward"\nat-least = 9\nat-most = 3', "owners.at-most is below at-least, which is 9"),
        ('by = "ward"\nrest = "pol"', "owners.rest is 'pol'; did you mean 'pool'?"),
        ('by = "ward"\nof = []', "owners.of is []; give a list of groups"),
        ('by = "ward"\nof = ["yung"]', "unknown group 'yung'; did you mean 'young'?"),
        ('by = "wards"', "owners.by does not fit: wards.csv: there is no column 'wards'"),
        ('by = "ward"\nat-least = 1000', "no value of 'ward' has so many rows; the most are 120"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(tmp_path, owners, words):
    with pytest.raises(ScenarioError) as caught:
        World(wards(tmp_path, owners)[0], 0)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_is_needed(tmp_path):
    text = SCENARIO.format(owners='by = "ward"')
    (tmp_path / "no.toml").write_text(
        text.replace('{ path = "wards.csv", label = "ill", drop = ["ward"] }', '"digits"')
        .replace('where = { age = ["80"] }', "").replace('where = { age = ["20", "40"] }', "")
    )  # fmt: skip
    with pytest.raises(ScenarioError, match=r"owners\.by does not fit: rows are chosen by columns"):
        World(load_scenario(tmp_path / "no.toml"), 0)


def test_a_group_of_another_data_set_cannot_be_shared_out(tmp_path):
    wards(tmp_path, 'by = "ward"')
    file = tmp_path / "wards.toml"
    there = 'dataset = { path = "wards.csv", label = "ill", drop = ["ward"], log = [] }\n'
    file.write_text(file.read_text().replace("[groups.old]\n", f"[groups.old]\n{there}"))
    with pytest.raises(ScenarioError, match=r"'old' has a data set of its own; .* in owners\.of"):
        World(load_scenario(file), 0)


def test_an_owner_all_of_whose_rows_the_trainer_has_is_refused(tmp_path):
    scenario, _ = wards(tmp_path, 'by = "ward"', {"": 79, "tiny": 1})
    old = int((pd.read_csv(tmp_path / "wards.csv")["age"] == 80).sum())
    everything = {"old": old - 20, "young": 80 - old - 20}
    scenario = replace(scenario, trainer={**scenario.trainer, "train": everything})
    with pytest.raises(ScenarioError, match="'tiny' holds nothing, for the trainer has all"):
        World(scenario, 0)


def test_a_simulation_knows_its_owners_and_asks_for_no_more(tmp_path):
    wards(tmp_path, 'by = "ward"\nat-least = 10')
    file = str(tmp_path / "wards.toml")
    assert len(Simulation.load(file, {}, tmp_path / "run").scenario.owners) == 3
    two = Simulation.load(file, {"owners": 2}, tmp_path / "run").scenario.owners
    assert [owner.name for owner in two] == ["north", "south"]
    with pytest.raises(ScenarioError, match="owners is 4, but the column names 3; give at most"):
        Simulation.load(file, {"owners": 4}, tmp_path / "run")
