"""What TensorBoard's own reader finds in the files is what the result says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mycroft_fl.cli.main import cli
from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.report import board
from simulations.engines.run import run
from simulations.setup.simulation import Simulation
from simulations.study.run import run_study
from simulations.study.workers import WorkerSettings
from strategies.runs.folder import RunFolder

pytest.importorskip("tensorboard")
SCENARIO = (Path(__file__).parents[2] / "scenarios" / "small.toml").read_text()


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return found


@pytest.fixture
def finished(tmp_path):
    (tmp_path / "small.toml").write_text(SCENARIO)
    folder = RunFolder.prepared(tmp_path / "run", force=False).path
    settings = {"method": "features"}
    result = run(
        Simulation.load(str(tmp_path / "small.toml"), settings, folder, engine="in-process")
    )
    return folder, result


def test_rounds_references_settings_and_metadata_are_all_there(finished):
    folder, result = finished
    printed = CliRunner().invoke(cli, ["tensorboard", str(folder)], catch_exceptions=False).output
    assert printed == f"1 runs; see them with: tensorboard --logdir {folder / 'tensorboard'}\n"
    found = read(folder / "tensorboard" / folder.name)
    course = [(each.step, pytest.approx(each.value)) for each in found.Scalars("rounds/hard")]
    assert course == [(each["round"], each["hard"]) for each in result["rounds"]]
    assert [each.value for each in found.Scalars("rounds/disclosed")][-1] == result["disclosed"]
    for name in board.REFERENCES:
        assert found.Scalars(f"{name}/test")[0].value == pytest.approx(result[name]["test"])
    assert found.Scalars("hparam/hard")[0].value == pytest.approx(result["final"]["hard"])
    text = found.Tensors("run/text_summary")[0].tensor_proto.string_val[0].decode()
    metadata = json.loads("\n".join(line[4:] for line in text.splitlines()))
    assert metadata["settings"] == result["settings"]
    assert metadata["environment"]["flwr"] == result["environment"]["flwr"]


def test_the_settings_are_hyperparameters_beside_the_figures(finished):
    from tensorboard.plugins.hparams import plugin_data_pb2

    folder, result = finished
    board.write_board(result, folder.parent / "log", "one")
    metadata = read(folder.parent / "log" / "one").SummaryMetadata("_hparams_/session_start_info")
    output = plugin_data_pb2.HParamsPluginData.FromString(metadata.plugin_data.content)
    values = output.session_start_info.hparams
    assert values["method"].string_value == "features"
    assert values["budget"].number_value == 20
    assert set(values) == {"scenario", "engine", *result["settings"]}


def test_writing_again_replaces_and_does_not_add(finished):
    folder, result = finished
    for _ in range(2):
        board.write_board(result, folder / "log", "one")
    assert len(read(folder / "log" / "one").Scalars("rounds/hard")) == len(result["rounds"])


def test_every_finished_cell_of_a_study_is_a_run_with_a_name_of_its_own(tmp_path):
    (tmp_path / "small.toml").write_text(SCENARIO)
    (tmp_path / "mine.toml").write_text(
        'seeds = 2\n[grid]\nscenario = "small.toml"\nmethod = ["features", "random"]\n'
    )
    run_study(tmp_path / "mine.toml", tmp_path / "out", WorkerSettings(jobs=1))
    arguments = ["tensorboard", str(tmp_path / "out"), "--out", str(tmp_path / "log")]
    CliRunner().invoke(cli, arguments, catch_exceptions=False)
    names = {each.name for each in (tmp_path / "log").iterdir()}
    assert names == {
        f"scenario=small.toml,method={method},seed={seed}"
        for method in ("features", "random")
        for seed in (0, 1)
    }


def test_what_is_no_result_is_said(tmp_path):
    with pytest.raises(DataError, match="neither a finished run nor a study"):
        list(board.boards(tmp_path))
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(DataError, match="not a result file"):
        list(board.boards(tmp_path))


def test_without_tensorboard_it_says_how_to_get_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(SettingError, match="mycroft-fl\\[tensorboard\\]"):
        board.check_board()
