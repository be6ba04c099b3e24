"""From a name or a path to a data set."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from mycroft_fl.data.known import KNOWN
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.tables.known import KNOWN_TABLES
from mycroft_fl.errors import DataError

X = np.random.default_rng(0).integers(0, 256, size=(6, 3, 4), dtype=np.uint8)
Y = np.array([0, 1, 0, 1, 0, 1])


def test_duplicates_are_dropped_the_first_kept_and_counted(tmp_path):
    x = X.copy()
    x[3] = x[1]
    x[5] = x[0]  # another label: still the same example
    np.savez(tmp_path / "set.npz", x=x, y=Y)
    dataset = load_dataset("set.npz", tmp_path)
    assert dataset.duplicates == 2
    np.testing.assert_array_equal(dataset.examples.x[:, 0], X[[0, 1, 2, 4]])
    assert dataset.examples.y.tolist() == [0, 1, 0, 0]


def test_a_data_set_is_loaded_once_and_cannot_be_changed(tmp_path):
    np.savez(tmp_path / "set.npz", x=X, y=Y)
    dataset = load_dataset("set.npz", tmp_path)
    assert load_dataset("set.npz", tmp_path) is dataset
    with pytest.raises(ValueError, match="read-only"):
        dataset.examples.x[0] = 0


def test_folder_zip_and_npz_are_told_apart(tmp_path):
    out = io.BytesIO()
    Image.fromarray(X[0]).save(out, "png")
    (tmp_path / "folder" / "a").mkdir(parents=True)
    (tmp_path / "folder" / "a" / "1.png").write_bytes(out.getvalue())
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("a/1.png", out.getvalue())
    for name in ("folder", "set.zip", str(tmp_path / "folder")):
        dataset = load_dataset(name, tmp_path)
        assert dataset.classes == ("a",)
        np.testing.assert_array_equal(dataset.examples.x[0, 0], X[0])


def test_a_missing_data_set_is_told_with_the_nearest_known_name(tmp_path):
    with pytest.raises(DataError, match=r"no data set 'mnist5', .*did you mean 'mnist5k'\?"):
        load_dataset("mnist5", tmp_path)
    with pytest.raises(DataError, match="an npz file, a folder or zip"):
        load_dataset("no/such/set", tmp_path)


def test_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "set.pkl").write_bytes(b"")
    with pytest.raises(DataError, match=r"set\.pkl is not a data set"):
        load_dataset("set.pkl", tmp_path)


def test_digits_fill_the_range_of_a_pixel(tmp_path):
    dataset = load_dataset("digits", tmp_path)
    assert dataset.examples.x.shape == (1797 - dataset.duplicates, 1, 8, 8)
    assert (dataset.examples.x.min(), dataset.examples.x.max()) == (0, 255)
    assert dataset.classes == tuple("0123456789")


def test_the_known_names_are_those_of_the_documentation():
    assert sorted(KNOWN | KNOWN_TABLES) == [
        "breast-cancer", "cifar10", "cifar100", "digits", "fashion-mnist",
        "food-101", "iris", "mnist5k", "nsl-kdd", "wine",
    ]  # fmt: skip
