"""One image's file as pixels of 8 bits, grey or RGB, upright and of the wanted size."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL.Image import Image

from mycroft_fl.data.formats.files import UNREADABLE
from mycroft_fl.data.formats.folders import FORMATS, said_as_link
from mycroft_fl.data.formats.said import say
from mycroft_fl.errors import DataError, one_line

GREY_MODES = frozenset({"1", "L", "LA"})
COLOUR_MODES = frozenset({"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"})
WIDE_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
WIDE = (0.0, 65535.0)


@dataclass
class Decoder:
    """Decodes images, to squares of `size` pixels if not 0, grey of more than 8 bits from `grey_range`.

    `wide` counts the images whose range nobody gave, `brightest` is their highest value.
    """

    size: int = 0
    grey_range: Sequence[float] = ()
    wide: int = 0
    brightest: float = 0.0

    def decoded(self, name: str, read: Callable[[], bytes]) -> np.ndarray:
        """Return one image's pixels, h w (grey) or h w 3. `DataError` naming it where it is none."""
        from PIL import Image, ImageOps, UnidentifiedImageError

        content = b""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                content = read()
                if not content:
                    raise ValueError("it is empty")
                # By name: a file is what its content says, and others' readers start programs (EPS).
                with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                    # Cameras store a picture as the sensor lay, and beside it how to turn it.
                    plain = self._of_8_bits(ImageOps.exif_transpose(image), str(image.format))
                    if self.size and plain.size != (self.size, self.size):
                        whole = (self.size, self.size)
                        plain = _square(plain).resize(whole, Image.Resampling.BICUBIC)
                    return np.asarray(plain)
        except (
            *UNREADABLE,
            SyntaxError,
            Image.DecompressionBombWarning,
            Image.DecompressionBombError,
        ) as error:
            unknown = isinstance(error, UnidentifiedImageError)
            reason = _no_image(content) if unknown else one_line(error)
            raise DataError(
                f"{name} cannot be read ({reason}); replace it or take it out"
            ) from error

    def say_range(self) -> None:
        """Say by which range grey values of 16 bits were scaled, where nobody gave one."""
        if self.wide:
            say(
                f"{self.wide} grey images of 16 bits are scaled from 0 to 65535, and the brightest value is "
                f"{self.brightest:.0f}; if they use less, set grey-range, such as [0, 4095] for 12 bits"
            )

    def _of_8_bits(self, image: Image, form: str) -> Image:
        if image.mode in GREY_MODES | COLOUR_MODES:
            return image.convert("L" if image.mode in GREY_MODES else "RGB")
        if image.mode not in WIDE_MODES | {"I", "F"}:
            raise ValueError(f"mode {image.mode} is neither grey nor colour")
        # By the format alone, not by the values: no image decides how another one is read.
        known = self.grey_range or (WIDE if image.mode in WIDE_MODES or form == "PPM" else ())
        if not known:
            raise ValueError(
                f"mode {image.mode} may hold any numbers; set grey-range = [darkest, brightest]"
            )
        return self._scaled(np.asarray(image, dtype=np.float64), known)

    def _scaled(self, values: np.ndarray, known: Sequence[float]) -> Image:
        from PIL import Image

        if not np.isfinite(values).all():
            raise ValueError("it holds values that are no finite numbers")
        if not self.grey_range:
            self.wide += 1
            self.brightest = max(self.brightest, float(values.max(initial=0)))
        low, high = known
        shares = np.clip((values - low) / (high - low), 0, 1)
        return Image.fromarray(np.rint(shares * 255).astype(np.uint8))


def _no_image(content: bytes) -> str:
    link = said_as_link(content)
    return f"not an image, but a link that a copy made a text: '{link}'" if link else "not an image"


def _square(image: Image) -> Image:
    """Return the largest square in the middle of an image."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return image.crop((left, top, left + side, top + side))
