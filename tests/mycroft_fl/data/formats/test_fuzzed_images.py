"""Mutated images: one line, or the pixels that Pillow itself finds, and never a traceback."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mycroft_fl.data.formats.images import read_images
from mycroft_fl.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
SUFFIXES = [
    ".png",
    ".jpg",
    ".gif",
    ".bmp",
    ".tif",
    ".webp",
    ".ppm",
    ".tga",
    ".qoi",
    ".pcx",
    ".avif",
    ".jp2",
]
HARMLESS = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def encoded(suffix: str) -> bytes:
    out = io.BytesIO()
    Image.init()
    Image.fromarray(PIXELS).save(out, Image.registered_extensions()[suffix])
    return out.getvalue()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def changed(content: bytes, data: st.DataObject) -> bytes:
    found = bytearray(content)
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, max(0, len(found) - 1)))
        if data.draw(st.booleans()):
            found[place : place + 1] = bytes([data.draw(st.integers(0, 255))])
        else:
            del found[place : place + data.draw(st.integers(1, 64))]
    return bytes(found)


@HARMLESS
@given(data=st.data(), suffix=st.sampled_from(SUFFIXES))
@pytest.mark.filterwarnings("ignore")  # Pillow's own, of what a damaged file holds
def test_a_changed_image_ends_in_one_line_or_in_the_pixels_that_pillow_finds(
    data: st.DataObject, suffix: str, folder: Path
) -> None:
    (folder / "a").mkdir(exist_ok=True)
    content = changed(encoded(suffix), data)
    for old in (folder / "a").iterdir():
        old.unlink()
    (folder / "a" / f"1{suffix}").write_bytes(content)
    try:
        rows = read_images(folder)
    except DataError as error:
        refusal = str(error)
        _check_line(refusal, f"a/1{suffix}")
        return
    with Image.open(io.BytesIO(content)) as image:
        if image.mode in ("RGB", "L") and not image.getexif():
            plain = np.asarray(image.convert(image.mode))
            shaped = plain[None] if plain.ndim == 2 else plain.transpose(2, 0, 1)
            np.testing.assert_array_equal(rows.x[0], shaped)


@HARMLESS
@given(data=st.data())
def test_a_changed_zip_ends_in_one_line_or_in_images(data: st.DataObject, folder: Path) -> None:
    with zipfile.ZipFile(folder / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a", "b"):
            archive.writestr(f"{name}/1.png", encoded(".png"))
    (folder / "set.zip").write_bytes(changed((folder / "set.zip").read_bytes(), data))
    try:
        rows = read_images(folder / "set.zip")
    except DataError as error:
        refusal = str(error)
        _check_line(refusal, "set.zip")
        return
    assert all((x == PIXELS.transpose(2, 0, 1)).all() for x in rows.x)


def _check_line(refusal: str, name: str) -> None:
    assert name in refusal
    assert "\n" not in refusal
