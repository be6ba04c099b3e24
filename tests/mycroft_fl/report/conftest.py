"""Real runs for the reports to read: images, rows of a table, and noised answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from simulations.engines.run import run
from simulations.setup.simulation import Simulation
from strategies.runs.folder import RunFolder

QUICK = """
[run]
budget = 40
pilot-per-owner = 8
num-rounds = 2
fit.epochs = 8
fine-tune.steps = 30
scoring.repeats = 2
"""
DIGITS = (Path(__file__).parents[2] / "scenarios" / "digits.toml").read_text()
IMAGES = (
    DIGITS
    + """
[[owners]]
name = "a"
holds = { rotated = 120, upright = 80 }
[[owners]]
name = "b"
holds = { upright = 200 }
[[owners]]
name = "broken"
holds = { upright = 100 }
behaviour = "raise"
"""
    + QUICK
)
ROWS = (
    """
dataset = { path = "flows.csv", label = "kind" }
[groups.usual]
classes = ["usual"]
[groups.attack]
classes = ["attack"]
[trainer]
train = { usual = 60, attack = 4 }
validation = { usual = 40, attack = 40 }
test = { usual = 40, attack = 40 }
[[owners]]
name = "a"
holds = { attack = 30, usual = 20 }
"""
    + QUICK
)


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> dict[str, Path]:
    """The folders of real runs, made once: images, rows, score."""
    there = tmp_path_factory.mktemp("runs")
    (there / "images.toml").write_text(IMAGES)
    (there / "rows.toml").write_text(ROWS)
    (there / "flows.csv").write_text(flows())
    wanted: dict[str, tuple[str, dict[str, Any]]] = {
        "images": ("images.toml", {}),
        "rows": ("rows.toml", {"method": "random"}),
        "score": ("images.toml", {"mode": "score", "policy.epsilon": 4.0}),
    }
    threads = torch.get_num_threads()
    for name, (scenario, settings) in wanted.items():
        folder = RunFolder.prepared(there / name, force=False).path
        run(Simulation.load(str(there / scenario), settings, folder, engine="in-process"))
    torch.set_num_threads(threads)
    return {name: there / name for name in wanted}


def flows() -> str:
    """Rows with numbers and names, of which the last tells the kinds apart only in part."""
    lines = ["bytes,seconds,protocol,kind"]
    for number in range(400):
        attack = number % 2
        protocol = ("tcp", "udp", "icmp")[number % 3]
        lines.append(
            f"{1000 * attack + number},{number / 10 + 3 * attack},{protocol},"
            f"{'attack' if attack else 'usual'}"
        )
    return "\n".join(lines) + "\n"


@pytest.fixture
def copied(runs, tmp_path) -> Callable[..., Path]:
    """A copy of a run's folder whose result the given function may change."""

    def copied(name: str, change: Callable[[dict[str, Any]], object] = lambda result: None) -> Path:
        folder = tmp_path / name
        shutil.copytree(runs[name], folder, ignore=shutil.ignore_patterns("owners", "models"))
        result = json.loads((folder / "result.json").read_text())
        change(result)
        (folder / "result.json").write_text(json.dumps(result))
        return folder

    return copied
