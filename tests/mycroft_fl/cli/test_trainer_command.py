"""`mycroft-fl trainer ...`: what needs no SuperLink; with one, see test_federation_faults.py."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mycroft_fl.cli.main import cli
from mycroft_fl.cli.trainer import trainer
from mycroft_fl.errors import EngineFailed, InputError
from mycroft_fl.tasks.description import read_task
from simulations.setup.export import export
from simulations.setup.simulation import Simulation
from strategies.runs.folder import RunFolder


def command(*words: str | Path) -> str:
    answer = CliRunner().invoke(cli, ["trainer", *map(str, words)], catch_exceptions=False)
    assert answer.exit_code == 0
    return answer.output


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    command("init", tmp_path / "lab", "--host", "localhost", "--port", "1", "--listen", "127.0.0.1")
    return tmp_path / "lab"


@pytest.fixture
def task(tmp_path: Path) -> Path:
    simulation = Simulation.load("rotated-digits", {"owners": 1}, tmp_path / "run")
    export(simulation, tmp_path / "data")
    return tmp_path / "data" / "trainer" / "task.toml"


def test_init_says_what_to_do_next(tmp_path: Path) -> None:
    said = command("init", tmp_path / "lab", "--host", "localhost")
    assert "is set up for a SuperLink at localhost:9092, which listens at\n127.0.0.1, for" in said
    assert f"mycroft-fl trainer link {tmp_path / 'lab'}" in said


def test_a_superlink_listens_where_its_host_is_unless_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"203\.0\.113\.7 is at 203\.0\.113\.7, which is not this"):
        command("init", tmp_path / "lab", "--host", "203.0.113.7")
    with pytest.raises(InputError, match=r"no address is known of the host lab\.invalid"):
        command("init", tmp_path / "lab", "--host", "lab.invalid")
    assert list(tmp_path.iterdir()) == []
    said = command("init", tmp_path / "lab", "--host", "lab.invalid", "--listen", "0.0.0.0")
    assert "0.0.0.0, all of this machine's networks; then" in said


def test_what_the_commands_write_is_its_users_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever a command, or what it starts, opens with no thought of who may read it.
    plain = click.Command("plain", callback=lambda: (tmp_path / "lab" / "plain").write_text("x"))
    monkeypatch.setitem(trainer.commands, "plain", plain)
    before = os.umask(0)
    try:
        command("init", tmp_path / "lab", "--host", "localhost")
        command("plain")
        assert os.umask(0) == 0
    finally:
        os.umask(before)
    for each in (tmp_path / "lab", *(tmp_path / "lab").rglob("*")):
        assert each.stat().st_mode & 0o077 == 0, each


def test_describe_writes_what_owners_need(lab: Path, task: Path) -> None:
    assert "task.json" in command("describe", lab, task)
    described = read_task(lab / "task.json")
    assert described.classes == tuple("0123456789")
    assert described.model == "mlp"


def test_certify_makes_another_certificate(lab: Path) -> None:
    before = (lab / "certs" / "server.crt").read_bytes()
    assert "good until" in command("certify", lab, "--days", "10")
    assert (lab / "certs" / "server.crt").read_bytes() != before


def test_bad_input_is_said_and_leaves_no_run(lab: Path, task: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no task.s file .*none.toml; give a TOML file"):
        command("run", lab, tmp_path / "none.toml")
    with pytest.raises(InputError, match="unknown setting 'budgets'"):
        command("run", lab, task, "--set", "budgets=1")
    assert list((lab / "runs").iterdir()) == []
    with pytest.raises(InputError, match="is not the folder of a run"):
        command("resume", tmp_path)
    RunFolder.prepared(tmp_path / "other", force=False)
    with pytest.raises(InputError, match="is no run of `mycroft-fl trainer run`"):
        command("resume", tmp_path / "other")


def test_without_a_superlink_it_is_said_so(lab: Path, task: Path) -> None:
    with pytest.raises(EngineFailed, match="flwr supernode list"):
        command("owners", lab)
    with pytest.raises(EngineFailed, match="flwr supernode list"):
        command("run", lab, task, "--out", lab / "runs" / "one")
    plan = json.loads((lab / "runs" / "one" / "run.json").read_text())
    assert plan["task"] == str(task)
