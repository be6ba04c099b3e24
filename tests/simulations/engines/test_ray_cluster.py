"""A simulation on a Ray cluster of two nodes, both on this machine: the result is the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from simulations.engines.cluster import CLUSTER
from simulations.engines.flower import federation_config
from simulations.engines.run import run
from simulations.federation.comparison import ranking
from simulations.federation.processes import free_port
from simulations.setup.simulation import Simulation
from strategies.runs.folder import RunFolder

DIGITS = (Path(__file__).parents[2] / "scenarios" / "digits.toml").read_text()
SCENARIO = (
    DIGITS
    + """
[[owners]]
name = "a"
holds = { rotated = 60, upright = 40 }
[[owners]]
name = "b"
holds = { rotated = 20, upright = 80 }
[[owners]]
name = "f"
copies = 2
holds = { upright = 100 }
[run]
budget = 40
pilot-per-owner = 5
num-rounds = 2
stop-early = false
fit.epochs = 5
fine-tune.steps = 20
scoring.repeats = 1
"""
)


def test_a_cluster_says_itself_what_it_has(monkeypatch) -> None:
    monkeypatch.delenv(CLUSTER, raising=False)
    assert "init-args-num-cpus=" in federation_config(9, 2)
    monkeypatch.setenv(CLUSTER, "127.0.0.1:6379")
    # Ray refuses to join a cluster and to be told how many CPUs that has.
    assert federation_config(9, 2) == "num-supernodes=9 client-resources-num-cpus=2"
    assert federation_config(9, 2, 1).endswith("client-resources-num-gpus=1")


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of a cluster of two nodes with one CPU each."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    address = f"127.0.0.1:{free_port()}"
    ray = str(Path(sys.executable).parent / "ray")
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    common = ["--num-cpus", "1", "--object-store-memory", str(100 << 20), "--disable-usage-stats"]
    head = ["--head", "--port", address.split(":")[1], "--include-dashboard", "false"]
    head += ["--temp-dir", str(folder), "--node-ip-address", "127.0.0.1"]
    before = {each.pid for each in psutil.process_iter()}
    try:
        for words in (head, ["--address", address]):
            subprocess.run(
                [ray, "start", *words, *common], env=environment, check=True, timeout=300,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        yield address
    finally:
        # By what they were started with: another test's Ray is none of ours.
        ours = [
            each
            for each in psutil.process_iter(["cmdline"])
            if each.pid not in before
            and any(mark in " ".join(each.info["cmdline"] or ()) for mark in (address, str(folder)))
        ]
        for each in ours:
            each.kill()
        psutil.wait_procs(ours, timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def asked(address: str, question: str) -> int:
    """A number that the cluster tells of itself."""
    code = (
        "import ray; from ray._private.state import actors;"
        f"ray.init(address='auto', log_to_driver=False); print('FOUND', {question})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {CLUSTER: address}, text=True,
        capture_output=True, timeout=300,
    )  # fmt: skip
    assert "FOUND " in done.stdout, done.stderr
    return int(done.stdout.split("FOUND ")[1].split()[0])


ALIVE = "sum(each['Alive'] for each in ray.nodes())"
# Ray remembers of an actor that has ended where it was.
USED = (
    "len({each['Address']['NodeID'] for each in actors().values()"
    " if each['ActorClassName'] == 'ClientAppActor'})"
)


@pytest.mark.slow
def test_two_nodes_give_the_result_of_none(cluster, tmp_path, monkeypatch) -> None:
    (tmp_path / "small.toml").write_text(SCENARIO)

    def result(name: str, engine: str) -> dict[str, Any]:
        folder = tmp_path / name
        RunFolder.prepared(folder, force=False)
        return run(Simulation.load(str(tmp_path / "small.toml"), {}, folder, engine=engine))

    expected = result("in-process", "in-process")
    assert asked(cluster, ALIVE) == 2
    assert asked(cluster, USED) == 0
    monkeypatch.setenv(CLUSTER, cluster)
    assert ranking(result("cluster", "flower")["owners"]) == ranking(expected["owners"])
    assert asked(cluster, USED) == 2
