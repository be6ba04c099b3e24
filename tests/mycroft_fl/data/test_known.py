"""The data sets that are found or downloaded."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zipfile
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torchvision
from PIL import Image
from torchvision.datasets import FashionMNIST

from mycroft_fl.data.known import cifar10, fashion_mnist, mnist5k
from mycroft_fl.errors import DataError

IMAGES = np.arange(5 * 3 * 4, dtype=np.uint8).reshape(5, 3, 4)


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MYCROFT_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def fashion_files() -> dict[str, bytes]:
    labels = np.array([6, 4, 0, 1, 2], np.uint8)
    return {
        "train-images-idx3-ubyte": idx(IMAGES[:3]),
        "train-labels-idx1-ubyte": idx(labels[:3]),
        "t10k-images-idx3-ubyte": idx(IMAGES[3:]),
        "t10k-labels-idx1-ubyte": idx(labels[3:]),
    }


def write_fashion(folder: Path, **changed: bytes) -> None:
    folder.mkdir(parents=True)
    for name, content in fashion_files().items():
        (folder / f"{name}.gz").write_bytes(changed.get(name[:5], gzip.compress(content)))


def test_fashion_joins_train_and_test(data_folder):
    write_fashion(data_folder / "fashion-mnist")
    rows = fashion_mnist()
    np.testing.assert_array_equal(rows.x[:, 0], IMAGES)
    assert [rows.classes[label] for label in rows.y[:3]] == ["shirt", "coat", "t-shirt/top"]


def test_fashion_is_read_again_only_if_its_files_change(data_folder, monkeypatch):
    write_fashion(data_folder / "fashion-mnist")
    first = fashion_mnist()
    monkeypatch.setattr("mycroft_fl.data.known._fashion", lambda fill: pytest.fail("parsed again"))
    np.testing.assert_array_equal(fashion_mnist().x, first.x)
    os.utime(data_folder / "fashion-mnist" / "t10k-images-idx3-ubyte.gz", (1, 1))
    with pytest.raises(pytest.fail.Exception):
        fashion_mnist()


def test_a_missing_fashion_file_is_named(data_folder):
    write_fashion(data_folder / "fashion-mnist")
    (data_folder / "fashion-mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz cannot be read"):
        fashion_mnist()


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(idx(IMAGES))[:-20]],
    # Named: gzip writes the time into its header, and parallel workers must agree on names.
    ids=["empty", "no-gzip", "truncated"],
)
def test_a_broken_fashion_file_is_an_error(data_folder, content):
    write_fashion(data_folder / "fashion-mnist", train=content)
    with pytest.raises(DataError, match="cannot be read"):
        fashion_mnist()


def test_fashion_files_that_do_not_belong_together_are_an_error(data_folder):
    write_fashion(data_folder / "fashion-mnist", t10k_=b"")
    labels = data_folder / "fashion-mnist" / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(idx(np.zeros(9, np.uint8))))
    with pytest.raises(DataError, match=r"5, 3, 4.* and 12 labels"):
        fashion_mnist()


def test_cifar_is_read_from_a_zip_or_from_folders(data_folder):
    out = io.BytesIO()
    Image.fromarray(IMAGES[0]).convert("RGB").save(out, "png")
    folder = data_folder / "cifar10"
    (folder / "train" / "frog").mkdir(parents=True)
    (folder / "train" / "frog" / "1.png").write_bytes(out.getvalue())
    from_folder = cifar10()
    with zipfile.ZipFile(folder / "sample.zip", "w") as archive:
        archive.writestr("test/frog/1.png", out.getvalue())
    from_zip = cifar10()
    assert from_folder.classes == from_zip.classes == ("frog",)
    np.testing.assert_array_equal(from_folder.x, from_zip.x)
    (folder / "other.zip").write_bytes(b"")
    with pytest.raises(DataError, match="holds 2 zip files"):
        cifar10()


def test_a_cifar_folder_without_images_says_what_belongs_there(data_folder):
    (data_folder / "cifar10").mkdir(parents=True)
    with pytest.raises(
        DataError, match=r"does not hold cifar10; put there cifar-10-python\.tar\.gz"
    ):
        cifar10()


def unreachable(*args, **kwargs):
    raise URLError("no route")


def no_mirror(*args, **kwargs):
    raise RuntimeError("Error downloading:\nTried a mirror, got:\n<urlopen error no route>\n")


@pytest.mark.parametrize("load", [fashion_mnist, cifar10])
@pytest.mark.parametrize("failure", [unreachable, no_mirror])
def test_a_failed_download_says_where_to_put_the_files(
    data_folder, monkeypatch, load, failure, capsys
):
    monkeypatch.setattr(FashionMNIST, "download", failure)
    monkeypatch.setattr(torchvision.datasets.utils, "download_url", failure)
    with pytest.raises(DataError, match=r"no route.*set MYCROFT_DATA to a folder") as caught:
        load()
    assert "\n" not in str(caught.value)
    out, err = capsys.readouterr()
    assert out == ""
    assert "downloading" in err


def test_a_download_happens_once(data_folder, monkeypatch):
    downloads = []

    def download(self):
        downloads.append(1)
        Path(self.raw_folder).mkdir(parents=True, exist_ok=True)
        for name, content in fashion_files().items():
            (Path(self.raw_folder) / name).write_bytes(content)

    monkeypatch.setattr(FashionMNIST, "download", download)
    first, second = fashion_mnist(), fashion_mnist()
    np.testing.assert_array_equal(first.x[:, 0], IMAGES)
    np.testing.assert_array_equal(first.x, second.x)
    assert len(downloads) == 1


@pytest.mark.slow
def test_mnist5k_has_500_images_of_each_digit(data_folder):
    rows = mnist5k()
    assert rows.x.shape == (5000, 1, 28, 28)
    assert rows.x.max() == 255
    assert np.bincount(rows.y).tolist() == [500] * 10


@pytest.mark.data
@pytest.mark.slow
def test_the_real_sets_are_whole(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fashion, cifar = fashion_mnist(), cifar10()
    assert fashion.x.shape == (70000, 1, 28, 28)
    assert np.bincount(fashion.y).tolist() == [7000] * 10
    assert cifar.x.shape[1:] == (3, 32, 32)
    assert len(cifar.classes) == 10
