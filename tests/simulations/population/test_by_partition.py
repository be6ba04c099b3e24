"""Owners that share a scenario's rows, against brute force over what the trainer leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mycroft_fl.errors import InputError, ScenarioError, SettingError
from mycroft_fl.examples import Examples
from simulations.population.scenario_file import load_scenario
from simulations.population.world import World
from simulations.setup.simulation import Simulation
from simulations.study.cells import planned
from simulations.study.file import load_study

SCENARIO = """
title = "Shared"
dataset = "set.npz"
model = "linear"
[groups.any]
[groups.turned]
classes = [1, 2]
transform = "rotate-180"
[trainer]
train = {{ any = 20 }}
validation = {{ any = 10, turned = 10 }}
test = {{ any = 10, turned = 10 }}
[owners]
{owners}
"""
SIZE = 300


def shared(folder: Path, owners: str) -> Path:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (SIZE, 1, 4, 4), dtype=np.uint8)
    np.savez(folder / "set.npz", x=pixels, y=rng.integers(0, 4, SIZE))
    file = folder / "shared.toml"
    file.write_text(SCENARIO.format(owners=owners))
    return file


def world_of(folder: Path, owners: str, seed: int = 0) -> World:
    return World(load_scenario(shared(folder, owners)), seed)


def held(world: World) -> dict[str, Examples]:
    return {owner.name: world.owner(owner.name) for owner in world.scenario.owners}


def upright(folder: Path) -> dict[bytes, int]:
    """Each row of the file as it is, and turned, by its bytes; to its place in the file."""
    x = np.load(folder / "set.npz")["x"]
    ways = (x, np.ascontiguousarray(x[:, :, ::-1, ::-1]))
    return {row.tobytes(): place for way in ways for place, row in enumerate(way)}


def places(folder: Path, examples: Examples) -> list[int]:
    known = upright(folder)
    return [known[row.tobytes()] for row in examples.x]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "partition", ["iid = true", "dirichlet = 0.5", 'dirichlet = 0.5, over = "group"']
)
def test_owners_hold_all_that_the_trainer_leaves_and_nothing_twice(tmp_path, partition, seed):
    world = world_of(tmp_path, f"partition = {{ {partition}, num = 6 }}", seed)
    assert [owner.name for owner in world.scenario.owners] == [f"owner-{n}" for n in range(1, 7)]
    trainers = [places(tmp_path, world.trainer(part)) for part in ("train", "validation", "test")]
    owners = [places(tmp_path, examples) for examples in held(world).values()]
    everything = np.concatenate([*trainers, *owners])
    assert sorted(everything.tolist()) == list(range(SIZE))
    # Who holds how many of the group that the trainer lacks is known: the ground truth of a result.
    for name, examples in held(world).items():
        groups = dict(zip(*np.unique(world.owner_groups(name), return_counts=True), strict=True))
        assert world.holds(name) == groups
        turned = examples.y[world.owner_groups(name) == "turned"]
        assert set(turned.tolist()) <= {1, 2}
    assert sum(world.holds(name).get("turned", 0) for name in held(world)) > 50


def test_iid_owners_are_as_large_and_as_mixed_as_each_other(tmp_path):
    sizes = [
        len(examples) for examples in held(world_of(tmp_path, "partition = { iid = true, num = 7 }"))
        .values()
    ]  # fmt: skip
    assert max(sizes) - min(sizes) <= 1
    assert sum(sizes) == SIZE - 60


def test_owners_by_group_are_the_more_unlike_the_smaller_the_concentration(tmp_path):

    def spread(concentration: float) -> float:
        owners = f'partition = {{ dirichlet = {concentration}, num = 5, over = "group" }}'
        world = world_of(tmp_path, owners)
        counts = [world.holds(owner.name) for owner in world.scenario.owners]
        return float(
            np.std([each.get("turned", 0) / max(1, sum(each.values())) for each in counts])
        )

    assert spread(0.1) > 2 * spread(50.0)


def test_limits_hold_and_small_shares_are_left_pooled_or_drawn_anew(tmp_path):
    of = "partition = { dirichlet = 0.2, num = 6 }\n"
    plain = held(world_of(tmp_path, of))
    large = {name: len(examples) for name, examples in plain.items() if len(examples) >= 30}
    assert len(large) < 6
    left = held(world_of(tmp_path, of + 'at-least = 30\nrest = "leave"'))
    assert {name: len(examples) for name, examples in left.items()} == large
    pooled = held(world_of(tmp_path, of + 'at-least = 30\nrest = "pool"'))
    assert list(pooled) == [*large, "rest"]
    assert len(pooled["rest"]) == SIZE - 60 - sum(large.values())
    anew = held(world_of(tmp_path, of + "at-least = 5"))
    assert len(anew) == 6
    assert min(map(len, anew.values())) >= 5
    most = held(world_of(tmp_path, of + 'at-least = 30\nat-most = 40\nrest = "pool"'))
    assert {name: len(examples) for name, examples in most.items()} == {
        name: min(40, len(examples)) for name, examples in pooled.items()
    }
    assert set(places(tmp_path, most["rest"])) <= set(places(tmp_path, pooled["rest"]))


def test_rows_that_a_partition_gives_nobody_may_be_pooled(tmp_path):
    of = "partition = { shards = 2, num = 7 }\n"
    assert sum(map(len, held(world_of(tmp_path, of)).values())) == 7 * 2 * (240 // 14)
    pooled = held(world_of(tmp_path, of + 'rest = "pool"'))
    assert list(pooled)[-1] == "rest"
    assert sum(map(len, pooled.values())) == 240
    assert "rest" not in held(
        world_of(tmp_path, 'partition = { iid = true, num = 7 }\nrest = "pool"')
    )


def test_groups_left_out_belong_to_nobody(tmp_path):
    world = world_of(tmp_path, 'partition = { iid = true, num = 3 }\nof = ["turned"]')
    assert all(set(world.holds(owner.name)) == {"turned"} for owner in world.scenario.owners)


@given(
    st.sampled_from(["iid = true", "dirichlet = 1.0", "shards = 2", "classes = 2"]),
    st.integers(1, 8), st.integers(1, 60), st.integers(0, 60),
    st.sampled_from(["", 'rest = "leave"', 'rest = "pool"']), st.integers(0, 3),
)  # fmt: skip
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_nobody_holds_a_row_twice_too_many_too_few_or_the_trainers(
    tmp_path, kind, num, least, most, rest, seed
):
    most = most if most >= least else 0
    owners = f"partition = {{ {kind}, num = {num} }}\nat-least = {least}\nat-most = {most}\n{rest}"
    try:
        world = world_of(tmp_path, owners, seed)
    except ScenarioError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return
    parts = [world.trainer(part).ids for part in ("train", "validation", "test")]
    theirs = {name: examples.ids for name, examples in held(world).items()}
    ids = np.concatenate([*parts, *theirs.values()])
    assert len(np.unique(ids)) == len(ids)
    assert all(len(each) >= least for name, each in theirs.items() if name != "rest")
    assert all(len(each) <= most for each in theirs.values() if most)
    assert rest or len(theirs) == num


def test_a_partition_by_a_column_is_owners_by_that_column(tmp_path):
    table = 'where = {{ age = "old" }}\n'
    (tmp_path / "wards.csv").write_text(
        "age,dose,ward,ill\n"
        + "".join(f"{'old' if n % 3 else 'young'},{n},w{n % 4},{'ny'[n % 2]}\n" for n in range(200))
    )
    text = SCENARIO.replace('"set.npz"', '{{ path = "wards.csv", label = "ill", drop = ["ward"] }}')
    text = text.replace('classes = [1, 2]\ntransform = "rotate-180"\n', table)
    found = []
    for owners in ('by = "ward"\nat-most = 20', 'partition.by = "ward"\nat-most = 20'):
        file = tmp_path / "wards.toml"
        file.write_text(text.format(owners=owners))
        found.append(held(World(load_scenario(file), 0)))
    assert list(found[0]) == list(found[1]) == ["w0", "w1", "w2", "w3"]
    for name, examples in found[0].items():
        assert np.array_equal(examples.ids, found[1][name].ids)


@pytest.mark.parametrize(
    ("owners", "words"),
    [
        (
            "partition = { iid = true, num = 3 }\nat-leest = 3",
            "unknown key 'owners.at-leest'; did you mean 'owners.at-least'?",
        ),
        ("partition = 3", "owners.partition is 3; give a table"),
        ("partition = { iid = true }", "owners.partition.num is missing; give a whole number"),
        ('by = "a"\npartition = { iid = true, num = 3 }', "owners.partition stands beside owners.by"),
        ('partition = { by = "a", num = 3 }', "unknown key 'owners.partition.num'"),
        ("partition = { iid = true, num = 3 }\nrest = 'pol'", "owners.rest is 'pol'; did you mean"),
        (
            "partition = { iid = true, num = 241 }",
            "shared: owners.partition does not fit: 241 owners need 241 rows, and 240 are left; lower num",
        ),
        (
            "partition = { iid = true, num = 9 }\nat-least = 30",
            "9 owners of 30 rows need 270 rows, and 240 are left; lower num",
        ),
        (
            "partition = { iid = true, num = 9 }\nat-least = 30\nrest = 'leave'",
            "owners.at-least is 30, but no share has so many rows; the largest has 27",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_says_what_to_do(tmp_path, owners, words):
    with pytest.raises(ScenarioError) as caught:
        world_of(tmp_path, owners)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def simulated(file: Path | str, folder: Path, **changed: object) -> Simulation:
    settings = {key.replace("__", ".").replace("_", "-"): value for key, value in changed.items()}
    return Simulation.load(str(file), settings, folder / "run")


def test_settings_are_laid_over_what_the_scenario_says(tmp_path):
    file = shared(tmp_path, "partition = { iid = true, num = 6 }\nat-most = 12")
    names = [owner.name for owner in simulated(file, tmp_path).scenario.owners]
    assert len(names) == 6
    fewer = simulated(file, tmp_path, owners=2)
    assert [owner.name for owner in fewer.scenario.owners] == names[:2]
    # They hold what they would beside the others.
    there = simulated(file, tmp_path).world.owner("owner-2")
    assert np.array_equal(fewer.world.owner("owner-2").ids, there.ids)
    with pytest.raises(ScenarioError, match="owners is 7, but the partition makes 6; give at most"):
        simulated(file, tmp_path, owners=7)
    more = simulated(file, tmp_path, owners__partition__num=9, owners__at_most=20)
    assert [len(more.world.owner(owner.name)) for owner in more.scenario.owners] == [20] * 9
    assert more.settings()["owners.partition.num"] == 9
    noisy = simulated(file, tmp_path, label_noise=0.5)
    assert {owner.label_noise for owner in noisy.scenario.owners} == {0.5}


def test_a_partition_replaces_owners_that_are_listed(tmp_path):
    found = simulated(
        "rotated-digits", tmp_path, owners__partition={"iid": True, "num": 3}, owners__at_most=50
    )
    assert [owner.name for owner in found.scenario.owners] == ["owner-1", "owner-2", "owner-3"]
    assert [len(found.world.owner(owner.name)) for owner in found.scenario.owners] == [50] * 3


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"owners__foo": 3}, "unknown key 'owners.foo'; choose from"),
        ({"owners__at_least": 3}, "owners.by is missing; give a text"),
        ({"owners__partition": 3}, "owners.partition is 3; give a table such as"),
        (
            {"owners__partition": 3, "owners__partition__num": 3},
            "owners.partition is 3; give a table such as",
        ),
        ({"owners__partition__num": 3}, "owners.partition names no way to divide; give one of"),
        (
            {"owners__partition": {"iid": True, "num": 2}, "owners__partition__num": 3},
            "owners.partition.num stands there twice; keep one",
        ),
    ],
)
def test_a_mistake_in_a_setting_is_one_line_too(tmp_path, changed, words):
    with pytest.raises(SettingError) as caught:
        simulated("rotated-digits", tmp_path, **changed)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_way_that_is_set_takes_the_place_of_the_scenarios(tmp_path):
    file = shared(tmp_path, 'partition = { dirichlet = 0.5, num = 4, over = "group" }')
    even = simulated(file, tmp_path, owners__partition__iid=True)
    assert {len(even.world.owner(owner.name)) for owner in even.scenario.owners} == {60}
    with pytest.raises(InputError, match=r"owners\.by does not fit: rows are chosen by columns"):
        simulated(file, tmp_path, owners__by="ward")


def test_who_is_an_owner_may_depend_on_the_draw_and_a_simulation_knows(tmp_path):
    file = shared(
        tmp_path, 'partition = { dirichlet = 0.2, num = 8 }\nat-least = 20\nrest = "pool"'
    )
    names = [
        [owner.name for owner in simulated(file, tmp_path, seed=seed).scenario.owners]
        for seed in range(4)
    ]
    assert len({tuple(each) for each in names}) > 1
    for seed, each in enumerate(names):
        assert each == [o.name for o in World(load_scenario(file), seed).scenario.owners]


def test_a_study_tells_partitions_apart(tmp_path):
    shared(tmp_path, "partition = { iid = true, num = 3 }")
    (tmp_path / "study.toml").write_text(
        'seeds = [0]\n[run]\nscenario = "shared.toml"\nbudget = 9\npilot-per-owner = 3\nmode = "raw"\n'
        "[grid]\nowners.partition.num = [3, 4, 5]\n"
    )
    cells = planned(load_study(tmp_path / "study.toml"))
    assert [cell.keys["owners.partition.num"] for cell in cells if cell.keys] != []
    assert len({cell.digest for cell in cells}) == len({cell.world for cell in cells}) == 3


def test_a_draw_among_an_owners_records_knows_how_many_there_are(tmp_path):
    file = shared(tmp_path, "partition = { iid = true, num = 4 }")
    found = simulated(file, tmp_path, mode="raw-gumbel", policy__epsilon_minus=1.0)
    assert found.policy(found.scenario.owners[0]).records_at_least == 60
