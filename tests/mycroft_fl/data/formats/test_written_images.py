"""Images by class written as memory-mapped arrays."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mycroft_fl.data.formats.images import read_images, write_images
from mycroft_fl.errors import DataError


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def as_folder(at: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (at / name).parent.mkdir(parents=True, exist_ok=True)
        (at / name).write_bytes(content)
    return at


def as_zip(at: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(at, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return at


FILES = {"cat/1.png": png(1), "cat/2.png": png(2), "dog/1.png": png(3)}


@pytest.mark.parametrize("packed", [as_folder, as_zip])
def test_a_folder_and_a_zip_are_written_as_they_are_read(tmp_path, packed):
    source = packed(tmp_path / "images", FILES)
    write_images(source, tmp_path / "out", 8)
    rows = read_images(source)
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "x.npy"), rows.x)
    named = [rows.classes[label] for label in rows.y]
    assert np.load(tmp_path / "out" / "y.npy").tolist() == named == ["cat", "cat", "dog"]


def test_an_image_in_no_folder_is_named_and_nothing_is_written(tmp_path):
    source = as_zip(tmp_path / "images.zip", {"stray.png": png(1)})
    with pytest.raises(DataError, match=r"stray\.png lies in no class's folder"):
        write_images(source, tmp_path / "out", 8)
    assert not (tmp_path / "out").exists()


def test_a_photograph_stored_on_its_side_is_turned_as_its_camera_says(tmp_path):
    upright = np.zeros((8, 8), np.uint8)
    upright[:4] = 200
    for name, quarter, orientation in (("plain", 0, 1), ("sideways", 1, 6)):
        exif = Image.Exif()
        exif[274] = orientation
        path = tmp_path / "photos" / name / "1.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(np.rot90(upright, quarter).copy()).save(path, exif=exif)
    rows = read_images(tmp_path / "photos")
    np.testing.assert_array_equal(rows.x[:, 0], np.stack([upright, upright]))
