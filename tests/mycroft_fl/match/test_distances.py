"""Distances, against SciPy, and where a product of vectors would lose them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from mycroft_fl.errors import DataError
from mycroft_fl.match import distances as module
from mycroft_fl.match.distances import distances


@pytest.mark.parametrize("block", [2**22, 7])
def test_agrees_with_scipy_block_by_block(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK_NUMBERS", block)
    rng = np.random.default_rng(0)
    x, hard = rng.normal(size=(50, 3)).astype(np.float32), rng.normal(size=(30, 3))
    output = distances(torch.from_numpy(x), torch.from_numpy(hard))
    assert output.numpy() == pytest.approx(cdist(x, hard))


def test_copies_are_at_equal_distances_and_near_ones_apart() -> None:
    far = torch.full((40, 8), 1e6)
    far[1, 0] += 1
    output = distances(far, far[:30])
    assert output[0, 0] == 0
    assert output[1, 0] == 1
    assert bool((output[2:] == output[2]).all())


@pytest.mark.unchecked
def test_what_does_not_fit_or_is_not_finite_is_refused() -> None:
    assert distances(torch.empty(0, 2), torch.ones(3, 2)).shape == (0, 3)
    with pytest.raises(DataError, match=r"candidates have shape \(2, 3\), hard examples \(2, 2\)"):
        distances(torch.ones(2, 3), torch.ones(2, 2))
    for bad in (torch.nan, torch.inf):
        with pytest.raises(DataError, match="hold NaN or infinity"):
            distances(torch.full((2, 2), bad), torch.ones(2, 2))
