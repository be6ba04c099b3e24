"""Transforms, by name, that make one group of images unlike another.

    rotate-90, rotate-180, rotate-270    counter-clockwise; 90 and 270 need square images
    flip-horizontal, flip-vertical       left and right, top and bottom change places
    invert                               dark becomes light
    grayscale                            colours go, the number of channels stays
    blur                                 Gaussian, sigma a 28th of the shorter side

A new one is a function from images to images of the same shape, and a name in `TRANSFORMS`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int, UInt8

from mycroft_fl.errors import DataError
from mycroft_fl.examples import Images

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: what red, green and blue give to grey


def rotate(images: Images, quarters: int) -> Images:
    """Turn counter-clockwise by quarters. Raises `DataError` if that changes the shape."""
    height, width = images.shape[2:]
    if quarters % 2 and height != width:
        raise DataError(
            f"rotate-{90 * quarters} needs square images, these are {width} x {height}; "
            "use rotate-180 or a flip"
        )
    return np.ascontiguousarray(np.rot90(images, quarters, axes=(2, 3)))


def grayscale(images: Images) -> Images:
    """Give every channel the image's luma; grey images stay as they are."""
    if images.shape[1] == 1:
        return images.copy()
    return np.repeat(_luma(images), images.shape[1], axis=1)


def blur(images: Images, sigma: float | None = None) -> Images:
    """Blur by a Gaussian of `sigma` pixels, by default a 28th of the shorter side."""
    import torch
    from torchvision.transforms.v2.functional import gaussian_blur

    sigma = min(images.shape[2:]) / 28 if sigma is None else sigma
    # Reflected padding must be smaller than the image.
    reach = min(max(1, round(3 * sigma)), min(images.shape[2:]) - 1)
    blurred = gaussian_blur(torch.tensor(images), [2 * reach + 1] * 2, [sigma] * 2)
    return np.asarray(blurred.numpy())


TRANSFORMS: dict[str, Callable[[Images], Images]] = {
    "rotate-90": lambda images: rotate(images, 1),
    "rotate-180": lambda images: rotate(images, 2),
    "rotate-270": lambda images: rotate(images, 3),
    "flip-horizontal": lambda images: np.ascontiguousarray(images[..., ::-1]),
    "flip-vertical": lambda images: np.ascontiguousarray(images[..., ::-1, :]),
    "invert": lambda images: 255 - images,
    "grayscale": grayscale,
    "blur": blur,
}


def shift(images: Images, dx: Int[np.ndarray, " n"], dy: Int[np.ndarray, " n"]) -> Images:
    """Move each image `dx` pixels to the right and `dy` down; zeros come in at the edges."""
    height, width = images.shape[2:]
    shifted = np.zeros_like(images)
    for right, down in np.unique(np.stack([dx, dy], axis=1), axis=0).tolist():
        rows = np.flatnonzero((dx == right) & (dy == down))
        (to_y, from_y), (to_x, from_x) = _overlap(down, height), _overlap(right, width)
        shifted[rows, :, to_y, to_x] = images[rows, :, from_y, from_x]
    return shifted


def jitter(
    vectors: Float[np.ndarray, "n d"], scale: Float[np.ndarray, " d"], rng: np.random.Generator
) -> Float[np.ndarray, "n d"]:
    """Add Gaussian noise, of the standard deviation `scale` in each column."""
    return np.asarray(vectors + rng.normal(size=vectors.shape) * scale, dtype=np.float32)


def fit_to(
    images: UInt8[np.ndarray, "n c_in h_in w_in"], channels: int, height: int, width: int
) -> UInt8[np.ndarray, "n c h w"]:
    """Bring images to another size (bilinear, antialiased) and number of channels, 1 or 3.

    Args:
        images: of any size, 1 or 3 channels.
        channels: 1 or 3.
        height: in pixels.
        width: in pixels.
    """
    if images.shape[2:] != (height, width):
        images = _resized(images, height, width)
    if images.shape[1] == channels:
        return images
    if {images.shape[1], channels} != {1, 3}:
        raise DataError(
            f"images of {images.shape[1]} channels cannot become {channels}; use 1 or 3"
        )
    return _luma(images) if channels == 1 else np.repeat(images, 3, axis=1)


def _overlap(by: int, length: int) -> tuple[slice, slice]:
    """Return where a line of pixels moved `by` lands, and where those pixels come from."""
    by = max(-length, min(length, by))
    return slice(max(by, 0), length + min(by, 0)), slice(max(-by, 0), length - max(by, 0))


def _resized(images: np.ndarray, height: int, width: int) -> np.ndarray:
    import torch
    from torchvision.transforms.v2.functional import resize

    return np.asarray(resize(torch.tensor(images), [height, width], antialias=True).numpy())


def _luma(images: np.ndarray) -> np.ndarray:
    """Return grey values (n 1 h w) of RGB images."""
    grey = np.tensordot(images, np.array(LUMA), axes=(1, 0))
    return np.rint(grey).astype(np.uint8)[:, None]
