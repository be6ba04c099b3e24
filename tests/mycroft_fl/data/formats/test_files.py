"""Npz files and images by class."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mycroft_fl.data.formats.files import read_npz
from mycroft_fl.data.formats.images import read_images
from mycroft_fl.errors import DataError

GREY = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)
LABELS = np.array([0, 1, 1, 0])


def npz(folder: Path, **arrays: np.ndarray) -> Path:
    path = folder / "set.npz"
    np.savez(path, **arrays)
    return path


def png(pixels: np.ndarray, mode: str | None = None, kind: str = "png") -> bytes:
    image = Image.fromarray(pixels)
    out = io.BytesIO()
    (image if mode is None else image.convert(mode)).save(out, kind)
    return out.getvalue()


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def test_images_become_channels_first_however_they_were_stored(tmp_path):
    colour = np.arange(4 * 5 * 6 * 3, dtype=np.uint8).reshape(4, 5, 6, 3)
    assert read_npz(npz(tmp_path, x=GREY, y=LABELS)).x.tolist() == GREY[:, None].tolist()
    last = read_npz(npz(tmp_path, x=colour, y=LABELS)).x
    first = read_npz(npz(tmp_path, x=colour.transpose(0, 3, 1, 2), y=LABELS)).x
    assert last.shape == (4, 3, 5, 6)
    np.testing.assert_array_equal(last, first)


def test_vectors_become_float32(tmp_path):
    rows = read_npz(npz(tmp_path, x=np.eye(4), y=LABELS))
    assert rows.x.dtype == np.float32
    assert rows.y.dtype == np.int64
    assert rows.classes == ("0", "1")


def test_names_become_labels_in_sorted_order(tmp_path):
    rows = read_npz(npz(tmp_path, x=GREY, y=np.array(["dog", "cat", "dog", "ant"])))
    assert rows.classes == ("ant", "cat", "dog")
    assert rows.y.tolist() == [2, 1, 2, 0]


def test_names_that_are_numbers_are_sorted_as_numbers(tmp_path):
    rows = read_npz(npz(tmp_path, x=GREY, y=np.array(["10", "9", "2", "2"])))
    assert rows.classes == ("2", "9", "10")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": GREY}, "no array y"),
        ({"y": LABELS}, "no array x"),
        ({"x": GREY, "y": LABELS[:3]}, "one label per example"),
        ({"x": GREY, "y": LABELS[:, None]}, "one label per example"),
        ({"x": GREY[:0], "y": LABELS[:0]}, "at least one example"),
        ({"x": GREY, "y": LABELS.astype(float)}, "y is float64"),
        ({"x": GREY, "y": LABELS - 1}, "y holds -1; give whole numbers from 0"),
        ({"x": GREY.astype(float), "y": LABELS}, "images as uint8"),
        ({"x": GREY.astype(int)[:, 0], "y": LABELS}, "vectors as floats"),
        ({"x": GREY[:, 0], "y": LABELS}, "n c h w"),
        ({"x": np.zeros((4, 2, 5, 5), np.uint8), "y": LABELS}, "c 1 or 3"),
        ({"x": np.full((4, 2), np.nan), "y": LABELS}, "NaN or infinite values in 4 rows"),
        ({"x": np.array([[0.0], [0.0], [1e300], [0.0]]), "y": LABELS}, "the first is row 2"),
        ({"x": GREY, "y": np.array([None] * 4)}, "without objects"),
    ],
)
def test_a_flawed_npz_is_one_line_that_names_the_file(tmp_path, arrays, words):
    with pytest.raises(DataError) as caught:
        read_npz(npz(tmp_path, **arrays))
    assert words in str(caught.value)
    assert "set.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut off"])
def test_what_is_no_npz_is_refused(tmp_path, content):
    (tmp_path / "set.npz").write_bytes(content)
    with pytest.raises(DataError, match="not a readable npz"):
        read_npz(tmp_path / "set.npz")


def test_a_cut_off_npz_and_a_bare_array_are_refused(tmp_path):
    whole = npz(tmp_path, x=GREY, y=LABELS).read_bytes()
    (tmp_path / "set.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="not a readable npz"):
        read_npz(tmp_path / "set.npz")
    np.save(tmp_path / "bare.npy", GREY)
    with pytest.raises(DataError, match="not a readable npz"):
        read_npz(tmp_path / "bare.npy")


def test_an_image_has_the_class_of_its_folder_and_train_joins_test(tmp_path):
    files = {
        f"{part}/{name}/{number}.png": png(GREY[number])
        for number, (part, name) in enumerate([("train", "b"), ("test", "b"), ("train", "a")])
    }
    rows = read_images(write(tmp_path, files))
    assert rows.classes == ("a", "b")
    assert rows.y.tolist() == [1, 0, 1]  # in the order of their paths: test, train/a, train/b
    np.testing.assert_array_equal(rows.x[:, 0], GREY[[1, 2, 0]])


def test_a_zip_holds_what_the_folder_holds(tmp_path):
    files = {f"{name}/1.png": png(image) for name, image in zip("abc", GREY, strict=False)}
    folder = read_images(write(tmp_path / "folder", files))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr("__MACOSX/a/._1.png", b"junk")
        archive.writestr("a/.hidden.png", b"junk")
        archive.writestr("a/notes.txt", b"not an image")
    packed = read_images(tmp_path / "set.zip")
    np.testing.assert_array_equal(folder.x, packed.x)
    assert folder.classes == packed.classes == ("a", "b", "c")


def test_one_colour_image_makes_all_of_them_colour(tmp_path):
    colour = np.stack([GREY[0], GREY[1], GREY[2]], axis=-1)
    rows = read_images(write(tmp_path, {"a/1.png": png(GREY[0]), "a/2.png": png(colour, "RGBA")}))
    assert rows.x.shape == (2, 3, 5, 6)
    np.testing.assert_array_equal(rows.x[0, 2], GREY[0])
    np.testing.assert_array_equal(rows.x[1], colour.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a/1.png": b""}, "a/1.png cannot be read (it is empty)"),
        ({"a/1.png": b"junk"}, "a/1.png cannot be read (not an image)"),
        ({"a/1.png": png(GREY[0])[:60]}, "a/1.png cannot be read"),
        (
            {"a/1.tif": png(GREY[0].astype(np.float32), kind="tiff")},
            "mode F may hold any numbers; set grey-range = [darkest, brightest]",
        ),
        ({"1.png": png(GREY[0])}, "1.png lies in no class's folder"),
        ({"a/1.txt": b"words"}, "holds no images by class"),
        (
            {"a/1.png": png(GREY[0]), "b/2.png": png(GREY[0].T)},
            "b/2.png is 5 x 6 pixels but those before it are 6 x 5",
        ),
    ],
)
def test_a_flawed_image_is_one_line_that_names_it(tmp_path, files, words):
    with pytest.raises(DataError) as caught:
        read_images(write(tmp_path, files))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broken_zip_is_refused(tmp_path):
    (tmp_path / "set.zip").write_bytes(b"junk")
    with pytest.raises(DataError, match=r"set\.zip cannot be read"):
        read_images(tmp_path / "set.zip")


def test_an_image_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(DataError, match=r"a/1\.png cannot be read"):
        read_images(write(tmp_path, {"a/1.png": png(GREY[0])}))


@pytest.mark.parametrize("labels", [[3, 7, 7, 3], [1, 2, 1, 2], [9, 10, 2, 2]])
def test_whole_numbers_are_classes_by_their_own_name(labels, tmp_path):
    rows = read_npz(npz(tmp_path, x=GREY, y=np.array(labels)))
    assert [int(rows.classes[label]) for label in rows.y] == labels
    assert list(rows.classes) == [str(label) for label in sorted(set(labels))]
