"""Images by class as they lie on real disks: every suffix, links, zips of other systems, deep grey."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from mycroft_fl.data.formats.folders import image_suffixes
from mycroft_fl.data.formats.images import read_images
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.errors import DataError

SHADES = {"cat": 40, "dog": 120, "fox": 200}


def picture(shade: int, suffix: str = ".png", mode: str = "RGB") -> bytes:
    """A picture of one shade, 8 x 8."""
    out = io.BytesIO()
    image = Image.new("L", (8, 8), shade).convert(mode)
    lossless = {"lossless": True} if suffix == ".webp" else {"quality": 100}
    image.save(out, Image.registered_extensions()[suffix], **lossless)
    return out.getvalue()


def folder(at: Path, suffix: str = ".png", **others: bytes) -> Path:
    for name, shade in SHADES.items():
        (at / name).mkdir(parents=True)
        (at / name / f"1{suffix}").write_bytes(picture(shade, suffix))
    for name, content in others.items():
        (at / name).write_bytes(content)
    return at


def shades(path: Path) -> dict[str, int]:
    """The mean shade of each class."""
    rows = read_images(path)
    return {name: round(rows.x[rows.y == label].mean()) for label, name in enumerate(rows.classes)}


READABLE = [
    ".png", ".jpg", ".JPG", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".ppm", ".tga",
    ".pcx", ".qoi",
    *([".webp"] if features.check("webp") else []), *([".avif"] if features.check("avif") else []),
    *([".jp2"] if features.check("jpg_2000") else []),
]  # fmt: skip


@pytest.mark.parametrize("suffix", READABLE)
def test_every_suffix_that_pillow_reads_is_read(suffix: str, tmp_path: Path) -> None:
    Image.init()
    (tmp_path / "fox").mkdir()
    (tmp_path / "fox" / f"1{suffix}").write_bytes(picture(200, suffix.lower()))
    assert shades(tmp_path)["fox"] == pytest.approx(200, abs=4)
    assert suffix.lower() in image_suffixes()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_mode_of_8_bits_shows_what_it_shows_elsewhere(mode: str, tmp_path: Path) -> None:
    (tmp_path / "fox").mkdir()
    suffix = ".tif" if mode == "CMYK" else ".png"
    (tmp_path / "fox" / f"1{suffix}").write_bytes(picture(255, suffix, mode))
    rows = read_images(tmp_path)
    assert rows.x.shape == (1, 1 if mode in ("1", "L", "LA") else 3, 8, 8)
    assert set(rows.x.ravel().tolist()) == {255}


def test_a_linked_class_and_a_linked_image_are_read(tmp_path: Path) -> None:
    data = folder(tmp_path / "data")
    (data / "fox").rename(tmp_path / "elsewhere")
    (data / "fox").symlink_to("../elsewhere")
    (data / "cat" / "2.png").symlink_to(tmp_path / "elsewhere" / "1.png")
    assert shades(data) == {"cat": 120, "dog": 120, "fox": 200}
    first = load_dataset("data", tmp_path)
    (tmp_path / "elsewhere" / "2.png").write_bytes(picture(201))
    assert len(load_dataset("data", tmp_path)) == len(first) + 1  # its change is noticed


def test_a_link_that_leads_nowhere_or_back_up_is_named(tmp_path: Path) -> None:
    data = folder(tmp_path / "data")
    (data / "cat" / "x.png").symlink_to("gone.png")
    with pytest.raises(DataError, match=r"cat/x\.png is a broken link; mend it or take it out"):
        load_dataset("data", tmp_path)
    (data / "cat" / "x.png").unlink()
    (data / "cat" / "up").symlink_to(data)
    with pytest.raises(DataError, match="cat/up links to a folder that holds it"):
        load_dataset("data", tmp_path)


def test_a_link_that_a_copy_made_a_text_is_named(tmp_path: Path) -> None:
    data = folder(tmp_path / "data")
    (data / "fox").rename(tmp_path / "elsewhere")
    (data / "fox").write_text("../elsewhere")
    with pytest.raises(DataError, match=r"data: fox is a link that a copy made a file of text"):
        read_images(data)
    (data / "fox").write_text("a note/no path")
    assert set(shades(data)) == {"cat", "dog"}
    (data / "cat" / "x.png").write_text("../nowhere/x.png")
    with pytest.raises(DataError, match=r"cat/x\.png cannot be read \(not an image, but a link"):
        read_images(data)


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    names = {f"{name}/1.png": picture(shade) for name, shade in SHADES.items()}
    path = zipped(tmp_path / "set.zip", names)
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("owl")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "fox")
    with pytest.raises(DataError, match=r"set\.zip: owl is a link, .*zip the files themselves"):
        read_images(path)


def test_what_is_left_out_is_counted_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = folder(tmp_path / "data")
    (data / "owl").mkdir()
    for place in range(10):
        (data / "owl" / f"{place}.heic").write_bytes(b"junk")
    (data / "notes").write_bytes(b"words")
    (data / "cat" / ".DS_Store").write_bytes(b"junk")
    (data / "cat" / "Thumbs.db").write_bytes(b"junk")
    (data / "empty").mkdir()
    assert shades(data) == SHADES
    assert "data: 11 of 14 files are left out" in caplog.text
    assert "10 .heic, 1 no suffix, such as notes" in caplog.text
    assert "no image is read from 2 folders, such as empty" in caplog.text


def zipped(path: Path, names: dict[str, bytes], flag: int | None = None) -> Path:
    """A zip with exactly these names, as bytes of their own code."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in names.items():
            info = zipfile.ZipInfo("placeholder")
            info.filename = name
            archive.writestr(info, content)
    return path


def test_a_zip_of_windows_or_macos_holds_the_classes_that_its_maker_saw(tmp_path: Path) -> None:
    windows = {f"set\\{name}\\1.png": picture(shade) for name, shade in SHADES.items()}
    macos = {f"set/{name}/1.png": picture(shade) for name, shade in SHADES.items()}
    macos |= {f"__MACOSX/set/{name}/._1.png": b"junk" for name in SHADES}
    for place, names in enumerate((windows, macos)):
        assert shades(zipped(tmp_path / f"{place}.zip", {"set/": b"", **names})) == SHADES


@pytest.mark.parametrize("written", ["Bär", "Ba\u0308r"])
def test_an_accent_is_one_class_however_a_system_writes_it(written: str, tmp_path: Path) -> None:
    (tmp_path / "data" / written).mkdir(parents=True)
    (tmp_path / "data" / written / "1.png").write_bytes(picture(9))
    assert read_images(tmp_path / "data").classes == ("Bär",)
    # macOS: the bytes are UTF-8, and the flag that says so is not set.
    name = f"{written}/1.png"
    content = bytearray(zipped(tmp_path / "set.zip", {name: picture(9)}).read_bytes())
    for mark, at in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
        content[content.index(mark) + at] &= ~0x08
    (tmp_path / "set.zip").write_bytes(content)
    assert zipfile.ZipFile(tmp_path / "set.zip").namelist() == [name.encode().decode("cp437")]
    assert read_images(tmp_path / "set.zip").classes == ("Bär",)


DEEP = np.array([[0, 4095], [2048, 65535]], dtype=np.uint16)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_of_16_bits_is_scaled_by_its_format_or_as_declared(
    suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a").mkdir()
    Image.fromarray(DEEP).save(tmp_path / "a" / f"1{suffix}")
    assert read_images(tmp_path).x.ravel().tolist() == [0, 16, 8, 255]
    assert (
        "1 grey images of 16 bits are scaled from 0 to 65535, and the brightest value is 65535"
        in caplog.text
    )
    declared = read_images(tmp_path, grey_range=(0, 4095)).x.ravel().tolist()
    assert declared == [0, 255, 128, 255]


def test_grey_of_floats_needs_a_declared_range(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.fromarray(np.array([[-1.0, 0.0], [1.0, 3.0]], np.float32)).save(tmp_path / "a" / "1.tif")
    with pytest.raises(DataError, match=r"a/1\.tif cannot be read \(mode F may hold any numbers"):
        read_images(tmp_path)
    assert read_images(tmp_path, grey_range=(-1, 1)).x.ravel().tolist() == [0, 128, 255, 255]
    Image.fromarray(np.array([[np.nan]], np.float32)).save(tmp_path / "a" / "1.tif")
    with pytest.raises(DataError, match="no finite numbers"):
        read_images(tmp_path, grey_range=(-1, 1))
