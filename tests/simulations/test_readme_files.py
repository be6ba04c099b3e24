"""The two files that the README shows for a person's own data run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from mycroft_fl.data.known import digits
from mycroft_fl.encoders import embeddings
from simulations import server_app
from simulations.engines.run import run
from simulations.setup.simulation import Simulation
from strategies.runs.folder import RunFolder

README = (Path(__file__).parents[2] / "README.md").read_text()
CLIP = "open_clip:ViT-B-32:laion2b_s34b_b79k"


@pytest.fixture(autouse=True)
def quietly_on_one_thread(tmp_path, monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(server_app, "show_progress", lambda *args, **rest: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    embeddings._shared.cache_clear()
    yield
    embeddings._shared.cache_clear()
    torch.set_num_threads(before)


def shown(which: str) -> str:
    """The README's block of TOML about that file or folder."""
    (found,) = [
        block for block in re.findall(r"```toml\n(.*?)```", README, re.DOTALL) if which in block
    ]
    return str(found)


def result_of(folder: Path, text: str) -> dict:
    (folder / "mine.toml").write_text(text)
    simulation = Simulation.load(str(folder / "mine.toml"), {}, folder / "out", engine="in-process")
    RunFolder.prepared(folder / "out", force=False)
    return run(simulation)


def test_a_table_and_a_forest_in_ten_lines(tmp_path):
    rng = np.random.default_rng(0)
    difficulty = np.array(["easy"] * 5000 + ["hard"] * 500)
    attack = rng.random(5500) < 0.4
    easy = difficulty == "easy"
    table = pd.DataFrame({
        "bytes": np.where(attack & easy, 5000, 800) + rng.normal(0, 200, 5500).round(1),
        "packets": np.where(attack & ~easy, 90, 10) + rng.integers(0, 8, 5500),
        "protocol": rng.choice(["tcp", "udp"], 5500),
        "host": rng.choice([f"h{i}" for i in range(40)], 5500),
        "difficulty": difficulty,
        "attack": np.where(attack, "yes", "no"),
    })  # fmt: skip
    table.to_csv(tmp_path / "flows.csv", index=False)
    text = shown("flows.csv")
    assert len(text.strip().splitlines()) <= 10
    result = result_of(tmp_path, text)
    assert result["baseline"]["groups"]["hard"] < 0.8
    assert result["final"]["groups"]["hard"] > result["control"]["groups"]["hard"]
    assert result["owners"][0]["owner"] == "a"


def test_a_folder_of_photographs_and_an_encoder(tmp_path):
    """The same file but for the encoder, whose weights no test can download, and a smaller size."""
    rows = digits()
    for name, labels in (("cat", (0, 1, 2)), ("dog", (3, 4, 6)), ("wolf", (7,))):
        for place in np.flatnonzero(np.isin(rows.y, labels)):
            path = tmp_path / "photos" / name / f"{place}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rows.x[place, 0]).resize((20, 16)).save(path, quality=95)
    text = shown("photos")
    assert text.count(CLIP) == 2
    small = text.replace(CLIP, "timm:mobilenetv3_small_050:none@32").replace(
        "size = 224", "size = 32"
    )
    result = result_of(tmp_path, small)
    assert 0 < result["disclosed"] <= 60
    assert set(result["final"]["groups"]) == {"common", "scarce"}
    assert result["final"]["groups"]["scarce"] >= result["baseline"]["groups"]["scarce"]
