"""Cues: what a lazy model may learn instead of the class, because both always come together.

    patch         a bright square, at one of eight places around the middle
    background    pixels that are all but black take a shade (grey images) or a hue

With `-swapped` behind the name, each class shows the cue of the next one. As in Dogs & Wolves with
backgrounds exchanged (Mycroft, section 5), on any images. A new one is a function and a name.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
from jaxtyping import Int64

from mycroft_fl.errors import DataError
from mycroft_fl.examples import Images

PLACES = ((0, 0), (0, 2), (2, 0), (2, 2), (0, 1), (1, 0), (1, 2), (2, 1))  # of a 3 x 3 grid
PATCH = 0.28  # of the shorter side; at 0.18 a small network still saw the class beside it
BLACK = 16  # values below are background
LIGHTEST = 200  # shade of the last class's background; the first one's is black

Cue = Callable[[Images, int, int], Images]


def patch(images: Images, which: int, of: int) -> Images:
    """Put a bright square at the place that belongs to class `which`."""
    if of > len(PLACES):
        raise DataError(f"a patch has {len(PLACES)} places, but the group has {of} classes")
    height, width = images.shape[2:]
    side = max(2, round(PATCH * min(height, width)))
    row, column = PLACES[which]
    top, left = row * (height - side) // 2, column * (width - side) // 2
    shown = images.copy()
    shown[:, :, top : top + side, left : left + side] = 255
    return shown


def background(images: Images, which: int, of: int) -> Images:
    """Put the background in the shade or hue that belongs to class `which`."""
    dark = (images < BLACK).all(axis=1, keepdims=True)
    if images.shape[1] == 1:
        colour = np.array([LIGHTEST * which / max(1, of - 1)])
    else:
        colour = LIGHTEST * np.array(colorsys.hsv_to_rgb(which / of, 1, 1))
    filled = np.rint(colour).astype(np.uint8)[None, :, None, None]
    return np.ascontiguousarray(np.where(dark, filled, images))


KINDS: dict[str, Cue] = {"patch": patch, "background": background}
SWAPPED = "-swapped"
CUES = tuple(name + swapped for name in KINDS for swapped in ("", SWAPPED))


def with_cues(
    images: Images, labels: Int64[np.ndarray, " n"], name: str, classes: list[int]
) -> Images:
    """Return each image with the cue of its class, or of the next of `classes` where swapped.

    Args:
        images: left as they are.
        labels: a class each.
        name: of the cue; `-swapped` behind it takes the next class's.
        classes: in the order in which "next" goes.
    """
    kind, ahead = KINDS[name.removesuffix(SWAPPED)], int(name.endswith(SWAPPED))
    shown = images.copy()
    for place, label in enumerate(classes):
        rows = labels == label
        if rows.any():
            shown[rows] = kind(images[rows], (place + ahead) % len(classes), len(classes))
    return shown
