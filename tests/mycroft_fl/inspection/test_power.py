"""The smallest detectable gain, against scores of simulated comparisons."""

from __future__ import annotations

import numpy as np
import pytest

from mycroft_fl.inspection.power import ONE_IN_TEN, detectable, power_lines
from mycroft_fl.scoring import gain_with_interval

TRIALS = 400


def share_found(n: int, gain: float, changed: float) -> float:
    """How often a gain shows beyond doubt, where a share of predictions changes."""
    rng = np.random.default_rng(0)
    better, worse = (changed + gain) / 2, (changed - gain) / 2
    shown = 0
    for trial in range(TRIALS):
        draws = rng.random(n)
        with_subset, without = draws < better, (draws >= better) & (draws < better + worse)
        score = gain_with_interval(with_subset[None], without[None], confidence=0.95, seed=trial)
        shown += score.low > 0
    return shown / TRIALS


@pytest.mark.parametrize("n", [150, pytest.param(400, marks=pytest.mark.slow)])
def test_a_gain_of_that_size_shows_four_times_in_five(n: int) -> None:
    found = detectable(n)
    assert found.usual is not None
    # Three standard errors of the simulation, and two points for a bootstrap in place of a normal.
    within = 3 * np.sqrt(0.16 / TRIALS) + 0.02
    assert share_found(n, found.usual, ONE_IN_TEN) == pytest.approx(0.8, abs=within)
    assert share_found(n, found.usual / 2, ONE_IN_TEN) < 0.5


def test_it_shrinks_with_the_root_of_the_examples_and_is_absent_from_few() -> None:
    four, one = detectable(4000), detectable(1000)
    assert one.usual is not None
    assert four.usual is not None
    assert one.usual / four.usual == pytest.approx(2, rel=0.01)
    assert one.at_best / four.at_best == pytest.approx(4, rel=0.01)
    assert detectable(20).usual is None


def test_the_lines_count_the_examples_that_judge() -> None:
    first, second = power_lines(1000)
    assert first.startswith(
        "of 1000 validation examples 800 judge: a gain in accuracy of 1.0 points"
    )
    assert (
        second == "3.1 points show if one prediction in ten changes (four times in five, at 95 %)"
    )
    assert power_lines(30)[1].startswith("no gain shows if only one")
