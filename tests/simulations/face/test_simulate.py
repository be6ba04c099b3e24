"""`mf.simulate`, `mf.study` and what they return, beside the command line's own results."""

from __future__ import annotations

import json
import sys

import pandas as pd
import pytest
import torch
from simulations_face_data import OwnNet, digits
from torch import nn

import mycroft_fl as mf
from mycroft_fl.errors import InputError, SettingError
from simulations.engines.run import run
from simulations.face.progress import _Told, progress
from simulations.setup.simulation import Simulation
from strategies.runs.folder import RunFolder

QUICK = {"budget": 30, "num_rounds": 1, "fit_epochs": 2, "scoring_repeats": 1, "owners": 3}
SETTINGS = {"budget": 30, "num-rounds": 1, "fit.epochs": 2, "scoring.repeats": 1, "owners": 3}


@pytest.fixture(scope="module")
def omp():
    return mf.simulate("rotated-digits", method="omp", seed=3, **QUICK)


def test_the_ranking_is_a_frame_of_what_the_command_finds(omp, tmp_path):
    given = SETTINGS | {"method": "omp", "seed": 3}
    simulation = Simulation.load("rotated-digits", given, tmp_path / "run", engine="in-process")
    with RunFolder.replacing(tmp_path / "run", force=False):
        result = run(simulation)
    assert isinstance(omp.ranking, pd.DataFrame)
    assert omp.ranking["owner"].tolist() == [each["owner"] for each in result["owners"]]
    assert omp.ranking["disclosed"].sum() == result["disclosed"] == len(omp.acquired)
    assert omp.models.loc["final", "test"] == result["final"]["test"]
    assert omp.result["settings"] == result["settings"]


def test_the_model_is_the_final_one(omp):
    assert isinstance(omp.model, nn.Module)
    assert omp.classes == tuple("0123456789")


def test_a_mapping_is_a_scenario_and_a_net_its_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, y = digits()["mixed"]
    import numpy as np

    np.savez("mine.npz", x=x, y=y)
    scenario = {
        "dataset": "mine.npz",
        "groups": {"few": {"classes": [0, 1]}, "many": {"classes": [2, 3, 4, 5]}},
        "trainer": {
            "train": {"many": 50}, "validation": {"many": 20, "few": 20},
            "test": {"many": 10, "few": 10},
        },
        "owners": [{"name": "a", "holds": {"few": 10}}, {"name": "b", "holds": {"many": 10}}],
        "run": {"budget": 10, "num-rounds": 1, "pilot-per-owner": 5, "scoring.repeats": 1},
    }  # fmt: skip
    result = mf.simulate(scenario, model=OwnNet, fit_epochs=2, out="run")
    assert sorted(result.ranking["owner"]) == ["a", "b"]
    assert type(result.model) is OwnNet
    assert json.loads((tmp_path / "run" / "result.json").read_text())["settings"][
        "model"
    ].startswith("object:OwnNet")


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"scenario": "rotated-digit"}, InputError, "did you mean 'rotated-digits'"),
        ({"engine": "ray"}, SettingError, "choose from"),
        ({"model": OwnNet(), "engine": "flower"}, SettingError, "in-process"),
        ({"seeds": 3}, SettingError, "did you mean 'seed'|no setting 'seeds'"),
        ({"scenario": {"dataset": torch.zeros(2)}}, SettingError, "give data to mf.rank"),
        ({"settings": {"policy.epsilonn": 1.0}}, InputError, "epsilonn"),
    ],
)
def test_each_mistake_is_told_and_leaves_nothing(change, error, said, tmp_path):
    given = {"scenario": "rotated-digits", "out": tmp_path / "run"} | change
    with pytest.raises(error, match=said):
        mf.simulate(given.pop("scenario"), **given)
    assert not (tmp_path / "run").exists()


def test_a_study_goes_on_where_it_stopped_and_is_one_frame(tmp_path):
    tiny = {
        "seeds": [0, 1],
        "run": {"scenario": "rotated-digits", **SETTINGS, "owners": 2, "model": "linear"},
        "grid": {"method": ["random", "features"]},
    }
    found = mf.study(tiny, out=tmp_path / "tiny")
    assert found.frame["status"].tolist() == ["done"] * 4
    again = mf.study(tiny, out=tmp_path / "tiny")
    pd.testing.assert_frame_equal(again.frame, found.frame)
    pd.testing.assert_frame_equal(mf.read_study(tmp_path / "tiny").frame, found.frame)
    means = found.summary("hard")
    wanted = found.frame[found.frame["method"] == "random"]["hard"].mean()
    assert means.xs("random", level="method")["mean"].iloc[0] == pytest.approx(wanted)
    assert found.report().name == "report.html"
    assert "4 of 4 cells" in repr(found)
    with pytest.raises(SettingError, match="no cell has 'speed'"):
        found.summary("speed")


@pytest.mark.parametrize(("change", "said"), [({}, "give out="), ({"jobs": 0}, "jobs is 0")])
def test_a_study_without_a_folder_or_workers_is_told(change, said):
    with pytest.raises(SettingError, match=said):
        mf.study({"seeds": 1}, **change)


def test_a_bar_is_shown_where_asked_and_quiet_where_logging_is(capsys, monkeypatch):
    import logging

    log = logging.getLogger("strategies")
    monkeypatch.setattr(log, "handlers", [])  # a run of the command's may have left its own
    with progress(1, True):
        log.info("round 1: 30 examples from 3 owners")
        assert isinstance(log.handlers[0], _Told)
    assert "round 1" in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(logging.getLogger("mycroft_fl"), "level", logging.WARNING)
    with progress(1, None):
        log.info("round 1: 30 examples from 3 owners")
    assert capsys.readouterr().err == ""
