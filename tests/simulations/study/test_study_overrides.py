"""What a study lays over a scenario reaches its cells: owners' data spoiled, fine-tunes begun elsewhere."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from mycroft_fl.models.catalogue import build_model
from mycroft_fl.models.weights import flat_weights, loaded
from mycroft_fl.report.study.folder import read_study
from mycroft_fl.seeds import derived_seed
from simulations.population.scenario_file import load_scenario
from simulations.population.world import World
from simulations.study import cell_runner
from simulations.study.run import run_study
from simulations.study.workers import WorkerSettings

SCENARIO = (Path(__file__).parents[2] / "scenarios" / "small.toml").read_text()


@pytest.fixture
def cells(tmp_path, monkeypatch):
    """Runs a study of one seed and says of every cell, by what varies, what its run left."""
    (tmp_path / "small.toml").write_text(SCENARIO)
    original, seen = cell_runner.run, {}

    def kept(simulation):
        result = original(simulation)
        task, folder = simulation.task, simulation.folder.path
        blank = build_model(task.model, task.shape, task.num_classes, seed=0)
        files = {file.stem: file for file in (folder / "models").glob("*.safetensors")}
        with np.load(folder / "acquired.npz") as arrays:
            acquired = {name: arrays[name] for name in arrays}
        world = simulation.world
        seen[json.dumps(dict(simulation.given))] = SimpleNamespace(
            test=result["final"]["test"],
            baseline=result["baseline"]["test"],
            acquired=acquired,
            owners={name: world.owner(name) for name in ("a", "b")},
            trainer=[world.trainer(part) for part in ("train", "validation", "test")],
            models={name: flat_weights(loaded(blank, file)) for name, file in files.items()},
        )
        return result

    monkeypatch.setattr(cell_runner, "run", kept)

    def cells(grid, key):
        file = tmp_path / "mine.toml"
        file.write_text(f'seeds = 1\n[grid]\nscenario = "small.toml"\nmethod = "random"\n{grid}\n')
        store = run_study(file, tmp_path / "out", WorkerSettings(jobs=1), stream=io.StringIO())
        assert store.failed() == 0
        assert [row[key] for row in store.rows()] == [json.loads(output)[key] for output in seen]
        return {json.loads(output)[key]: cell for output, cell in seen.items()}

    return cells


@pytest.fixture
def clean(tmp_path):
    """The scenario's world, as nobody has spoiled it."""
    return lambda: World(load_scenario(str(tmp_path / "small.toml")), 0)


def changed(one, other):
    return (one.reshape(len(one), -1) != other.reshape(len(other), -1)).any(axis=1)


def among(some, all_):
    known = {row.tobytes() for row in all_}
    return [row.tobytes() in known for row in some]


def test_a_share_of_every_owner_s_images_is_corrupted_before_anything_is_chosen(cells, clean):
    found = cells(
        'corruption.kind = "gaussian-noise"\ncorruption.severity = 5\n'
        "corruption.fraction = [0.0, 0.5, 1.0]",
        "corruption.fraction",
    )
    world = clean()
    untouched = np.concatenate([world.owner(name).x for name in "ab"])
    for share, cell in found.items():
        for name, held in cell.owners.items():
            assert changed(held.x, world.owner(name).x).mean() == pytest.approx(share)
            assert (held.y == world.owner(name).y).all()
        for part, examples in zip(("train", "validation", "test"), cell.trainer, strict=True):
            assert not changed(examples.x, world.trainer(part).x).any()
    handed = {share: np.mean(among(cell.acquired["x"], untouched)) for share, cell in found.items()}
    assert handed[0.0] == 1
    assert 0 < handed[0.5] < 1
    assert handed[1.0] == 0


def test_a_share_of_every_owner_s_labels_is_redrawn_and_handed_over_so(cells, clean):
    found = cells("label-noise = [0.0, 1.0]", "label-noise")
    world = clean()
    truth = {
        row.tobytes(): label
        for name in "ab"
        for row, label in zip(world.owner(name).x, world.owner(name).y, strict=True)
    }
    wrong, right = {}, {}
    for share, cell in found.items():
        for name, held in cell.owners.items():
            assert not changed(held.x, world.owner(name).x).any()
        wrong[share] = sum((cell.owners[n].y != world.owner(n).y).sum() for n in "ab")
        handed = zip(cell.acquired["x"], cell.acquired["y"], strict=True)
        right[share] = np.mean([truth[x.tobytes()] == y for x, y in handed])
    assert (wrong[0.0], right[0.0]) == (0, 1)
    # Of ten classes a label drawn anew is the old one in one case of ten.
    assert stats.binomtest(int(wrong[1.0]), 70, 0.9).pvalue > 1e-4
    assert right[1.0] < 0.5


def test_fine_tunes_begin_where_they_are_told(cells):
    """Steps of no length leave every model where it began: at the baseline, or at fresh weights."""
    found = cells(
        'fine-tune.from = ["baseline", "scratch"]\nfine-tune.learning-rate = 1e-12\n'
        "train-on-validation = false",
        "fine-tune.from",
    )
    begun, anew = found["baseline"], found["scratch"]
    seed = derived_seed(0, "trainer", "baseline")
    fresh = flat_weights(build_model("mlp", (1, 8, 8), 10, seed=seed))
    assert np.array_equal(begun.models["baseline"], anew.models["baseline"])
    assert np.abs(fresh - begun.models["baseline"]).max() > 1e-3
    for name in ("final", "control", "own-hard-set"):
        assert np.abs(begun.models[name] - begun.models["baseline"]).max() < 1e-6
        assert np.abs(anew.models[name] - fresh).max() < 1e-6
    assert begun.test == begun.baseline > anew.test


def test_an_attack_is_a_measure_of_a_study(tmp_path):
    (tmp_path / "small.toml").write_text(SCENARIO)
    file = tmp_path / "mine.toml"
    file.write_text(
        'seeds = 1\n[grid]\nscenario = "small.toml"\nmethod = "random"\npilot-per-owner = 10\n'
        'attack = ["none", "membership"]\n'
    )
    run_study(file, tmp_path / "out", WorkerSettings(jobs=1), stream=io.StringIO())
    found = {row["attack"]: row for row in read_study(tmp_path / "out").rows}
    assert found["none"]["auc"] is None
    assert 0 <= found["membership"]["auc"] <= 1
    kept = tmp_path / "out" / "cells" / found["membership"]["digest"] / "result.json"
    assert found["membership"]["auc"] == json.loads(kept.read_text())["attack"]["auc"]
    # It looks at the run, and changes nothing of it.
    for measure in ("hard", "test", "disclosed", "tau"):
        assert found["membership"][measure] == found["none"][measure]
