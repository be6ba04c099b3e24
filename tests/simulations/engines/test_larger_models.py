"""Whole small runs with torchvision's larger networks, with Food-101, and with owners' own photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mycroft_fl.data.formats.transforms import fit_to
from mycroft_fl.data.known import digits
from mycroft_fl.errors import DataError
from mycroft_fl.report.run.schema import check_result
from simulations import server_app
from simulations.engines.run import run
from simulations.setup.simulation import Simulation
from strategies.runs.folder import RunFolder

SETTINGS = (
    '{ method = "omp", budget = 12, pilot-per-owner = 4, num-rounds = 2, scoring.repeats = 1, '
    "fit.epochs = 1, fine-tune.steps = 2, hard-set.sent = 6 }"
)
OWNERS = (
    '[{ name = "a", holds = { usual = 12, turned = 8 } }, { name = "b", holds = { usual = 12 } }]'
)
DIGITS = f"""
dataset = "digits"
model = "MODEL"
groups.usual.classes = [0, 1, 2]
groups.turned = {{ classes = [0, 1, 2], transform = "rotate-90" }}
trainer.train = {{ usual = 40 }}
trainer.validation = {{ usual = 20, turned = 20 }}
trainer.test = {{ usual = 10, turned = 10 }}
owners = {OWNERS}
run = {SETTINGS}
"""


@pytest.fixture(autouse=True)
def quietly_on_one_thread(tmp_path, monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(server_app, "show_progress", lambda *args, **rest: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield
    torch.set_num_threads(before)


def result_of(folder: Path, text: str) -> dict[str, Any]:
    (folder / "mine.toml").write_text(text)
    simulation = Simulation.load(str(folder / "mine.toml"), {}, folder / "out", engine="in-process")
    RunFolder.prepared(folder / "out", force=False)
    result = run(simulation)
    check_result(result)
    return result


def photographs(folder: Path, classes: tuple[str, ...], each: int, start: int = 0) -> None:
    """Digits as JPEGs of two sizes, by class."""
    rows = digits()
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for place in np.flatnonzero(rows.y == label)[start : start + each]:
            side = 20 + 4 * int(place % 2)
            image = fit_to(rows.x[place : place + 1], 3, side, side)[0].transpose(1, 2, 0)
            Image.fromarray(image).save(folder / name / f"{place}.jpg", quality=95)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["resnet18", "resnet50", "vit"])
def test_larger_networks_go_through_a_whole_run(model, tmp_path):
    result = result_of(tmp_path, DIGITS.replace("MODEL", model))
    assert result["disclosed"] > 0
    assert (tmp_path / "out" / "models" / "final.safetensors").is_file()


def test_food_101_is_read_from_its_folder_once_and_stays_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("MYCROFT_DATA", str(tmp_path))
    images = tmp_path / "food-101" / "images"
    photographs(images, ("pizza", "ramen", "tacos"), 70)
    text = DIGITS.replace('"digits"', '{ path = "food-101", size = 16 }').replace("MODEL", "mlp")
    first = result_of(tmp_path, text)
    assert first["disclosed"] > 0
    (parsed,) = (tmp_path / "cache" / "mycroft-fl").glob("food-101-16-*")
    assert np.load(parsed / "x.npy", mmap_mode="r").shape == (210, 3, 16, 16)


def test_an_owner_with_a_broken_photograph_stays_out_and_the_run_goes_on(tmp_path):
    classes = ("cat", "dog", "fox")
    photographs(tmp_path / "photos", classes, 70)
    for owner in ("whole", "broken", "empty"):
        photographs(tmp_path / owner, classes, 10, start=80)
    victim = next((tmp_path / "broken" / "dog").glob("*.jpg"))
    victim.write_bytes(victim.read_bytes()[:80])
    hollow = next((tmp_path / "empty" / "fox").glob("*.jpg"))
    hollow.write_bytes(b"")
    own = "".join(
        f', {{ name = "{name}", dataset = {{ path = "{name}", size = 16 }} }}'
        for name in ("whole", "broken", "empty")
    )
    text = (
        DIGITS.replace('"digits"', '{ path = "photos", size = 16 }')
        .replace("MODEL", "mlp")
        .replace("}]", f"}}{own}]")
        .replace("budget = 12", "budget = 40")
    )
    result = result_of(tmp_path, text)
    assert result["rounds"][0]["failed"] == {"broken": "error", "empty": "error"}
    for name, file, words in (
        ("broken", victim, "cannot be read"),
        ("empty", hollow, "cannot be read (it is empty)"),
    ):
        log = (tmp_path / "out" / "owners" / name / "owner.log").read_text()
        assert f"{file.parent.name}/{file.name} {words}" in log
    assert result["owners"][0]["disclosed"] > 0


def test_a_trainer_whose_photographs_are_broken_is_told_before_the_run(tmp_path):
    photographs(tmp_path / "photos", ("cat", "dog", "fox"), 70)
    broken = next((tmp_path / "photos" / "cat").glob("*.jpg"))
    broken.write_bytes(b"not an image")
    text = DIGITS.replace('"digits"', '{ path = "photos", size = 16 }').replace("MODEL", "mlp")
    with pytest.raises(DataError, match=rf"cat/{broken.name} cannot be read \(not an image\)"):
        result_of(tmp_path, text)
