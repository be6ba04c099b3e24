"""Who holds what: exact counts, nothing twice, the same everywhere."""

from __future__ import annotations

import functools
import hashlib
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mycroft_fl.data.formats.located import SOURCES
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.errors import DataError, ScenarioError, SettingError
from mycroft_fl.examples import Examples
from simulations.population.scenario_file import (
    PARTS,
    Corruption,
    Group,
    Owner,
    Scenario,
    load_scenario,
)
from simulations.population.world import World
from simulations.setup.simulation import Simulation

CLASSES = 4
SIZE = 120


def make_scenario(base: Path, owners: tuple[Owner, ...], **changed) -> Scenario:
    plain = Scenario(
        title="A test",
        dataset="set.npz",
        model="mlp",
        weights=None,
        groups=(Group("any"), Group("turned", classes=(1, 2), transform="rotate-180")),
        trainer={
            "train": {"any": 20},
            "validation": {"any": 5, "turned": 5},
            "test": {"any": 5, "turned": 5},
        },
        owners=owners,
        run={},
        policy={},
        base=base,
        name="mine",
    )
    return replace(plain, **changed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Random images and vectors, 30 of each of four classes, and 10 coloured larger ones."""
    base = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    y = np.arange(SIZE) % CLASSES
    x = rng.integers(0, 256, size=(SIZE, 1, 6, 6), dtype=np.uint8)
    np.savez(base / "set.npz", x=x, y=y)
    np.savez(base / "doubled.npz", x=np.concatenate([x, x[:7]]), y=np.concatenate([y, y[:7]]))
    np.savez(base / "vectors.npz", x=rng.normal(size=(SIZE, 5)), y=y)
    np.savez(base / "longer.npz", x=rng.normal(size=(SIZE, 6)), y=y)
    colour = rng.integers(0, 256, size=(10, 3, 9, 12), dtype=np.uint8)
    np.savez(base / "colour.npz", x=colour, y=np.array(["3", "2", "cat", "3", "2"] * 2))
    np.savez(base / "wide.npz", x=x[:, :, :4], y=y)
    return base


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def originals(world: World, holder: str, examples: Examples, groups: np.ndarray) -> list[int]:
    """The identities of a holder's examples before they were turned."""
    x = examples.x.copy()
    turned = groups == "turned"
    x[turned] = x[turned][:, :, ::-1, ::-1]
    return Examples(x, examples.y).ids.tolist()


def digest(world: World) -> str:
    """Of all that everybody holds."""
    state = hashlib.blake2b()
    everything = [(world.trainer(part), world.trainer_groups(part)) for part in PARTS]
    names = [owner.name for owner in world.scenario.owners]
    everything += [(world.owner(name), world.owner_groups(name)) for name in names]
    for examples, groups in everything:
        state.update(examples.x.tobytes() + examples.y.tobytes() + "".join(groups).encode())
    return state.hexdigest()


counts = st.fixed_dictionaries({}, optional={"any": st.integers(1, 9), "turned": st.integers(1, 9)})
drawn_owners = st.lists(st.tuples(counts.filter(bool), st.booleans()), min_size=1, max_size=5)


@settings(deadline=None, max_examples=60)
@given(kinds=drawn_owners, seed=st.integers(0, 2**63))
def test_nothing_is_held_twice_and_counts_are_exact(folder, kinds, seed):
    owners = tuple(Owner(f"o{n}", holds, reuse=reuse) for n, (holds, reuse) in enumerate(kinds))
    scenario = make_scenario(folder, owners)
    # Reused examples come unshifted here, so that content tells whose they are.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "simulations.population.world.unlike_others", lambda examples, spread, rng: examples
        )
        world = World(scenario, seed)
        trainer = []
        for part in PARTS:
            groups = world.trainer_groups(part)
            assert count(groups) == scenario.trainer[part]
            trainer += originals(world, part, world.trainer(part), groups)
        alone = list(trainer)
        for owner in owners:
            groups = world.owner_groups(owner.name)
            held = originals(world, owner.name, world.owner(owner.name), groups)
            assert count(groups) == owner.holds == world.holds(owner.name)
            assert len(set(held)) == len(held)
            assert not set(held) & set(trainer)
            alone += [] if owner.reuse else held
        assert len(set(alone)) == len(alone)


def count(groups: np.ndarray) -> dict[str, int]:
    names, numbers = np.unique(groups, return_counts=True)
    return dict(zip(names.tolist(), numbers.tolist(), strict=True))


def test_labels_go_with_their_images_and_groups_hold_their_classes_only(folder):
    world = World(make_scenario(folder, (Owner("a", {"any": 20, "turned": 20}),)), 0)
    dataset = load_dataset("set.npz", folder).examples
    label = dict(zip(dataset.ids.tolist(), dataset.y.tolist(), strict=True))
    examples, groups = world.owner("a"), world.owner_groups("a")
    found = originals(world, "a", examples, groups)
    assert [label[identity] for identity in found] == examples.y.tolist()
    assert set(examples.y[groups == "turned"].tolist()) == {1, 2}
    assert examples.y.dtype == np.int64


def test_groups_are_mixed(folder):
    world = World(make_scenario(folder, (Owner("a", {"any": 25, "turned": 25}),)), 0)
    changes = (world.owner_groups("a")[1:] != world.owner_groups("a")[:-1]).sum()
    assert changes > 10


def test_another_seed_draws_other_examples(folder):
    scenario = make_scenario(folder, (Owner("a", {"any": 10}),))
    assert digest(World(scenario, 0)) == digest(World(scenario, 0))
    assert digest(World(scenario, 0)) != digest(World(scenario, 1))


def test_every_process_draws_the_same(folder, tmp_path):
    """Hashes of text differ from process to process; draws must not."""
    scenario_file = folder / "mine.toml"
    scenario_file.write_text("""
dataset = "set.npz"
[groups.any]
[trainer]
train = { any = 9 }
validation = { any = 9 }
test = { any = 9 }
[[owners]]
name = "alone"
holds = { any = 9 }
label-noise = 0.5
corruption = { kind = "gaussian-noise", fraction = 0.5, severity = 2 }
[[owners]]
name = "shares"
holds = { any = 9 }
reuse = true
""")
    code = (
        "import sys; from importlib import util; "
        "spec = util.spec_from_file_location('claims', sys.argv[1]); "
        "claims = util.module_from_spec(spec); spec.loader.exec_module(claims); "
        "print(claims.digest(claims.World(claims.load_scenario(sys.argv[2]), 3)))"
    )
    command = [sys.executable, "-c", code, __file__, str(scenario_file)]
    elsewhere = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert elsewhere == digest(World(load_scenario(scenario_file), 3))


def test_too_few_says_how_many_are_wanted_and_how_many_there_are(folder):
    scenario = make_scenario(folder, (Owner("a", {"turned": 51}),))
    with pytest.raises(ScenarioError, match=r"mine: group 'turned': 61 examples .* there are 60;"):
        World(scenario, 0)
    reuse = make_scenario(folder, (Owner("a", {"any": 200}, reuse=True),))
    with pytest.raises(ScenarioError, match=r"group 'any': 200 examples .*\(a\) but there are 80"):
        World(reuse, 0)


def test_duplicates_are_dropped_and_counted(folder):
    owners = (Owner("a", {"any": 80}),)
    world = World(make_scenario(folder, owners, dataset="doubled.npz"), 0)
    assert world.duplicates == 7
    with pytest.raises(ScenarioError, match=r"111 examples .* there are 110"):
        World(make_scenario(folder, (Owner("a", {"any": 81}),), dataset="doubled.npz"), 0)


def test_the_same_content_in_two_data_sets_is_one_example(folder):
    groups = (Group("any"), Group("turned", transform="invert", dataset="doubled.npz"))
    scenario = make_scenario(folder, (Owner("a", {"any": 41, "turned": 40}),), groups=groups)
    with pytest.raises(ScenarioError, match="examples are wanted"):
        World(scenario, 0)


def test_an_owner_that_reuses_shares_but_shifted_its_own_way(folder):
    owners = tuple(Owner(name, {"any": 80}, reuse=True) for name in "ab")
    world = World(make_scenario(folder, owners), 0)
    a, b = world.owner("a"), world.owner("b")
    source = load_dataset("set.npz", folder).examples
    for held in (a, b):
        assert len(set(held.ids.tolist())) == 80
        assert not set(held.ids.tolist()) & set(source.ids.tolist())
    assert len(set(a.ids.tolist()) & set(b.ids.tolist())) < 20


def test_vectors_are_jittered_slightly(folder):
    owners = (Owner("a", {"any": 80}, reuse=True),)
    groups = (Group("any"), Group("turned", classes=(1, 2)))
    world = World(make_scenario(folder, owners, dataset="vectors.npz", groups=groups), 0)
    source, held = load_dataset("vectors.npz", folder).examples.x, world.owner("a").x
    nearest = np.linalg.norm(held[:, None] - source[None], axis=2).min(axis=1)
    assert held.dtype == np.float32
    assert nearest.min() > 0
    assert nearest.max() < 0.1


def test_noise_and_corruption_touch_just_the_share_asked(folder):
    clean = make_scenario(folder, (Owner("a", {"any": 40}),))
    flaws = Owner("a", {"any": 40}, label_noise=0.5, corruption=Corruption("brightness", 0.25, 3))
    before = World(clean, 0).owner("a")
    after = World(replace(clean, owners=(flaws,)), 0).owner("a")
    assert (before.x != after.x).any(axis=(1, 2, 3)).sum() == 10
    assert 5 <= (before.y != after.y).sum() <= 20


def test_acquired_examples_are_counted_by_group_from_content(folder):
    flaws = {"label_noise": 0.5, "corruption": Corruption("gaussian-noise", 0.5, 1)}
    owners = (Owner("a", {"any": 9, "turned": 9}, reuse=True, **flaws), Owner("b", {"any": 9}))
    world = World(make_scenario(folder, owners), 0)
    chosen = np.array([3, 1, 4, 17])
    acquired, groups = world.owner("a")[chosen], world.owner_groups("a")[chosen]
    assert world.group_counts("a", acquired) == count(groups)
    assert world.group_counts("b", acquired) == {}
    assert world.group_counts("b", world.owner("b")[:0]) == {}


def test_what_is_built_can_be_written_without_harm(folder):
    world = World(make_scenario(folder, (Owner("a", {"any": 9}),)), 0)
    before = digest(world)
    world.owner("a").x[...] = 0
    world.trainer("train").y[...] = 0
    assert digest(world) == before


def test_another_data_set_is_fitted_and_its_classes_go_by_name(folder):
    groups = (Group("any"), Group("turned", classes=("2", "3"), dataset="colour.npz"))
    trainer = {part: {"any": 5} for part in PARTS}
    owners = (Owner("a", {"turned": 8, "any": 2}),)
    world = World(make_scenario(folder, owners, groups=groups, trainer=trainer), 0)
    examples, of = world.owner("a"), world.owner_groups("a")
    assert examples.x.shape == (10, 1, 6, 6)
    assert sorted(examples.y[of == "turned"].tolist()) == [2] * 4 + [3] * 4
    assert world.classes == ("0", "1", "2", "3")
    assert world.num_classes == 4


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"dataset": "colour.npz"}, "has a class 'cat', which the main data set lacks"),
        ({"classes": ("cta",), "dataset": "colour.npz"}, "holds 'cta'; did you mean 'cat'?"),
        ({"classes": (4,)}, "groups.turned.classes holds 4; give labels from 0 to 3"),
        ({"classes": (-1,)}, "groups.turned.classes holds -1"),
        ({"classes": ("9",)}, "groups.turned.classes holds '9'; choose from"),
        (
            {"where": {"protocol": "tcp"}},
            "groups.turned.where does not fit: rows are chosen by columns",
        ),
        ({"dataset": "vectors.npz"}, "holds vectors of length 5 but the main data set images"),
    ],
)
def test_a_group_that_does_not_fit_is_named(folder, changed, words):
    groups = (Group("any"), Group("turned", **changed))
    with pytest.raises(ScenarioError) as caught:
        World(make_scenario(folder, (Owner("a", {"any": 1}),), groups=groups), 0)
    assert words in str(caught.value)
    assert str(caught.value).startswith("mine: groups.turned.")


@pytest.mark.parametrize(
    ("dataset", "group", "words"),
    [
        (
            "vectors.npz",
            Group("turned", transform="invert"),
            "is for images, but these are vectors",
        ),
        ("vectors.npz", Group("turned", dataset="longer.npz"), "holds vectors of length 6"),
        ("wide.npz", Group("turned", transform="rotate-90"), "rotate-90 needs square images"),
    ],
)
def test_what_the_main_data_set_cannot_be_is_named(folder, dataset, group, words):
    scenario = make_scenario(
        folder, (Owner("a", {"any": 1}),), dataset=dataset, groups=(Group("any"), group)
    )
    with pytest.raises(ScenarioError, match=words):
        World(scenario, 0)


def test_vectors_cannot_be_blurred(folder):
    owners = (Owner("a", {"any": 9}, corruption=Corruption("blur", 0.5, 3)),)
    groups = (Group("any"), Group("turned"))
    with pytest.raises(ScenarioError, match="owner 'a': corruption 'blur' is for images"):
        World(make_scenario(folder, owners, dataset="vectors.npz", groups=groups), 0)


def test_who_is_not_there_is_told(folder):
    world = World(make_scenario(folder, (Owner("anna", {"any": 9}),)), 0)
    with pytest.raises(ScenarioError, match="no owner 'ana'; did you mean 'anna'"):
        world.owner("ana")
    with pytest.raises(ScenarioError, match="no part 'tests'; did you mean 'test'"):
        world.trainer("tests")
    with pytest.raises(DataError, match=r"no data set 'gone\.npz'"):
        World(replace(world.scenario, dataset="gone.npz"), 0)


@pytest.mark.parametrize("name", ["rotated-digits", "bad-owners", "many-owners"])
def test_packaged_digits_can_be_drawn(name):
    world = World(load_scenario(name), 0)
    for owner in world.scenario.owners:
        assert count(world.owner_groups(owner.name)) == owner.holds


def test_a_thousand_owners_cost_little_memory():
    scenario = load_scenario("many-owners").with_owners(1000)
    World(scenario, 0)
    tracemalloc.start()
    world = World(scenario, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6
    assert world.owner("j-100").x.shape == (200, 1, 28, 28)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["scarce-fashion", "scarce-cifar10"])
def test_packaged_sets_from_the_data_folder_can_be_drawn(name):
    world = World(load_scenario(name), 0)
    scarce = world.trainer_groups("train") == "scarce"
    assert scarce.mean() < 0.02
    labels = {world.classes[label] for label in world.trainer("train").y[scarce]}
    assert labels == ({"shirt", "coat"} if "fashion" in name else {"frog", "ship"})


SHIFTS = (
    "pacs-sketch", "pacs-cartoon", "clinc150-travel", "clinc150-banking", "hospitals", "payers",
    "heart",
)  # fmt: skip


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", [*SHIFTS, "three-groups"])
def test_packaged_shifts_can_be_drawn(name, monkeypatch):
    """Sets that are not at hand are skipped: $MYCROFT_DATA need not hold all."""
    # What the project's script made of sentences lies in the user's own cache.
    monkeypatch.delenv("XDG_CACHE_HOME")
    try:
        world = World(load_scenario(name), 0)
    except DataError as error:
        if "holds no" not in str(error):
            raise
        pytest.skip(str(error))
    ids = [world.trainer(part).ids for part in ("train", "validation", "test")]
    for owner in world.scenario.owners:
        held = world.owner(owner.name)
        assert sum(world.holds(owner.name).values()) == len(held) > 0
        ids.append(held.ids)
    assert len(np.unique(np.concatenate(ids))) == sum(map(len, ids))


@pytest.mark.parametrize("name", SHIFTS)
def test_a_packaged_shift_without_its_data_says_what_to_get_and_where_it_goes(
    name, tmp_path, monkeypatch
):
    monkeypatch.setenv("MYCROFT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DataError) as caught:
        World(load_scenario(name), 0)
    folder = DatasetSpec.of(load_scenario(name).dataset).path.split("/")[1]
    assert f"put into {tmp_path}/data/{folder}: {SOURCES[folder]}" in str(caught.value)


def test_a_share_of_the_trainers_validation_labels_is_redrawn_and_no_other(tmp_path: Path) -> None:
    load = functools.partial(Simulation.load, "rotated-digits", engine="in-process")
    clean = load({"seed": 3}, tmp_path / "a").world
    noisy = load({"seed": 3, "trainer.label-noise": 0.4}, tmp_path / "b").world
    for part in ("train", "validation", "test"):
        before, after = clean.trainer(part), noisy.trainer(part)
        assert np.array_equal(before.x, after.x)
        changed = (before.y != after.y).mean()
        # A tenth of what is redrawn draws its own label.
        assert changed == pytest.approx(0.36 if part == "validation" else 0.0, abs=0.05)
    with pytest.raises(SettingError, match=r"label-noise is 1\.5; give a number from 0 to 1"):
        load({"trainer.label-noise": 1.5}, tmp_path / "c")
