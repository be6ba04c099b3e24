"""Bad pixels and wrong labels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mycroft_fl.errors import DataError
from mycroft_fl.examples import Examples
from simulations.population.corrupt import CORRUPTIONS, corrupt, redraw_labels

RNG = np.random.default_rng(0)
SMOOTH = (128 + 100 * np.sin(np.arange(32) / 3)).astype(np.uint8)
IMAGES = Examples(
    np.tile(SMOOTH[None, None, :, None] // 2 + SMOOTH // 4, (10, 3, 1, 1)).astype(np.uint8),
    np.arange(10) % 3,
)
VECTORS = Examples(RNG.normal(size=(500, 4)).astype(np.float32), np.arange(500) % 3)


def distance(kind: str, severity: int) -> float:
    changed = corrupt(IMAGES, kind, 1.0, severity, np.random.default_rng(0))
    return float(np.abs(changed.x.astype(float) - IMAGES.x).mean())


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_higher_severity_changes_more(kind):
    distances = [distance(kind, severity) for severity in range(1, 6)]
    assert distances[0] > 0
    assert all(low < high for low, high in itertools.pairwise(distances))


@pytest.mark.parametrize("kind", CORRUPTIONS)
@settings(deadline=None)
@given(fraction=st.floats(0, 1))
def test_just_that_fraction_is_corrupted_and_labels_stay(kind, fraction):
    before = IMAGES.x.copy()
    changed = corrupt(IMAGES, kind, fraction, 3, np.random.default_rng(1))
    differing = (changed.x != IMAGES.x).any(axis=(1, 2, 3)).sum()
    assert differing == round(fraction * len(IMAGES))
    np.testing.assert_array_equal(changed.y, IMAGES.y)
    np.testing.assert_array_equal(IMAGES.x, before)
    assert changed.x.dtype == np.uint8


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_grey_and_tiny_images_can_be_corrupted(kind):
    tiny = Examples(IMAGES.x[:, :1, :2, :3], IMAGES.y)
    assert corrupt(tiny, kind, 1.0, 5, RNG).x.shape == (10, 1, 2, 3)


def test_noise_on_vectors_follows_each_column():
    wide = Examples(VECTORS.x * np.array([0, 1, 10, 100], np.float32), VECTORS.y)
    changed = corrupt(wide, "gaussian-noise", 1.0, 5, np.random.default_rng(0))
    noise = (changed.x - wide.x).std(axis=0)
    np.testing.assert_allclose(noise, 0.38 * wide.x.std(axis=0), rtol=0.1)


@pytest.mark.parametrize(
    ("examples", "kind", "fraction", "severity", "words"),
    [
        (IMAGES, "fog", 0.5, 3, "unknown corruption 'fog'"),
        (IMAGES, "blurr", 0.5, 3, "did you mean 'blur'"),
        (IMAGES, "blur", 1.5, 3, "from 0 to 1"),
        (IMAGES, "blur", 0.5, 6, "from 1 to 5"),
        (VECTORS, "blur", 0.5, 3, "for vectors use"),
    ],
)
def test_what_cannot_be_done_is_refused(examples, kind, fraction, severity, words):
    with pytest.raises(DataError, match=words):
        corrupt(examples, kind, fraction, severity, RNG)


def test_redrawn_labels_are_as_many_as_asked_and_of_every_class():
    relabelled = redraw_labels(VECTORS, 0.4, 5, np.random.default_rng(0))
    changed = relabelled.y != VECTORS.y
    assert 200 * 0.6 < changed.sum() < 200  # a fifth of 200 redraw their own
    assert set(relabelled.y) == {0, 1, 2, 3, 4}
    np.testing.assert_array_equal(relabelled.x, VECTORS.x)
    assert (redraw_labels(VECTORS, 0.0, 5, RNG).y == VECTORS.y).all()
    with pytest.raises(DataError, match="from 0 to 1"):
        redraw_labels(VECTORS, -0.1, 5, RNG)


def test_the_same_seed_corrupts_the_same():
    first, second = (
        corrupt(IMAGES, "gaussian-noise", 0.5, 3, np.random.default_rng(7)) for _ in range(2)
    )
    np.testing.assert_array_equal(first.x, second.x)
