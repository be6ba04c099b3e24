"""Images by class, from a folder, a zip or a table of paths; every flaw names its file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from mycroft_fl.claims import MOST_PICTURE, check_bytes, content_of
from mycroft_fl.data.formats.decoding import Decoder
from mycroft_fl.data.formats.files import UNREADABLE, LabelledRows, named_labels
from mycroft_fl.data.formats.folders import class_of, image_suffixes, listing
from mycroft_fl.errors import DataError, one_line
from mycroft_fl.files import folder_whole

logger = logging.getLogger(__name__)
HINT = "bring all images to one size, or give the data set a size"


def read_images(path: Path, size: int = 0, grey_range: Sequence[float] = ()) -> LabelledRows:
    """Read images by class, from a folder or a zip: an image's class is the folder that it lies in.

    Folders further up (such as train and test) are joined, and links followed. All must be of one
    size, unless `size` says to which square (in pixels) they are brought; they become grey (n 1 h w)
    if all are grey, else RGB (n 3 h w). Grey values of more than 8 bits are scaled from `grey_range`.
    Raises `DataError`.
    """
    stack, names = _Stack(size, grey_range), []
    try:
        with listing(path) as found:
            for name, read in found.images:
                names.append(class_of(path, name))
                stack.add(f"{path}: {name}", read)
            found.say_what_is_left_out(path)
    except UNREADABLE as error:
        raise DataError(f"{path} cannot be read ({one_line(error)}); make it anew") from error
    if not names:
        raise _no_images(path)
    labels, classes = named_labels(np.array(names))
    return LabelledRows(stack.whole(), labels, classes)


def read_listed_images(
    files: Sequence[Path], places: Sequence[str], size: int, grey_range: Sequence[float] = ()
) -> UInt8[np.ndarray, "n c h w"]:
    """Return the images of a table's rows, in its order; an error names the place and the file."""
    stack = _Stack(size, grey_range)
    for place, file in zip(places, files, strict=True):
        stack.add(f"{place}: {file.name}", partial(content_of, file, MOST_PICTURE))
    return stack.whole()


def write_images(path: Path, out: Path, size: int) -> None:
    """Write images by class as `x.npy` and `y.npy` in the folder `out`, one image in memory at a time.

    The folder appears whole or not at all. Colour throughout, size x size. Raises `DataError`.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with listing(path) as found, folder_whole(out) as draft:
        names = [class_of(path, name) for name, _ in found.images]
        found.say_what_is_left_out(path)
        if not names:
            raise _no_images(path)
        decoder = Decoder(size)
        shape = (len(names), 3, size, size)
        x = np.lib.format.open_memmap(draft / "x.npy", mode="w+", dtype=np.uint8, shape=shape)
        for row, (name, read) in enumerate(found.images):
            image = decoder.decoded(f"{path}: {name}", read)
            colour = image if image.ndim == 3 else image[:, :, None].repeat(3, axis=2)
            x[row] = colour.transpose(2, 0, 1)
            if row % 1000 == 0:
                logger.info("read %d of %d images", row, len(names))
        decoder.say_range()
        x.flush()
        np.save(draft / "y.npy", np.array(names))


def _no_images(path: Path) -> DataError:
    return DataError(
        f"{path} holds no images by class; put them at <class>/<image> "
        f"({', '.join(sorted(image_suffixes()))})"
    )


class _Stack:
    """Images of one size, as they come, and no more than fit into memory together."""

    def __init__(self, size: int, grey_range: Sequence[float] = ()) -> None:
        self._decoder = Decoder(size, grey_range)
        self._images: list[np.ndarray] = []
        self._bytes = 0

    def add(self, name: str, read: Callable[[], bytes]) -> None:
        image = self._decoder.decoded(name, read)
        self._bytes += image.nbytes
        try:
            # A black image of 80 million pixels is a file of 80 kB: many of them are a bomb.
            check_bytes(self._bytes, "all images up to this one together")
        except ValueError as error:
            raise DataError(f"{name}: {error}, or give the data set a size in pixels") from error
        if self._images and image.shape[:2] != self._images[0].shape[:2]:
            raise DataError(
                f"{name} is {_pixels(image)} pixels but those before it are "
                f"{_pixels(self._images[0])}; {HINT}"
            )
        self._images.append(image)

    def whole(self) -> UInt8[np.ndarray, "n c h w"]:
        self._decoder.say_range()
        images = self._images
        if all(image.ndim == 2 for image in images):
            return np.stack(images)[:, None]
        coloured = [i if i.ndim == 3 else i[:, :, None].repeat(3, axis=2) for i in images]
        return np.ascontiguousarray(np.stack(coloured).transpose(0, 3, 1, 2))


def _pixels(image: np.ndarray) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"
