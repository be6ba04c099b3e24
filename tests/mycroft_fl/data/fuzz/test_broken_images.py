"""Two thousand broken images of twenty-six kinds: one line, or the pixels that Pillow itself finds."""

from __future__ import annotations

import io
import random
import resource
import shutil
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from mycroft_fl.data.formats.images import read_images
from mycroft_fl.errors import DataError
from tests.mycroft_fl.data.fuzz.mutations import mutated, mutated_inside, with_checksums

GREY = ("L", "LA", "1")
MODES = {
    ".png": ["RGB", "P", "RGBA", "L", "1", "LA"], ".jpg": ["RGB", "L", "CMYK"], ".gif": ["P"],
    ".bmp": ["RGB"], ".tif": ["RGB", "CMYK", "I", "F"], ".webp": ["RGB", "RGBA"],
    ".ppm": ["RGB", "L"], ".tga": ["RGB"],
    ".qoi": ["RGB"], ".pcx": ["RGB"], ".avif": ["RGB"], ".jp2": ["RGB"],
}  # fmt: skip
NEEDS = {".webp": "webp", ".avif": "avif", ".jp2": "jpg_2000"}
KINDS = [
    (suffix, mode)
    for suffix, modes in MODES.items()
    if suffix not in NEEDS or features.check(NEEDS[suffix])
    for mode in modes
]
PACKED = [{}, {"compression": "tiff_lzw"}, {"compression": "jpeg"}]
LONGEST = 2.0  # seconds of one image


def _encoded(suffix: str, mode: str, rng: random.Random) -> bytes:
    pixels = np.random.default_rng(rng.randrange(1 << 30)).integers(
        0, 256, (9, 7, 3), dtype=np.uint8
    )
    image, out = Image.fromarray(pixels).convert(mode), io.BytesIO()
    how = rng.choice(PACKED) if (suffix, mode) == (".tif", "RGB") else {}
    how |= {"progressive": True} if suffix == ".jpg" and rng.random() < 0.5 else {}
    Image.init()
    image.save(out, Image.registered_extensions()[suffix], **how)
    return out.getvalue()


def _broken(suffix: str, mode: str, rng: random.Random) -> bytes:
    content = mutated(_encoded(suffix, mode, rng), rng, least=0)
    mended = suffix == ".png" and rng.random() < 0.5
    return with_checksums(content) if mended else content


def _by_pillow(content: bytes) -> np.ndarray | None:
    """Return an image's pixels, c h w; None where its mode takes a declared range."""
    with Image.open(io.BytesIO(content)) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith(("I", "F")):
            return None
        pixels = np.asarray(upright.convert("L" if upright.mode in GREY else "RGB"))
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _checked(folder: Path, name: str, content: bytes) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "a").mkdir(parents=True)
    (folder / "a" / name).write_bytes(content)
    since, said, rows = time.monotonic(), "", None
    try:
        rows = read_images(folder)
    except DataError as error:
        said = str(error)
    assert time.monotonic() - since < LONGEST
    assert [each.name for each in folder.rglob("*")] == ["a", name]
    if rows is None:
        assert f"a/{name}" in said
        assert said.isprintable()
        return False
    wanted = _by_pillow(content)
    if wanted is not None:
        np.testing.assert_array_equal(rows.x[0], wanted)
    return True


SEEDS = pytest.mark.parametrize(
    "seeds", [range(150), pytest.param(range(150, 2150), marks=pytest.mark.slow)], ids=["some", "all"]
)  # fmt: skip


@SEEDS
def test_a_broken_image_ends_in_one_line_or_in_what_pillow_finds(
    seeds: range, tmp_path: Path
) -> None:
    read, before = 0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own, of what a damaged file holds
        for seed in seeds:
            rng = random.Random(seed)
            suffix, mode = KINDS[seed % len(KINDS)]
            content = _broken(suffix, mode, rng)
            # A file is what its content says, whatever it is called.
            called = suffix if rng.random() < 0.8 else rng.choice(KINDS)[0]
            try:
                read += _checked(tmp_path / "set", f"1{called}", content)
            except BaseException as error:
                error.add_note(f"seed {seed}, {suffix} in {mode}")
                raise
    assert read > len(seeds) / 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # a GiB, in KiB


@SEEDS
def test_a_broken_zip_ends_in_one_line_or_in_its_own_images(seeds: range, tmp_path: Path) -> None:
    out = io.BytesIO()
    shades = [10, 120, 240]
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for shade in shades:
            image = io.BytesIO()
            Image.new("RGB", (4, 4), (shade,) * 3).save(image, "PNG")
            archive.writestr(f"set/c{shade}/1.png", image.getvalue())
    path = tmp_path / "set.zip"
    for seed in seeds:
        rng = random.Random(seed)
        inside = rng.random() < 0.5
        path.write_bytes(
            mutated_inside(out.getvalue(), "zip", rng) if inside else mutated(out.getvalue(), rng)
        )
        said, rows = "", None
        try:
            rows = read_images(path)
        except DataError as error:
            said = str(error)
        assert [each.name for each in tmp_path.iterdir()] == ["set.zip"]
        if rows is None:
            assert "set.zip" in said, f"seed {seed}"
        elif not inside:
            assert {int(each) for each in np.unique(rows.x)} <= set(shades), f"seed {seed}"
