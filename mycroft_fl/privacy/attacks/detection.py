"""Attacks on a failure detector: which failures it was learnt from, and how they look."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from mycroft_fl.privacy.attacks.membership import Shadows
from mycroft_fl.protocol.detector import CLASS_TERMS, Detector
from mycroft_fl.selection.detector import Known, fit_detector


def suspicion(detector: Detector, suspects: Known) -> Float64[np.ndarray, " m"]:
    """Return the log-odds by which a detector takes each suspect for a failure: the plainest attack.

    Args:
        detector: one that sees `z` as its inputs.
        suspects: failures, of which some may be among those that it was learnt from.
    """
    likely = detector.probability(detector.seen(suspects.z, None), suspects.y)
    odds: np.ndarray = np.log(likely) - np.log1p(-likely)
    return odds


def detector_shadows(
    suspects: Known, right: Known, train: Known, count: int, *, num_classes: int, seed: int
) -> Shadows:
    """Learn `count` detectors, each with its own random half of the suspects, for LiRA.

    The attacker knows all else that the trainer holds, which is more than any owner does.

    Args:
        suspects: failures of the same kind, at least four.
        right: what the model gets right.
        train: what it was trained on.
        count: of detectors, an even number.
        num_classes: number of labels.
        seed: of the halves.
    """
    rng = np.random.default_rng(seed)
    member = rng.random((count, len(suspects))).argsort(axis=0) < count // 2
    seen = [
        suspicion(
            fit_detector(
                suspects[np.flatnonzero(inside)], right, train,
                num_classes=num_classes, seed=seed + place,
            ).detector,
            suspects,
        )
        for place, inside in enumerate(member)
    ]  # fmt: skip
    return Shadows(member, np.stack(seen))


def direction_of(detector: Detector, label: int) -> Float64[np.ndarray, " p"]:
    """Return the inputs' direction in which a record of this label becomes likelier to fail.

    The gradient of the mean log-odds of both models, the same everywhere: gradient ascent from any
    record goes this way. A hidden layer is left aside.
    """
    d, weights = len(detector.mean), detector.weights.astype(np.float64).mean(axis=0)
    steepest = weights[:d].copy()
    for place in np.flatnonzero(detector.classes == label):
        steepest += CLASS_TERMS * weights[d * (1 + place) : d * (2 + place)]
    steepest *= detector.scale
    if detector.basis is None:
        return np.asarray(steepest)
    of_basis = steepest[: len(detector.basis)]
    return np.asarray(np.einsum("q,qp->p", of_basis, detector.basis.astype(np.float64)))


def likenesses(
    direction: Float64[np.ndarray, " p"], records: Float64[np.ndarray, "n p"]
) -> Float64[np.ndarray, " n"]:
    """Return the cosine of each record, less what records of its label look like in the mean, with it."""
    lengths = np.linalg.norm(records, axis=1) * np.linalg.norm(direction)
    found: np.ndarray = np.einsum("np,p->n", records, direction) / np.maximum(lengths, 1e-12)
    return found
