"""A look at images and arrays finds what is broken, of other sizes, twice there, or alone in its class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mycroft_fl.errors import DataError
from mycroft_fl.inspection.look import look_at
from mycroft_fl.inspection.skeleton import scenario_text
from simulations.setup.simulation import Simulation


def saved(folder: Path, label: str, count: int, size: int = 12, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    (folder / label).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / label / f"{seed}-{number}.png")


def test_all_that_is_amiss_with_images_is_said_at_once(tmp_path: Path) -> None:
    saved(tmp_path, "cat", 6)
    saved(tmp_path, "dog", 5, size=20, seed=1)
    saved(tmp_path, "fox", 2, seed=2)
    (tmp_path / "cat" / "broken.png").write_bytes(b"no image")
    (tmp_path / "cat" / "cut.png").write_bytes((tmp_path / "cat" / "0-0.png").read_bytes()[:60])
    (tmp_path / "fox" / "same.png").write_bytes((tmp_path / "cat" / "0-1.png").read_bytes())
    (tmp_path / "lost.png").write_bytes((tmp_path / "cat" / "0-2.png").read_bytes())
    (tmp_path / "dog" / "notes.doc").write_text("x")
    look = look_at(tmp_path).all[0]
    found = [each.text for each in look.findings]
    for part in (
        "images that cannot be read: 2, such as",
        "images in no class's folder: 1, such as lost.png",
        "images are of 2 sizes (12 x 12 in 9 of them)",
        "1 images stand in two classes",
        "1 of 18 files are left out",
        "1 classes have fewer than 3 examples, such as 'fox' with 2",
    ):
        assert [text for text in found if part in text], (part, found)
    assert len(found) == 6
    assert look.needs_a_mended_file
    assert look.spec.size == 12


def test_sound_images_have_no_trouble_and_a_scenario_that_runs(tmp_path: Path) -> None:
    saved(tmp_path / "images", "cat", 120)
    saved(tmp_path / "images", "dog", 90, seed=1)
    look = look_at(tmp_path / "images").all[0]
    assert look.findings == ()
    assert dict(look.classes) == {"cat": 120, "dog": 90}
    out = tmp_path / "first.toml"
    out.write_text(scenario_text(look, out))
    Simulation.load(str(out), {}, tmp_path / "run", engine="in-process").check()


def test_an_npz_file_is_looked_at_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5)).astype(np.float32)
    x[1], x[3] = x[0], x[2]
    y = np.array(["no", "no", "no", "yes", *rng.choice(["no", "yes"], 196)])
    np.savez(tmp_path / "a.npz", x=x, y=y)
    look = look_at(tmp_path / "a.npz").all[0]
    assert [each.text for each in look.findings] == [
        "1 examples equal one before them but have another class; the first of each counts: mend the others",
        "1 examples stand there twice; the first of each counts",
    ]
    assert sum(look.distinct.values()) == 198
    out = tmp_path / "first.toml"
    out.write_text(scenario_text(look, out))
    Simulation.load(str(out), {}, tmp_path / "run", engine="in-process").check()


@pytest.mark.parametrize(
    ("name", "message"),
    [("none", "there is nothing at"), ("empty", "holds no images by class"), ("a.pdf", "is not a data set")],
)  # fmt: skip
def test_what_is_nothing_to_look_at_is_one_line(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.pdf").write_text("x")
    with pytest.raises(DataError, match=message):
        look_at(tmp_path / name)
