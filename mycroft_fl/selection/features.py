"""Methods that compare examples as vectors of features."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from mycroft_fl.examples import Examples
from mycroft_fl.match.coverage import Cover, closeness, lazy_greedy
from mycroft_fl.match.distances import distances
from mycroft_fl.match.nearest import nearest
from mycroft_fl.models.fitting import as_tensor, correct
from mycroft_fl.selection.query import Query
from mycroft_fl.selection.result import Pool, Selection, continued

DISTANCES_DRAWN_FROM = 5


def features(candidates: Examples, query: Query, k: int) -> Selection:
    """Pick the nearest candidates of the same class, each hard example in turn."""
    return Selection.unweighted(_nearest(candidates, query, k, "example"))


def features_to_set(candidates: Examples, query: Query, k: int) -> Selection:
    """Pick the candidates nearest to any hard example of their class, by that distance alone."""
    return Selection.unweighted(_nearest(candidates, query, k, "set"))


def features_diverse(candidates: Examples, query: Query, k: int) -> Selection:
    """Pick half of k nearest, the rest at random among the five most populous distances further out.

    The paper's draw for tables (Mycroft, section 4.2), whose distances are whole numbers of bins;
    in other spaces a twentieth of the furthest distance takes the place of a bin.
    """
    picked = _nearest(candidates, query, -(-k // 2), "example")
    steps = _steps(candidates, query)
    further = np.isin(candidates.y, query.hard.y)
    further[picked] = False
    further &= steps > (steps[picked].max() if len(picked) else -1)
    values, counts = np.unique(steps[further], return_counts=True)
    populous = values[np.argsort(-counts, kind="stable")[:DISTANCES_DRAWN_FROM]]
    eligible = np.flatnonzero(further & np.isin(steps, populous))
    eligible = eligible[np.argsort(candidates.ids[eligible], kind="stable")]  # in whatever order
    drawn = np.random.default_rng(query.seed).permutation(eligible)[: k - len(picked)]
    return Selection.unweighted(np.concatenate([picked, drawn]))


def hard_features(candidates: Examples, query: Query, k: int) -> Selection:
    """Pick the nearest of those candidates that the trainer's model gets wrong.

    May end with fewer than k: what the model already gets right is not offered as a substitute.
    """
    wrong = np.flatnonzero(~correct(query.require_model(), candidates))
    return Selection.unweighted(wrong[_nearest(candidates[wrong], query, k, "example")])


def coverage(candidates: Examples, query: Query, k: int) -> Selection:
    """Pick a cover of the hard set: facility location, and further layers once every one is served.

    Class by class, since only candidates of its class serve a hard example; what each adds
    decides between classes, which is the greedy choice over all of them.
    """
    pool = Pool.of(candidates, query)
    picks, gains = [np.empty(0, np.int64)], [np.empty(0)]
    for place, start, cover in covers(pool, query, k):
        if len(start) < len(place):
            found = lazy_greedy(cover, k, start)
            picks.append(place[found.indices])
            gains.append(found.gains)
    best_first = np.argsort(-np.concatenate(gains), kind="stable")[:k]
    return Selection.unweighted(np.concatenate(picks)[best_first])


def covers(
    pool: Pool, query: Query, k: int
) -> list[tuple[Int[np.ndarray, " _n"], Int[np.ndarray, " _s"], Cover]]:
    """Give, by class of the hard set, its part of the pool, what was sent of it, an empty cover."""
    there, here = query.features(pool.examples), query.features(query.hard)
    found = []
    for label in np.unique(query.hard.y):
        place = np.flatnonzero(pool.examples.y == label)
        near = distances(there[place], here[query.hard.y == label])
        start = np.flatnonzero(pool.sent[place])
        found.append((place, start, Cover(closeness(near.numpy()), k + len(start))))
    return found


def distance_to_nearest(pool: Examples, hard: Examples, query: Query) -> Float[np.ndarray, " n"]:
    """Measure each candidate's Euclidean distance to the nearest hard example, in feature space."""
    return np.asarray(distances(query.features(pool), query.features(hard)).amin(1).numpy())


def _steps(candidates: Examples, query: Query) -> Int[np.ndarray, " n"]:
    """Count how many bins each candidate lies from the nearest hard example of its class; 0 where none is."""
    there, here = query.features(candidates), query.features(query.hard)
    apart = np.zeros(len(candidates))
    for label in np.unique(query.hard.y):
        place = np.flatnonzero(candidates.y == label)
        if len(place):
            apart[place] = distances(there[place], here[query.hard.y == label]).amin(1).numpy()
    bin_width = 1.0 if query.feature_space == "binning" else apart.max(initial=0) / 20 or 1.0
    return np.rint(apart / bin_width).astype(np.int64)


def _nearest(
    candidates: Examples, query: Query, k: int, per: Literal["example", "set"]
) -> Int[np.ndarray, " j"]:
    def order(pool: Examples, depth: int) -> np.ndarray:
        found = nearest(
            query.features(pool),
            query.features(query.hard),
            depth,
            candidate_labels=as_tensor(pool.y),
            hard_labels=as_tensor(query.hard.y),
            per=per,
        )
        return np.asarray(found.cpu().numpy())

    return continued(candidates, query, k, order)
