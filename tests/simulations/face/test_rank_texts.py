"""`mf.rank` on texts in a frame's column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mycroft_fl as mf


def letters(n: int, seed: int, asks: str, complains: str) -> pd.DataFrame:
    """Letters that ask, or complain, by these words."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(["ask", "complain"], n)
    words = [" ".join(rng.choice(["train", "flight", "seat", "hotel"], 2)) for _ in range(n)]
    said = {"ask": asks, "complain": complains}
    bodies = [
        f"{said[k]} {w} {seed} {i}" for i, (k, w) in enumerate(zip(kinds, words, strict=True))
    ]
    return pd.DataFrame({"body": bodies, "label": kinds})


@pytest.mark.parametrize(
    ("model", "space"), [("linear:tfidf", {}), ("linear:hashing", {"feature_space": "tfidf"})]
)
def test_words_of_the_trainers_texts_are_counted(model, space):
    later = letters(60, 1, "can you", "never"), letters(60, 2, "would you", "not again")
    result = mf.rank(
        model, train=letters(80, 0, "can you", "never"), validation=pd.concat(later),
        owners={"a": letters(60, 3, "would you", "not again")}, data={"text": "body"},
        method="features", budget=20, num_rounds=1, pilot_per_owner=10, fit_epochs=3,
        scoring_repeats=1, **space,
    )  # fmt: skip
    given = result.acquired.frame()
    assert list(given.columns) == ["owner", "label", "text"]
    assert len(given)
    assert all(" 3 " in each for each in given["text"])
