"""What is done to images: turned, mirrored, moved, brought to another size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mycroft_fl.data.formats import transforms
from mycroft_fl.data.formats.transforms import TRANSFORMS, blur, fit_to, jitter, shift
from mycroft_fl.errors import DataError

SQUARE = np.random.default_rng(0).integers(0, 256, size=(3, 3, 8, 8), dtype=np.uint8)
WIDE = SQUARE[:, :, :5]

PILLOW = {
    "rotate-90": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "rotate-180": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "rotate-270": lambda image: image.transpose(Image.Transpose.ROTATE_270),
    "flip-horizontal": ImageOps.mirror,
    "flip-vertical": ImageOps.flip,
    "invert": ImageOps.invert,
    "grayscale": lambda image: image.convert("L").convert("RGB"),
}


@pytest.mark.parametrize("name", PILLOW)
def test_agrees_with_pillow(name):
    ours = TRANSFORMS[name](SQUARE).transpose(0, 2, 3, 1)
    theirs = [np.asarray(PILLOW[name](Image.fromarray(i))) for i in SQUARE.transpose(0, 2, 3, 1)]
    assert np.abs(ours.astype(int) - np.stack(theirs)).max() <= (name == "grayscale")


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("images", [SQUARE, SQUARE[:, :1], SQUARE[:0], SQUARE[:1, :, :1, :1]])
def test_shape_and_type_stay_and_the_given_images_too(name, images):
    before = images.copy()
    changed = TRANSFORMS[name](images)
    assert changed.shape == images.shape
    assert changed.dtype == np.uint8
    changed[...] = 0
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("name", ["rotate-90", "rotate-270"])
def test_a_quarter_turn_needs_square_images(name):
    with pytest.raises(DataError, match="needs square images, these are 8 x 5; use rotate-180"):
        TRANSFORMS[name](WIDE)


def test_blur_keeps_flat_images_and_softens_edges():
    flat = np.full((1, 1, 28, 28), 77, np.uint8)
    np.testing.assert_array_equal(blur(flat), flat)
    dot = np.zeros((1, 1, 28, 28), np.uint8)
    dot[..., 14, 14] = 255
    assert 0 < blur(dot)[0, 0, 14, 15] < blur(dot)[0, 0, 14, 14] < 255


def test_every_transform_is_documented():
    assert [name for name in TRANSFORMS if name not in (transforms.__doc__ or "")] == []


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=3, max_size=3))
def test_a_shift_moves_every_image_by_its_own_way_and_fills_with_zeros(ways):
    dx, dy = np.array(ways).T
    moved = shift(WIDE, dx, dy)
    height, width = WIDE.shape[2:]
    for image, (right, down) in enumerate(ways):
        for y, x in np.ndindex(height, width):
            inside = 0 <= y - down < height and 0 <= x - right < width
            wanted = WIDE[image, :, y - down, x - right] if inside else 0
            assert (moved[image, :, y, x] == wanted).all()


def test_jitter_is_of_the_scale_given():
    scale = np.array([0.0, 0.1, 2.0], np.float32)
    moved = jitter(np.zeros((4000, 3), np.float32), scale, np.random.default_rng(0))
    assert moved.dtype == np.float32
    np.testing.assert_allclose(moved.std(axis=0), scale, rtol=0.05)


def test_images_are_brought_to_size_and_channels():
    assert fit_to(WIDE, 3, 5, 8) is WIDE
    assert fit_to(WIDE, 1, 10, 12).shape == (3, 1, 10, 12)
    coloured = fit_to(SQUARE[:, :1], 3, 4, 4)
    assert coloured.shape == (3, 3, 4, 4)
    np.testing.assert_array_equal(coloured[:, 0], coloured[:, 2])
    flat = np.full((1, 1, 30, 30), 200, np.uint8)
    assert (fit_to(flat, 1, 7, 7) == 200).all()


def test_other_numbers_of_channels_are_refused():
    with pytest.raises(DataError, match="images of 2 channels cannot become 3"):
        fit_to(SQUARE[:, :2], 3, 8, 8)
