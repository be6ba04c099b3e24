"""Bad pixels, wrong labels and near copies, drawn at random over all that an owner holds.

Always before any selection: what is selected and what is not are flawed alike. Severities 1 to
5 follow Hendrycks & Dietterich 2019 (ImageNet-C); lengths in pixels scale with the image.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from mycroft_fl.data.formats.transforms import blur, fit_to, jitter, shift
from mycroft_fl.errors import DataError, suggestion
from mycroft_fl.examples import Examples, Images, Vectors

NOISE = (0.08, 0.12, 0.18, 0.26, 0.38)  # standard deviation; of an image's range, or a column's own
BLUR = (0.4, 0.6, 0.7, 0.8, 1.0)  # sigma in pixels of a 32 x 32 image (CIFAR-10-C)
CONTRAST = (0.4, 0.3, 0.2, 0.1, 0.05)  # share of the distance from the mean that is left
BRIGHTNESS = (0.1, 0.2, 0.3, 0.4, 0.5)  # added, of the full range
PIXELATE = (0.6, 0.5, 0.4, 0.3, 0.25)  # share of the side length that is left

LARGEST_SHIFT = 2  # pixels
JITTER = 0.01  # of a column's standard deviation
SHIFTS = np.array(
    [
        (dx, dy)
        for dx in range(-LARGEST_SHIFT, LARGEST_SHIFT + 1)
        for dy in range(-LARGEST_SHIFT, LARGEST_SHIFT + 1)
        if (dx, dy) != (0, 0)
    ]
)

Corruption = Callable[[Images, int, np.random.Generator], Images]


def gaussian_noise(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """Add independent noise to every value."""
    return _pixels(images / 255 + rng.normal(scale=NOISE[severity - 1], size=images.shape))


def blurred(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """Blur images by a Gaussian."""
    return blur(images, BLUR[severity - 1] * min(images.shape[2:]) / 32)


def contrast(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """Draw every channel towards its own mean."""
    x = images / 255
    mean = x.mean(axis=(2, 3), keepdims=True)
    return _pixels((x - mean) * CONTRAST[severity - 1] + mean)


def brightness(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """Add light to every channel."""
    return _pixels(images / 255 + BRIGHTNESS[severity - 1])


def pixelate(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """Make images smaller, then larger again in blocks."""
    channels, height, width = images.shape[1:]
    low, narrow = (max(1, round(side * PIXELATE[severity - 1])) for side in (height, width))
    small = fit_to(images, channels, low, narrow)
    rows, columns = _nearest(height, low), _nearest(width, narrow)
    return np.ascontiguousarray(small[:, :, rows][:, :, :, columns])


CORRUPTIONS: dict[str, Corruption] = {
    "gaussian-noise": gaussian_noise,
    "blur": blurred,
    "contrast": contrast,
    "brightness": brightness,
    "pixelate": pixelate,
}
FOR_VECTORS = ("gaussian-noise",)


def corrupt(
    examples: Examples, kind: str, fraction: float, severity: int, rng: np.random.Generator
) -> Examples:
    """Corrupt that fraction of the examples, drawn at random; labels stay.

    Vectors know `gaussian-noise` alone. Raises `DataError`.

    Args:
        examples: left as they are.
        kind: see `CORRUPTIONS`.
        fraction: of the examples, 0 to 1.
        severity: 1 to 5.
        rng: draws which examples, and the noise.
    """
    if kind not in CORRUPTIONS:
        raise DataError(f"unknown corruption '{kind}'{suggestion(kind, list(CORRUPTIONS))}")
    if severity not in range(1, 6):
        raise DataError(f"a corruption's severity is {severity}; give a whole number from 1 to 5")
    images = examples.x.ndim == 4
    if not images and kind not in FOR_VECTORS:
        raise DataError(f"corruption '{kind}' is for images; for vectors use {list(FOR_VECTORS)}")
    rows = _some(len(examples), fraction, rng)
    x = examples.x.copy()
    x[rows] = (
        CORRUPTIONS[kind](x[rows], severity, rng) if images else _noisy(x, rows, severity, rng)
    )
    return Examples(x, examples.y)


def redraw_labels(
    examples: Examples, share: float, num_classes: int, rng: np.random.Generator
) -> Examples:
    """Redraw that share of the labels, each class as likely; some draw their own.

    Args:
        examples: left as they are.
        share: of the labels, 0 to 1.
        num_classes: labels run from 0 to one less.
        rng: draws which labels, and what they become.
    """
    rows = _some(len(examples), share, rng)
    y = examples.y.copy()
    y[rows] = rng.integers(num_classes, size=len(rows))
    return Examples(examples.x, y)


def _noisy(x: Vectors, rows: np.ndarray, severity: int, rng: np.random.Generator) -> Vectors:
    return jitter(x[rows], x.std(axis=0) * NOISE[severity - 1], rng)


def _some(n: int, share: float, rng: np.random.Generator) -> np.ndarray:
    if not 0 <= share <= 1:
        raise DataError(f"a share of examples is {share}; give a number from 0 to 1")
    return np.sort(rng.choice(n, size=round(share * n), replace=False))


def unlike_others(
    examples: Examples, spread: Float[np.ndarray, " d"] | None, rng: np.random.Generator
) -> Examples:
    """Shift images by up to two pixels; add a hundredth of each column's `spread` to vectors."""
    if spread is not None:
        return Examples(jitter(examples.x, JITTER * spread, rng), examples.y)
    dx, dy = SHIFTS[rng.integers(len(SHIFTS), size=len(examples))].T
    return Examples(shift(examples.x, dx, dy), examples.y)


def _nearest(length: int, blocks: int) -> np.ndarray:
    """Return, for each pixel of a line, the block whose centre is nearest to its own."""
    return (2 * np.arange(length) + 1) * blocks // (2 * length)


def _pixels(x: np.ndarray) -> Images:
    """Clip values to 0..1 and bring them back to 0..255."""
    return np.asarray(np.rint(x.clip(0, 1) * 255), dtype=np.uint8)
