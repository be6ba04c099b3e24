"""A person's own files, from ten lines of TOML to a result; and owners whose files are broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from mycroft_fl.data.formats.transforms import fit_to
from mycroft_fl.encoders import embeddings
from mycroft_fl.errors import DataError, ScenarioError, SettingError
from mycroft_fl.examples import Examples
from mycroft_fl.report.run.schema import check_result
from simulations import server_app
from simulations.engines.run import run
from simulations.population.scenario_file import load_scenario
from simulations.population.world import OWN_DATA, World
from simulations.setup.attackers import Misbehaving
from simulations.setup.simulation import Simulation
from strategies.runs.folder import RunFolder

FLOWS = """
dataset = { path = "flows.csv", label = "attack", drop = ["difficulty"], unit-id = "host" }
model = "random-forest"
groups.usual.where = { kind = ["web", "mail"] }
groups.flood.where = { kind = "flood" }
trainer.train = { usual = 200 }
trainer.validation = { usual = 60, flood = 60 }
trainer.test = { usual = 60, flood = 60 }
owners = [{ name = "a", holds = { usual = 80, flood = 20 } }, { name = "b", holds = { usual = 100 } }]
run = { method = "features", feature-space = "binning", budget = 30, scoring.repeats = 1 }
"""
PHOTOS = """
dataset = { path = "photos", size = 24 }
model = "linear:timm:mobilenetv3_small_050:none@32"
groups.common.classes = [0, 1, 2]
groups.scarce.classes = [3, 4]
trainer.train = { common = 60, scarce = 2 }
trainer.validation = { common = 20, scarce = 20 }
trainer.test = { common = 20, scarce = 20 }
owners = [{ name = "a", holds = { common = 20, scarce = 12 } }, { name = "b", holds = { common = 30 } }]
[run]
method = "features"
feature-space = "timm:mobilenetv3_small_050:none@32"
budget = 24
pilot-per-owner = 6
scoring.repeats = 1
fit.epochs = 3
fine-tune.steps = 10
"""


@pytest.fixture(scope="module", autouse=True)
def quietly_on_one_thread(tmp_path_factory):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_app, "show_progress", lambda *args, **rest: None)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
    torch.set_num_threads(before)
    embeddings._shared.cache_clear()


def flows(n: int, seed: int = 0) -> pd.DataFrame:
    """Three kinds of connections, the label by a rule: floods are attacks of few bytes."""
    rng = np.random.default_rng(seed)
    kind = np.array(["web", "mail", "flood"])[rng.integers(3, size=n)]
    size = np.where(kind == "flood", rng.normal(40, 5, n), rng.normal(900, 200, n))
    odd = (kind != "flood") & (rng.random(n) < 0.3)
    return pd.DataFrame({
        "bytes": np.where(odd, size * 5, size).round(2),
        "packets": rng.integers(1, 40, n),
        "protocol": np.where(kind == "mail", "smtp", "http"),
        "host": [f"h{i}" for i in rng.integers(20, size=n)],
        "difficulty": rng.integers(9, size=n),
        "kind": kind,
        "attack": np.where(odd | (kind == "flood"), "yes", "no"),
    })  # fmt: skip


@pytest.fixture
def folder(tmp_path) -> Path:
    flows(900).to_csv(tmp_path / "flows.csv", index=False)
    return tmp_path


def load(folder: Path, text: str, settings: dict[str, Any] | None = None) -> Simulation:
    (folder / "mine.toml").write_text(text)
    out = folder / "out"
    simulation = Simulation.load(
        str(folder / "mine.toml"), settings or {}, out, engine="in-process"
    )
    RunFolder.prepared(out, force=True)
    return simulation


def without_kind(text: str) -> str:
    """`kind` tells the groups apart and is no feature."""
    return text.replace('drop = ["difficulty"]', 'drop = ["difficulty", "kind"]')


def test_ten_lines_about_a_table_and_a_forest_end_in_a_result(folder):
    text = without_kind(FLOWS)
    assert len(text.strip().splitlines()) <= 10
    simulation = load(folder, text)
    result = run(simulation)
    check_result(result)
    assert simulation.world.task.table is not None
    columns = [column.name for column in simulation.world.task.table.columns]
    assert columns == ["bytes", "packets", "protocol"]
    groups = {name: result[name]["groups"]["flood"] for name in ("control", "final")}
    assert groups["final"] > groups["control"]
    # What the trainer's own failures teach is all there is to learn here: both owners are worth nothing.
    assert {each["owner"]: each["rank"] is not None for each in result["owners"]} == {
        "a": True, "b": True,
    }  # fmt: skip
    assert all(abs(each["loss_fall"]) < 0.01 for each in result["owners"])
    assert (folder / "out" / "models" / "final.skops").is_file()
    assert result["settings"]["dataset"]["unit-id"] == "host"


@pytest.mark.slow
def test_the_forest_runs_on_flowers_engine_as_it_does_here(folder):
    here = run(load(folder, without_kind(FLOWS)))
    simulation = load(folder, without_kind(FLOWS))
    there = run(Simulation.load(simulation.asked_for, {}, folder / "out", engine="flower"))
    for key in ("baseline", "final", "owners", "disclosed"):
        assert there[key] == here[key]


@pytest.mark.parametrize("method", ["omp", "hard-features"])
def test_a_forest_with_a_proxy_uses_every_method(folder, method):
    text = without_kind(FLOWS)
    with pytest.raises(SettingError, match='or set proxy = "mlp"'):
        load(folder, text, {"method": method}).check()
    result = run(load(folder, text, {"method": method, "proxy": "mlp", "fit.epochs": 3}))
    assert result["disclosed"] > 0


def test_an_owner_may_bring_a_file_of_its_own_but_never_the_trainers_tests(folder):
    everything = pd.concat([flows(50, seed=9), flows(900)])
    everything.to_csv(folder / "theirs.csv", index=False)
    own = ', { name = "c", dataset = { path = "theirs.csv", label = "attack", drop = ["kind"] } }]\nrun'
    simulation = load(folder, without_kind(FLOWS).replace("]\nrun", own))
    held = simulation.world.owner("c")
    assert 50 <= len(held) < 950
    tests = simulation.world.trainer("test").ids
    assert not np.isin(held.ids, tests).any()
    assert simulation.world.holds("c") == {OWN_DATA: len(held)}


def test_a_noisy_owner_of_a_table_answers_and_one_that_jitters_names_does_not(folder, monkeypatch):
    noisy = 'corruption = { kind = "gaussian-noise", fraction = 1.0, severity = 3 }, name = "a"'
    text = without_kind(FLOWS).replace('name = "a"', noisy)
    simulation = load(folder, text)
    clean = load(folder, without_kind(FLOWS)).world.owner("a")
    held = simulation.world.owner("a")
    table = simulation.task.table
    assert table is not None
    assert table.could_hold(held.x).all()
    assert not (held.x == clean.x).all(axis=1).any()
    result = run(load(folder, text))
    assert result["rounds"][0]["failed"] == {}
    monkeypatch.setattr(Misbehaving, "_spoilt", jittered_hard_set)
    spoilt = without_kind(FLOWS).replace('name = "a"', 'behaviour = "copies-hard-set", name = "a"')
    result = run(load(folder, spoilt, {"seed": 1}))
    assert result["rounds"][0]["failed"] == {"a": "malformed"}


def jittered_hard_set(self, answer: Examples, request) -> Examples:
    """The hard set sent back with noise on every column, so that no row is equal."""
    rng = np.random.default_rng(0)
    hard = request.hard[: request.k]
    return Examples((hard.x + rng.normal(0, 1e-3, hard.x.shape)).astype(np.float32), hard.y)


def test_an_owners_units_and_consent_reach_its_vault(folder):
    theirs = flows(60, seed=5).assign(consent=["yes", "no"] * 30, kind="flood", attack="yes")
    theirs.to_csv(folder / "theirs.csv", index=False)
    own = (
        ', { name = "c", dataset = { path = "theirs.csv", label = "attack", drop = ["kind"], '
        'unit-id = "host", shareable = "consent" } }]\nrun'
    )
    text = without_kind(FLOWS).replace("]\nrun", own)
    simulation = load(folder, text, {"budget": 90, "pilot-per-owner": 30})
    held = simulation.world.records("c")
    assert held.shareable is not None
    assert (held.shareable.sum(), set(held.units)) == (30, set(theirs["host"]))
    drawn = simulation.world.records("a")
    assert len(drawn.units) == len(drawn.examples) == 100
    assert drawn.shareable is None
    run(simulation)
    kept = np.load(folder / "out" / "acquired.npz")
    acquired = Examples(kept["x"], kept["y"]).ids
    assert np.isin(acquired, held.examples.ids[held.shareable]).sum() == 30
    assert not np.isin(acquired, held.examples.ids[~held.shareable]).any()


def test_noised_answers_hide_whole_hosts_where_a_column_names_them(folder):
    text = without_kind(FLOWS).replace('"random-forest"', '"mlp"')
    settings = {"mode": "score", "policy.epsilon": 1.0, "fit.epochs": 2}
    result = run(load(folder, text, settings))
    cards = [each["card"] for each in result["owners"]]
    assert [card["unit"] for card in cards] == ["person", "person"]


BROKEN = {
    "missing": lambda f: f.assign(bytes=f["bytes"].where(f.index != 3)),
    "unseen": lambda f: f.assign(protocol="gopher"),
    "label": lambda f: f.assign(attack="perhaps"),
    "short": lambda f: f.drop(columns="packets"),
}


def test_owners_whose_files_are_broken_stay_out_and_the_run_goes_on(folder):
    for name, change in BROKEN.items():
        change(flows(40, seed=5)).to_csv(folder / f"{name}.csv", index=False)
    flows(40).to_csv(folder / "delimiter.csv", index=False, sep="~")
    (folder / "empty.csv").touch()
    names = [*BROKEN, "delimiter", "empty", "absent"]
    owners = "".join(
        f', {{ name = "{name}", dataset = {{ path = "{name}.csv", label = "attack" }} }}'
        for name in names
    )
    simulation = load(
        folder,
        without_kind(FLOWS).replace("]\nrun", owners + "]\nrun"),
        {"budget": 90, "pilot-per-owner": 10},
    )
    result = run(simulation)
    assert result["rounds"][0]["failed"] == dict.fromkeys(sorted(names), "error")
    words = {
        "missing": "missing.csv: row 4, column 'bytes' is missing",
        "unseen": "unseen.csv: row 1, column 'protocol' 'gopher' is a category",
        "label": "label.csv: row 1: label 'perhaps' is no class of the task",
        "short": "short.csv: column 'packets' is missing",
        "delimiter": "delimiter.csv: there is no column 'attack'",
        "empty": "empty.csv is empty (0 bytes)",
        "absent": "no data set 'absent.csv'",
    }
    for name, output in words.items():
        assert output in (folder / "out" / "owners" / name / "owner.log").read_text()
    assert result["final"]["groups"]["flood"] > result["control"]["groups"]["flood"]
    assert {each["owner"]: each["holds"] for each in result["owners"]}["empty"] == {}


def test_a_broken_file_of_the_trainer_ends_the_run_before_it_starts(folder):
    rows = flows(900)
    rows["packets"] = np.nan
    rows.to_csv(folder / "flows.csv", index=False)
    with pytest.raises(DataError, match="column 'packets' is empty"):
        load(folder, without_kind(FLOWS)).check()


@pytest.fixture
def photos(tmp_path) -> Path:
    """Digits as JPEGs of several sizes, by class."""
    from mycroft_fl.data.known import digits

    rows = digits()
    for place in np.flatnonzero(rows.y < 5)[:400]:
        side = 24 + 4 * int(place % 3)
        image = fit_to(rows.x[place : place + 1], 1, side, side)[0, 0]
        path = tmp_path / "photos" / rows.classes[rows.y[place]] / f"{place}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path, quality=95)
    return tmp_path


def test_a_folder_of_jpegs_runs_with_an_encoder_and_once_embedded_needs_none(photos, monkeypatch):
    first = run(load(photos, PHOTOS))
    check_result(first)
    assert first["disclosed"] > 0
    embeddings._shared.cache_clear()

    def never(name):
        raise AssertionError("the encoder was loaded again")

    monkeypatch.setattr(embeddings, "open_encoder", never)
    again = run(load(photos, PHOTOS))
    assert [again[key] for key in ("final", "owners")] == [
        first[key] for key in ("final", "owners")
    ]


def test_a_broken_image_is_named_and_a_space_for_tables_is_refused_for_images(photos):
    with pytest.raises(SettingError, match="is for tables, but these are images"):
        load(photos, PHOTOS, {"feature-space": "binning"}).check()
    broken = next((photos / "photos" / "3").glob("*.jpg"))
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.raises(DataError, match=f"3/{broken.name} cannot be read"):
        load(photos, PHOTOS).check()


def test_skewed_owners_hold_as_many_as_asked_and_of_few_classes(tmp_path):
    world = World(load_scenario("dirichlet-owners"), 0)
    held = [world.owner(f"o-{number}") for number in range(1, 11)]
    assert [len(each) for each in held] == [250] * 10
    ids = np.concatenate([each.ids for each in held])
    assert len(np.unique(ids)) == 2500
    assert not np.isin(ids, world.trainer("test").ids).any()
    largest = [np.sort(np.bincount(each.y, minlength=10))[-3:].sum() / 250 for each in held]
    assert np.mean(largest) > 0.6  # evenly spread it would be 0.3
    assert (
        world.owner("o-1").ids.tolist()
        == World(load_scenario("dirichlet-owners"), 0).owner("o-1").ids.tolist()
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('holds = { usual = 100 }', 'holds = { usual = 9 }, dataset = "x.csv"', "all that this owner holds"),
        ('holds = { usual = 100 }', 'holds = { usual = 9 }, skew = 0', "skew is 0.0; give a number above 0"),
        ('label = "attack"', 'lable = "attack"', "unknown key 'dataset.lable'"),
        ('label = "attack"', 'label = "attack", missing = "guess"', "dataset.missing is 'guess'"),
        ('label = "attack"', 'label = "attack", size = -1', "dataset.size is -1"),
        ('label = "attack"', 'label = "attack", delimiter = ";;"', "give one character"),
        ('drop = ["difficulty"]', "drop = 3", "dataset.drop is 3; give a list of columns"),
        ('kind = "flood"', 'kynd = "flood"', "there is no column 'kynd'; did you mean 'kind'?"),
        ('kind = "flood"', 'kind = "flud"', "no row has kind = ['flud']"),
        ("groups.flood.where", "groups.flood.cue = \"patch\"\ngroups.flood.where", "is for images"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_one_line_that_names_it(folder, old, new, words):
    assert old in FLOWS
    with pytest.raises((ScenarioError, DataError)) as caught:
        load(folder, FLOWS.replace(old, new, 1)).check()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
