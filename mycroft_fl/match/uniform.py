"""Candidates at random, the choice that every other has to beat."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from mycroft_fl.errors import DataError, SettingError


def uniform(n: int, k: int, rng: np.random.Generator) -> Int64[np.ndarray, " j"]:
    """Draw min(k, n) distinct indices below `n`, in random order.

    SettingError where k is below 1; DataError where n is negative.
    """
    require_budget(k)
    if n < 0:
        raise DataError(f"{n} candidates; give how many there are, 0 or more")
    return rng.choice(n, size=min(k, n), replace=False).astype(np.int64)


def require_budget(k: int) -> None:
    """Raise `SettingError` unless `k` asks for at least one candidate."""
    if k < 1:
        raise SettingError(f"k is {k}; ask for 1 candidate or more")
