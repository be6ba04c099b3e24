"""Runs on Flower's simulation engine: what they are given, and that they leave nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from mycroft_fl.errors import EngineFailed
from mycroft_fl.foreign_text import cleaned
from simulations.engines import flower as engine
from simulations.engines import processes
from strategies.link.private import SOCKET

SERVER = """
import os, time
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import ServerApp

app = ServerApp()

@app.main()
def main(grid, context):
    settings = context.run_config
    print("FOLDER", os.environ["MYCROFT_ENGINE"], flush=True)
    print("SERVER", __file__, settings["hard-set.sent"], os.environ["OMP_NUM_THREADS"], flush=True)
    while len(owners := list(grid.get_node_ids())) < settings["owners"]:
        time.sleep(0.1)
    content = RecordDict({"asked": ConfigRecord({"round": 1})})
    asked = [Message(content, dst_node_id=owner, message_type="query") for owner in owners]
    for reply in grid.send_and_receive(asked):
        print("CLIENT", reply.content["is"]["file"], flush=True)
    if settings["fail"]:
        raise ValueError("the trainer broke on purpose")
    time.sleep(settings["sleep"])
"""
CLIENT = """
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()

@app.query()
def answer(message, context):
    return Message(RecordDict({"is": ConfigRecord({"file": __file__})}), reply_to=message)
"""
APPS = ("toy_engine_apps.server", "toy_engine_apps.client")
SETTINGS: dict[str, int | float | str | bool] = {
    "owners": 3,
    "fail": False,
    "sleep": 0.0,
    "hard-set.sent": 16,
}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with two tiny apps that this process can import."""
    package = tmp_path / "toy_engine_apps"
    package.mkdir()
    for name, text in {"__init__": "", "server": SERVER, "client": CLIENT}.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return package


def folder_of(lines: list[str]) -> Path:
    return Path(next(line for line in lines if line.startswith("FOLDER")).split()[1])


def nothing_is_left(folder: Path) -> bool:
    return not folder.exists() and not processes.processes_of(folder)


def environment(folder: Path) -> dict[str, str]:
    return engine.engine_environment(folder, threads=3, apps=APPS)


@pytest.mark.filterwarnings("ignore:'click.utils:DeprecationWarning")  # typer's, that Flower uses
def test_the_app_holds_exactly_the_settings_and_flower_accepts_it(tmp_path: Path) -> None:
    from flwr.cli.config_utils import load_and_validate
    from flwr.common.config import flatten_dict

    settings = {"a": 1, "b.c": -0.5, "b.d": "x 'y' \"z\"\n", "e": True, "f": "", "b": 1e-300}
    engine.write_app(tmp_path / "app", settings, engine.APPS)
    text = (tmp_path / "app" / "pyproject.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["tool"]["flwr"]["app"]["config"] == settings
    config, warnings = load_and_validate(tmp_path / "app" / "pyproject.toml")
    assert flatten_dict(config["tool"]["flwr"]["app"]["config"]) == settings
    assert warnings == []


def test_processes_find_the_tools_and_the_apps_of_this_interpreter(
    tmp_path: Path, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    made = environment(tmp_path)
    ours, pythons, *_ = made["PATH"].split(os.pathsep)
    assert (ours, pythons) == (str(tmp_path / "home" / "bin"), str(Path(sys.executable).parent))
    assert made["PYTHONPATH"].split(os.pathsep) == [
        str(toy.parent),
        str(Path("elsewhere").absolute()),
    ]


def test_installed_apps_are_not_put_ahead_of_the_standard_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    made = engine.engine_environment(tmp_path, threads=1, apps=("numpy.x", "flwr.y"))
    assert made["PYTHONPATH"] == ""


def test_a_runs_own_ray_asks_for_a_token_and_its_superlink_has_no_port(
    tmp_path: Path, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(engine.CLUSTER, raising=False)
    made, other = environment(tmp_path), environment(tmp_path)
    assert made["RAY_AUTH_MODE"] == "token"
    assert len(made["RAY_AUTH_TOKEN"]) == 64
    assert made["RAY_AUTH_TOKEN"] != other["RAY_AUTH_TOKEN"]
    assert Path(made[SOCKET]).parent == tmp_path / "link"
    # Somebody's cluster has a token of its own, or none.
    monkeypatch.setenv(engine.CLUSTER, "127.0.0.1:6379")
    assert "RAY_AUTH_TOKEN" not in environment(tmp_path)


def test_all_that_a_run_writes_is_in_its_folder_and_threads_are_pinned(
    tmp_path: Path, toy: Path
) -> None:
    made = environment(tmp_path)
    for name in (processes.MARKER, "FLWR_HOME", "RAY_TMPDIR", "TMPDIR"):
        assert Path(made[name]).is_relative_to(tmp_path)
    assert made["OMP_NUM_THREADS"] == made["MKL_NUM_THREADS"] == "3"


def test_the_loopback_is_never_reached_through_a_proxy(
    tmp_path: Path, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "example.org")
    assert environment(tmp_path)["no_proxy"] == "example.org,127.0.0.1"


@pytest.mark.parametrize(
    ("owners", "threads", "cpus", "workers"),
    [(8, 1, 2, 2), (3, 1, 64, 3), (8, 4, 16, 4), (8, 4, 2, 1), (1000, 1, 4, 4)],
)
def test_no_more_workers_than_owners_or_cpus(
    owners: int, threads: int, cpus: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: cpus)
    given = dict(pair.split("=") for pair in engine.federation_config(owners, threads).split())
    assert int(given["num-supernodes"]) == owners
    assert int(given["init-args-num-cpus"]) // int(given["client-resources-num-cpus"]) == workers


@pytest.mark.parametrize(
    ("owners", "gpus", "share"), [(8, 1, 0.25), (3, 1, 0.333), (8, 2, 0.5), (2, 4, 2), (8, 4, 1)]
)
def test_workers_share_the_cards_and_all_of_them_fit(
    owners: int, gpus: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 4)
    given = dict(pair.split("=") for pair in engine.federation_config(owners, 1, gpus).split())
    assert float(given["client-resources-num-gpus"]) == share
    assert int(given["init-args-num-gpus"]) == gpus
    assert share * int(given["init-args-num-cpus"]) <= gpus
    assert "gpus" not in engine.federation_config(owners, 1)


def test_the_status_is_read_from_flowers_list_and_anything_else_is_unknown() -> None:
    listed = {"success": True, "runs": [{"status": "finished:failed", "status-details": "why"}]}
    assert engine.read_status("a warning\n" + json.dumps(listed)) == ("finished:failed", "why")
    assert engine.read_status('{"success": true, "runs": []}') == ("unknown", "")
    assert engine.read_status("no connection") == ("unknown", "")


def test_the_error_is_that_of_the_app_and_not_what_flower_wraps_it_in() -> None:
    lines = [
        *("Traceback (most recent call last):", '  File "x.py"', "ValueError: first", "second", ""),
        "The above exception was the direct cause of the following exception:",
        *("", "Traceback (most recent call last):", "  ..."),
        "RuntimeError: An error was encountered. Ending simulation.",
        *("ERROR :     Exit Code: 700", ""),
    ]
    assert engine.last_error(lines) == "ValueError: first\nsecond"
    assert engine.last_error(["one", "╭─ Error ─╮", "│ no such app │", "╰──╯"]) == "no such app"
    assert engine.last_error([]) == ""


def test_a_process_that_will_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE", 0.2)
    deaf = "import signal, time; signal.signal(15, 1); print(1, flush=True); time.sleep(60)"
    command = [sys.executable, "-c", deaf]
    for where in ({"env": {processes.MARKER: str(tmp_path)}}, {"cwd": tmp_path}):
        with subprocess.Popen(command, stdout=subprocess.PIPE, **where) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert processes.processes_of(tmp_path) == [psutil.Process(process.pid)]
            processes.stop_processes(tmp_path)
        assert processes.processes_of(tmp_path) == []


def test_a_superlink_that_does_not_start_is_an_error_and_leaves_nothing(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Path] = []
    write = engine.write_app

    def noted(folder: Path, *rest: Any) -> None:
        folders.append(folder.parent)
        write(folder, *rest)

    monkeypatch.setattr(engine, "write_app", noted)
    monkeypatch.setattr(engine, "SUPERLINK_DEADLINE", 0.0)
    with pytest.raises(EngineFailed, match="did not start"):
        engine.run_on_flower(SETTINGS, owners=3, on_line=print, apps=APPS)
    assert nothing_is_left(folders[0])


@pytest.mark.slow
def test_a_run_succeeds_with_the_apps_that_this_process_would_import(
    toy: Path, tmp_path: Path
) -> None:
    lines: list[str] = []
    engine.run_on_flower(
        SETTINGS, owners=3, on_line=lines.append, threads=1, log_to=tmp_path, apps=APPS
    )
    assert f"SERVER {toy / 'server.py'} 16 1" in lines
    assert lines.count(f"CLIENT {toy / 'client.py'}") == 3
    # Whoever opens the log sees what others wrote as text: no tab, no escape moves its cursor.
    logged = (tmp_path / "flower.log").read_text(encoding="utf-8").splitlines()
    assert logged == [cleaned(line) for line in lines]
    assert nothing_is_left(folder_of(lines))


@pytest.mark.slow
def test_a_trainer_that_raises_fails_the_run_with_its_words(toy: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    with pytest.raises(EngineFailed, match="ValueError: the trainer broke on purpose") as failed:
        engine.run_on_flower(
            {**SETTINGS, "fail": True}, owners=3, on_line=lines.append, log_to=tmp_path, apps=APPS
        )
    assert str(tmp_path / "flower.log") in str(failed.value)
    assert nothing_is_left(folder_of(lines))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_leaves_nothing(toy: Path, number: signal.Signals) -> None:
    settings = {**SETTINGS, "sleep": 600.0}
    code = (
        # A shell that runs tests in the background has them ignore SIGINT.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from functools import partial; from simulations.engines.flower import run_on_flower\n"
        f"say = partial(print, flush=True)\nrun_on_flower({settings}, owners=3, on_line=say, "
        f"apps={APPS})"
    )
    path = os.pathsep.join(filter(None, [str(toy.parent), *sys.path]))
    lines: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.strip())
            if line.startswith("CLIENT"):
                process.send_signal(number)
                break
        process.communicate(timeout=300)
    assert process.returncode in (-number, 128 + number)
    # Of a killed run the watcher ends the rest, soon after.
    patience = 60 if number == signal.SIGKILL else 0
    deadline = time.monotonic() + patience
    while not nothing_is_left(folder_of(lines)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert nothing_is_left(folder_of(lines))


ORDER = """
import sys, ray
from pathlib import Path
ray.init(address=sys.argv[1], _node_ip_address=sys.argv[1].split(":")[0], log_to_driver=False)

@ray.remote(num_cpus=0)
def act(proof):
    Path(proof).write_text("was here")

ray.get(act.remote(sys.argv[2]))
"""


def ordered(raylet: psutil.Process, token: str, proof: Path) -> subprocess.Popen[str]:
    """A process that sends work to the Ray of this process, with this token or none."""
    [at] = [each.split("=")[1] for each in raylet.cmdline() if each.startswith("--gcs-address=")]
    environment = {key: value for key, value in os.environ.items() if "RAY" not in key}
    mode = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token} if token else {}
    return subprocess.Popen(
        [sys.executable, "-c", ORDER, at, str(proof)],
        env={**environment, **mode}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_a_runs_ray_takes_no_order_without_the_runs_token(toy: Path, tmp_path: Path) -> None:
    tried: dict[str, str] = {}
    lines: list[str] = []

    def order(line: str) -> None:
        lines.append(line)
        if not line.startswith("CLIENT") or tried:
            return
        folder = folder_of(lines)
        [raylet] = [each for each in processes.processes_of(folder) if each.name() == "raylet"]
        right = raylet.environ()["RAY_AUTH_TOKEN"]
        tokens = {"none": "", "another": "0" * 64, "right": right}
        orders = {name: ordered(raylet, token, tmp_path / name) for name, token in tokens.items()}
        for name, each in orders.items():
            tried[name] = ""
            with suppress(subprocess.TimeoutExpired):
                tried[name] = each.communicate(timeout=100)[0]
            each.kill()
            each.communicate()

    engine.run_on_flower(
        {**SETTINGS, "sleep": 120.0}, owners=3, on_line=order, log_to=tmp_path, apps=APPS
    )
    # With the token it is a way in: without, the very same is none.
    assert [name for name in tried if (tmp_path / name).is_file()] == ["right"], tried
