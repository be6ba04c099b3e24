"""One run on Flower's simulation engine, in a folder of its own that is gone afterwards.

    a SuperLink                 started here, on a private socket; state in memory, working directory empty
    └── flower-superexec
        └── flwr-simulation     the ServerApp, and Ray's driver
            └── gcs, raylet, workers (the ClientApps)
    flwr run, flwr list         start the run and stream its log; say how it ended

`flwr run` could start the SuperLink, but gives it only 15 seconds and leaves it running.
"""

import os
import re
import secrets
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import cache_from_source, find_spec
from pathlib import Path
from typing import IO

import joblib

from mycroft_fl.errors import EngineFailed
from mycroft_fl.foreign_text import cleaned
from simulations.engines.cluster import CLUSTER, check_cluster
from simulations.engines.processes import (
    MARKER,
    answering,
    clear_up,
    ended_by,
    start,
    stop_processes,
    watched,
)
from strategies.deployment.flower_commands import (
    COLOUR,
    ENVIRONMENT,
    last_error,
    read_status,
    write_app,
)
from strategies.link.private import SOCKET, answers, by_socket, connection

APPS = ("simulations.server_app", "simulations.client_app")
SUPERLINK_DEADLINE = 120.0  # seconds; importing Flower takes 2, on a loaded machine 20
ENDINGS = (signal.SIGTERM, signal.SIGHUP)
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray would start a spare worker for each CPU, in an environment that fits no ClientApp.
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
}


def run_on_flower(
    run_config: Mapping[str, int | float | str | bool],
    *,
    owners: int,
    on_line: Callable[[str], None],
    threads: int = 1,
    gpus: int = 0,
    log_to: Path | None = None,
    apps: tuple[str, str] = APPS,
) -> None:
    """Run both `apps` with `owners` simulated owners; return once the run has succeeded.

    Whatever happens, no process and no other file of the run is left. Raises `EngineFailed` if
    Flower says that the run failed. It does not say so if the ServerApp calls `sys.exit`: look for
    the result as well.

    Args:
        run_config: of the run, as Flower takes it.
        owners: how many nodes.
        on_line: called with every line that Flower prints, soon after, without colours.
        threads: of each process.
        gpus: how many the workers share.
        log_to: the folder of `flower.log`; None for no log.
        apps: import paths of ServerApp and ClientApp.
    """
    check_cluster()
    with ended_by(*ENDINGS), private_folder() as folder:
        write_app(folder / "app", run_config, apps)
        environment = engine_environment(folder, threads=threads, apps=apps)
        run = ["flwr", "run", str(folder / "app"), "--stream"]
        run += ["--federation-config", federation_config(owners, threads, gpus)]
        log = (log_to or folder) / "flower.log"
        with (
            watched(folder, environment),
            _superlink(folder, environment),
            log.open("w", encoding="utf-8") as kept,
        ):
            lines = _stream(run, environment, on_line, kept)
            answer = _stream(["flwr", "list", "--format=json"], environment)
        status, details = read_status("\n".join(answer))
        if status != "finished:completed":
            where = f"\nits log: {log}" if log_to else ""
            # Of an exception Flower gives the text but not the type; of all else it knows more.
            why = last_error(lines) if re.match("$|N/A|Simulation failed", details) else details
            raise EngineFailed(f"Flower's engine ended the run as '{status}': {why}{where}")


def federation_config(owners: int, threads: int, gpus: int = 0) -> str:
    """Plan as many workers as owners, but no more than the CPUs allow; they share the `gpus` evenly.

    Where a Ray cluster is named, as many as its own CPUs allow: what it has is not ours to say.
    """
    if os.environ.get(CLUSTER):
        part = " client-resources-num-gpus=1" if gpus else ""
        return f"num-supernodes={owners} client-resources-num-cpus={threads}{part}"
    workers = max(1, min(owners, joblib.cpu_count() // threads))
    config = (
        f"num-supernodes={owners} client-resources-num-cpus={threads} "
        f"init-args-num-cpus={threads * workers}"
    )
    if not gpus:
        return config
    # Ray gives a worker whole GPUs or a part of one; rounded down, or the last would not fit.
    per_gpu = -(-workers // gpus)
    part = gpus // workers if per_gpu == 1 else 1000 // per_gpu / 1000
    return f"{config} client-resources-num-gpus={part} init-args-num-gpus={gpus}"


def engine_environment(folder: Path, *, threads: int, apps: Sequence[str]) -> dict[str, str]:
    """Return the environment of a run's processes: this one's, and what Flower and Ray need."""
    inherited = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    scripts = [str(Path(sys.executable).parent), sysconfig.get_path("scripts")]
    unproxied = [os.environ.get("no_proxy", os.environ.get("NO_PROXY", "")), "127.0.0.1"]
    environment = {
        **inherited,
        **ENVIRONMENT,
        **RAY,
        **_rays_token(),
        **dict.fromkeys(THREADS, str(threads)),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(filter(None, unproxied))),
        **_compiled_code(folder),
        **dict.fromkeys((MARKER, "RAY_TMPDIR", "TMPDIR"), str(folder)),
        "FLWR_HOME": str(folder / "home"),
        "PATH": os.pathsep.join([*scripts, os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": _import_path(apps),
    }
    return by_socket(environment, folder / "link" / "api.sock", folder / "home" / "bin")


def _rays_token() -> dict[str, str]:
    """Keep other users of this machine out of a Ray of the run's own, which runs what it is sent."""
    if os.environ.get(CLUSTER):
        return {}  # it is somebody's already, with a token of its own or none
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def _compiled_code(folder: Path) -> dict[str, str]:
    """Return where to compile to, once a run and not in each process, if Python may not keep it."""
    flower = find_spec("flwr")
    compiled = flower and flower.origin and Path(cache_from_source(flower.origin)).exists()
    if compiled or not sys.dont_write_bytecode:
        return {}
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "compiled")}


def _import_path(modules: Sequence[str]) -> str:
    """Return the folders in which other processes find the same `modules` as this one."""
    folders = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    found = [find_spec(package) for package in {name.partition(".")[0] for name in modules}]
    places = [place for one in found if one for place in one.submodule_search_locations or ()]
    ahead = {str(Path(place).parent) for place in places} - set(sysconfig.get_paths().values())
    return os.pathsep.join(str(Path(folder).absolute()) for folder in [*sorted(ahead), *folders])


@contextmanager
def private_folder() -> Iterator[Path]:
    """Make a folder with a short path, since those of Ray's sockets may not exceed 107 bytes."""
    usual = tempfile.gettempdir()
    base = usual if len(usual) <= 16 else "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="mycroft-", dir=base)).resolve()
    try:
        (folder / "home").mkdir()
        (folder / "link").mkdir(mode=0o700)
        (folder / "empty").mkdir()
        yield folder
    finally:
        with answering(signal.SIG_IGN, signal.SIGINT, *ENDINGS):
            clear_up(folder)


@contextmanager
def _superlink(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """Start a SuperLink that simulates, at a socket of this user's own."""
    (folder / "home" / "config.toml").write_text(connection("engine"))
    command = [sys.executable, "-P", "-m", "strategies.link.serve", environment[SOCKET]]
    command += ["--insecure", "--simulation", "--isolation", "subprocess"]
    log = folder / "superlink.log"
    with log.open("w") as output, start(command, environment, output) as process:
        try:
            deadline = time.monotonic() + SUPERLINK_DEADLINE
            while not answers(Path(environment[SOCKET])):
                if process.poll() is not None or time.monotonic() > deadline:
                    why = last_error(log.read_text(errors="replace").splitlines())
                    raise EngineFailed(f"Flower's SuperLink did not start: {why}")
                time.sleep(0.05)
            yield
        finally:
            with answering(signal.SIG_IGN, signal.SIGINT, *ENDINGS):
                stop_processes(folder)
                process.kill()  # in any case, as leaving `with` waits for it


def _stream(
    command: list[str],
    environment: dict[str, str],
    on_line: Callable[[str], None] = lambda line: None,
    log: IO[str] | None = None,
) -> list[str]:
    """Give each line that a command prints to `on_line` and to the log as it comes; return all."""
    lines: list[str] = []
    with start(command, environment, subprocess.PIPE) as process:
        try:
            for raw in process.stdout:
                lines.append(COLOUR.sub("", raw).rstrip())
                if log is not None:
                    print(cleaned(lines[-1]), file=log, flush=True)
                on_line(lines[-1])
        except BaseException:
            process.kill()  # leaving `with` waits for it
            raise
    return lines
