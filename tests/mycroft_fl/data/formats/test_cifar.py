"""CIFAR-10's pickled batches, read without trusting them."""

from __future__ import annotations

import io
import os
import pickle
import tarfile

import numpy as np
import pytest

from mycroft_fl.data.formats.cifar import BATCHES, read_batches, unpickled
from mycroft_fl.errors import DataError

# As Python 2 wrote it: {"data": array([[97..99], [100..102]]), "labels": [0, 1]}
PYTHON_2 = (
    b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01bt"
    b"R(K\x01K\x02K\x03\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xff"
    b"J\xff\xff\xff\xffK\x00tb\x89U\x06abcdeftbU\x06labels](K\x00K\x01eu."
)


class Attack:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def archive(tmp_path, **changed: bytes):
    path = tmp_path / "cifar-10-python.tar.gz"
    rows = np.arange(2 * 3072, dtype=np.uint32).astype(np.uint8).reshape(2, 3072)
    files = {name: pickle.dumps({"data": rows, "labels": [1, 0]}, protocol=3) for name in BATCHES}
    files["batches.meta"] = pickle.dumps({"label_names": ["cat", "dog"]})
    with tarfile.open(path, "w:gz") as tar:
        for name, content in (files | changed).items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_an_array_written_by_python_2_is_read():
    batch = unpickled(PYTHON_2)
    assert batch["data"].tolist() == [[97, 98, 99], [100, 101, 102]]
    assert batch["labels"] == [0, 1]


@pytest.mark.parametrize(
    "attack",
    [
        Attack(os.system, "true"),
        Attack(eval, "1"),
        Attack(getattr, "text", "upper"),
        Attack(np.load, "file"),
        Attack(__import__, "os"),
    ],
)
def test_whatever_is_no_array_is_refused(attack):
    with pytest.raises(pickle.UnpicklingError, match="which arrays do not need"):
        unpickled(pickle.dumps({"data": attack}))


def test_batches_are_joined(tmp_path):
    rows = read_batches(archive(tmp_path))
    assert rows.x.shape == (12, 3, 32, 32)
    assert rows.x[0, 0, 0, :3].tolist() == [0, 1, 2]
    assert rows.y.tolist() == [1, 0] * 6
    assert rows.classes == ("cat", "dog")


@pytest.mark.parametrize(
    "batch",
    [
        b"",
        b"junk",
        pickle.dumps({"data": np.zeros(5), "labels": [0]}, protocol=3),
        pickle.dumps({"labels": [0]}),
        pickle.dumps([1, 2]),
        pickle.dumps(Attack(os.getcwd)),
    ],
)
def test_a_flawed_batch_is_one_error_that_names_the_archive(tmp_path, batch):
    with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz is not CIFAR for Python"):
        read_batches(archive(tmp_path, data_batch_3=batch))


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "set.tar.gz").write_bytes(b"junk")
    with pytest.raises(DataError, match="download it anew"):
        read_batches(tmp_path / "set.tar.gz")
