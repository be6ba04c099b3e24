"""Images by class, from a folder, a zip or a table of paths; every flaw names its file."""

from __future__ import annotations

import io
import logging
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL.Image import Image

from mycroft_fl.claims import MOST_PICTURE, check_bytes, content_of, in_words
from mycroft_fl.data.formats.files import UNREADABLE, LabelledRows, named_labels
from mycroft_fl.errors import DataError, one_line
from mycroft_fl.files import folder_whole

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"})
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
GREY_MODES = frozenset({"1", "L", "LA"})
COLOUR_MODES = frozenset({"P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})
logger = logging.getLogger(__name__)
HINT = "bring all images to one size, or give the data set a size"


def read_images(path: Path, size: int = 0) -> LabelledRows:
    """Read images by class, from a folder or a zip: an image's class is the folder that it lies in.

    Folders further up (such as train and test) are joined. All must be of one size, unless
    `size` says to which square (in pixels) they are brought; they become grey (n 1 h w) if all
    are grey, else RGB (n 3 h w). Raises `DataError`.
    """
    stack, names = _Stack(size), []
    try:
        for name, read in _image_files(path):
            names.append(_class_of(path, name))
            stack.add(f"{path}: {name}", read)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read ({one_line(error)}); make it anew") from error
    if not names:
        raise DataError(
            f"{path} holds no images by class; put them at <class>/<image> "
            f"({', '.join(sorted(IMAGE_SUFFIXES))})"
        )
    labels, classes = named_labels(np.array(names))
    return LabelledRows(stack.whole(), labels, classes)


def read_listed_images(
    files: Sequence[Path], places: Sequence[str], size: int
) -> UInt8[np.ndarray, "n c h w"]:
    """Return the images of a table's rows, in its order; an error names the place and the file."""
    stack = _Stack(size)
    for place, file in zip(places, files, strict=True):
        stack.add(f"{place}: {file.name}", partial(content_of, file, MOST_PICTURE))
    return stack.whole()


def write_images(path: Path, out: Path, size: int) -> None:
    """Write images by class as `x.npy` and `y.npy` in the folder `out`, one image in memory at a time.

    The folder appears whole or not at all. Colour throughout, size x size. Raises `DataError`.
    """
    names = [_class_of(path, name) for name, _ in _image_files(path)]
    out.parent.mkdir(parents=True, exist_ok=True)
    with folder_whole(out) as draft:
        shape = (len(names), 3, size, size)
        x = np.lib.format.open_memmap(draft / "x.npy", mode="w+", dtype=np.uint8, shape=shape)
        # Gone through anew: a zip is open only while it is.
        for row, (name, read) in enumerate(_image_files(path)):
            image = _decoded(f"{path}: {name}", read, size)
            colour = image if image.ndim == 3 else image[:, :, None].repeat(3, axis=2)
            x[row] = colour.transpose(2, 0, 1)
            if row % 1000 == 0:
                logger.info("read %d of %d images", row, len(names))
        x.flush()
        np.save(draft / "y.npy", np.array(names))


def _class_of(path: Path, name: str) -> str:
    """Return the folder that an image lies in."""
    if "/" not in name:
        raise DataError(f"{path}: {name} lies in no class's folder; put it into one")
    return name.split("/")[-2]


class _Stack:
    """Images of one size, as they come, and no more than fit into memory together."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._images: list[np.ndarray] = []
        self._bytes = 0

    def add(self, name: str, read: Callable[[], bytes]) -> None:
        image = _decoded(name, read, self._size)
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
        images = self._images
        if all(image.ndim == 2 for image in images):
            return np.stack(images)[:, None]
        coloured = [i if i.ndim == 3 else i[:, :, None].repeat(3, axis=2) for i in images]
        return np.ascontiguousarray(np.stack(coloured).transpose(0, 3, 1, 2))


def _image_files(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Return each image's name, relative and with '/', and how to read it; sorted, none hidden."""
    if path.is_dir():
        names = {each.relative_to(path).as_posix(): each for each in path.rglob("*")}
        for name in filter(_is_image, sorted(names)):
            yield name, partial(content_of, names[name], MOST_PICTURE)
    else:
        with zipfile.ZipFile(path) as archive:
            for name in filter(_is_image, sorted(archive.namelist())):
                yield name, partial(_member, archive, name)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    claimed = archive.getinfo(name).file_size
    if claimed > MOST_PICTURE:
        raise ValueError(f"it claims {in_words(claimed)}, above {in_words(MOST_PICTURE)}")
    return archive.read(name)


def _is_image(name: str) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
    return not hidden and Path(name).suffix.lower() in IMAGE_SUFFIXES


def _decoded(name: str, read: Callable[[], bytes], size: int) -> np.ndarray:
    """Return one image's pixels, h w (grey) or h w 3; brought to size x size where that is not 0."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            content = read()
            if not content:
                raise ValueError("it is empty")
            # By name: a file is what its content says, and others' readers start programs (EPS).
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                if image.mode not in GREY_MODES | COLOUR_MODES:
                    raise ValueError(f"mode {image.mode} is not 8 bits a channel")
                # Cameras store a picture as the sensor lay, and beside it how to turn it.
                upright = ImageOps.exif_transpose(image)
                plain = upright.convert("L" if image.mode in GREY_MODES else "RGB")
                if size and plain.size != (size, size):
                    plain = _square(plain).resize((size, size), Image.Resampling.BICUBIC)
                return np.asarray(plain)
    except (
        *UNREADABLE,
        SyntaxError,
        Image.DecompressionBombWarning,
        Image.DecompressionBombError,
    ) as error:
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else one_line(error)
        raise DataError(f"{name} cannot be read ({reason}); replace it or take it out") from error


def _square(image: Image) -> Image:
    """Return the largest square in the middle of an image."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _pixels(image: np.ndarray) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"
