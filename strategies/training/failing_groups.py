"""The groups in which a model's failures lie: what they are, what they are taken for, examples of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import predict
from strategies.training.detection import FeatureSpace

MOST_GROUPS, FEWEST, SHOWN = 8, 3, 4
"""Groups at most, failures of a group at least, and examples that stand for one."""
MOST = 2000
"""Failures that are looked at; time grows with their number squared."""


@dataclass(frozen=True, eq=False)
class FailingGroup:
    """Failures of a kind.

    `labels` and `taken_for` count their true labels and the model's answers. `typical` are a few of
    them, the most typical first, and `answers` what the model takes these for.
    """

    failures: int
    labels: Counter[int]
    taken_for: Counter[int]
    typical: Examples
    answers: Int64[np.ndarray, " k"]


def failing_groups(space: FeatureSpace, validation: Examples, seed: int) -> list[FailingGroup]:
    """Find the groups in which failures lie, the largest first; none where nothing fails.

    k-means on what a detector sees and on labels, which weigh alike; the number of groups by their
    silhouette (Rousseeuw 1987). Fewer failures than two groups need are one.
    """
    answers = predict(space.model, validation.x)
    wrong = np.flatnonzero(answers != validation.y)[:MOST]
    if not len(wrong):
        return []
    places = _places(space, validation, wrong)
    group = _parted(places, seed)
    found = [
        _group(
            validation[wrong[group == each]], answers[wrong[group == each]], places[group == each]
        )
        for each in np.unique(group)
    ]
    return sorted(found, key=lambda each: -each.failures)


def _places(
    space: FeatureSpace, validation: Examples, wrong: Int64[np.ndarray, " n"]
) -> Float64[np.ndarray, "n d"]:
    """Place failures by features and labels: either part has a mean squared length of about one."""
    # Where a model gives what is not finite, it tells nothing apart; the run goes on.
    z = np.nan_to_num(space.known(validation).z.astype(np.float64), posinf=0.0, neginf=0.0)
    deviation = z.std(axis=0)
    away = (z - z.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    scaled = np.clip(away, -6, 6)
    labels = np.eye(int(validation.y.max()) + 1)[validation.y[wrong]]
    return np.concatenate([scaled[wrong] / np.sqrt(max(1, z.shape[1])), labels], axis=1)


def _parted(places: Float64[np.ndarray, "n d"], seed: int) -> Int64[np.ndarray, " n"]:
    """Part failures into the groups that stand apart best, none of fewer than `FEWEST`."""
    best, parted = 0.0, np.zeros(len(places), np.int64)
    distinct = len(np.unique(places, axis=0))
    for count in range(2, min(MOST_GROUPS, len(places) // FEWEST, distinct) + 1):
        group = (
            KMeans(count, n_init=3, random_state=seed % 2**32).fit_predict(places).astype(np.int64)
        )
        if np.bincount(group).min() < FEWEST:
            continue
        apart = float(silhouette_score(places, group))
        if apart > best:
            best, parted = apart, group
    return parted


def _group(
    examples: Examples, answers: Int64[np.ndarray, " n"], places: Float64[np.ndarray, "n d"]
) -> FailingGroup:
    """Describe one group by its counts and those that lie nearest to its middle."""
    away = ((places - places.mean(axis=0)) ** 2).sum(axis=1)
    nearest = np.argsort(away, kind="stable")[:SHOWN]
    labels, taken_for = (Counter(each.tolist()) for each in (examples.y, answers))
    return FailingGroup(len(examples), labels, taken_for, examples[nearest], answers[nearest])
