"""Cues go with the class, and swapped they go with the next one."""

from __future__ import annotations

import numpy as np
import pytest

from mycroft_fl.errors import DataError
from simulations.population.cues import CUES, PLACES, with_cues

GREY = np.random.default_rng(0).integers(0, 200, (12, 1, 20, 20), dtype=np.uint8)
GREY[:, :, :4] = 0
COLOUR = np.repeat(GREY, 3, axis=1)
LABELS = np.arange(12) % 3
CLASSES = [0, 1, 2]


@pytest.mark.parametrize("images", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("name", CUES)
def test_the_swapped_cue_of_a_class_is_the_usual_one_of_the_next(images, name):
    kind = name.removesuffix("-swapped")
    before = images.copy()
    swapped = with_cues(images, LABELS, f"{kind}-swapped", CLASSES)
    usual = with_cues(images, (LABELS + 1) % 3, kind, CLASSES)
    np.testing.assert_array_equal(swapped, usual)
    np.testing.assert_array_equal(images, before)
    assert (with_cues(images, LABELS, kind, CLASSES) != swapped).any(axis=(1, 2, 3)).all()


def test_each_class_has_a_patch_at_a_place_of_its_own():
    blank = np.zeros((8, 1, 20, 20), np.uint8)
    shown = with_cues(blank, np.arange(8), "patch", list(range(8)))
    assert (shown == 255).sum(axis=(1, 2, 3)).tolist() == [36] * 8
    assert (shown == 255).sum(axis=0).max() == 1  # no two overlap
    with pytest.raises(DataError, match=f"a patch has {len(PLACES)} places, but the group has 9"):
        with_cues(blank, np.zeros(8, int), "patch", list(range(9)))


def test_a_background_changes_dark_pixels_alone():
    shown = with_cues(GREY, LABELS, "background", CLASSES)
    bright = GREY >= 16
    np.testing.assert_array_equal(shown[bright], GREY[bright])
    for label in CLASSES:
        assert set(shown[label == LABELS][~bright[label == LABELS]]) == {100 * label}
