"""The attacks on a failure detector as a trainer sends it, and on smaller ones."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.privacy.worlds import world_of
from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import correct
from mycroft_fl.privacy.attacks.detection import (
    detector_shadows,
    direction_of,
    likenesses,
)
from mycroft_fl.privacy.attacks.membership import membership_auc
from mycroft_fl.seeds import derived_seed
from mycroft_fl.selection.region import flat_inputs, seen_by
from strategies.training.detection import FeatureSpace
from strategies.training.trainer import Trainer

SHADOWS = 8
BESIDE = 250
"""Records of either other kind that the attacker's own detectors are learnt with."""
FEWEST = 5
"""Failures of a label on either side, below which a nearest one says little."""


def detector(task: str, seed: int) -> dict[str, float]:
    """Membership, as AUC, and reconstruction, as cosines with what a label's records look like.

    Failures that the detector was learnt from, against the model's failures on test examples: they
    are of the same group and it has seen none of them.
    """
    world, trainer = world_of(task, {"small": (60, 0)}, seed, request="detector")
    validation, test = trainer.splits.not_tuning, world.trainer("test")
    model = trainer.baseline
    right = correct(model, validation)
    learnt, others = validation[~right], test[~correct(model, test)]
    return {
        "failures learnt from": float(len(learnt)),
        **_membership(trainer, learnt, others, validation[right]),
        **_reconstruction(trainer, learnt, others),
    }


def _membership(
    trainer: Trainer, learnt: Examples, others: Examples, right: Examples
) -> dict[str, float]:
    """AUC by the probability of the detector as sent, and by LiRA on smaller ones of the attacker's own."""
    seed = derived_seed(trainer.config.seed, "attack on a detector")
    sent, model, both = trainer.detector.detector, trainer.baseline, [learnt, others]
    member = np.arange(len(learnt) + len(others)) < len(learnt)
    everyone = Examples.concatenate(both)
    likely = sent.probability(seen_by(sent, model, everyone), everyone.y)
    space = FeatureSpace.of(model, trainer.task.model, trainer.train, seed)
    shadows = detector_shadows(
        space.known(everyone), space.known(_some(right, seed)), space.known(_some(trainer.train, seed)),
        SHADOWS, num_classes=trainer.task.num_classes, seed=seed,
    )  # fmt: skip
    return {
        "learnt from or not, by probability, AUC": float(roc_auc_score(member, likely)),
        "the same, by LiRA, AUC": membership_auc(shadows).mean,
    }


def _some(examples: Examples, seed: int) -> Examples:
    return examples[np.sort(np.random.default_rng(seed).permutation(len(examples))[:BESIDE])]


def _reconstruction(trainer: Trainer, learnt: Examples, others: Examples) -> dict[str, float]:
    """Mean over labels of the cosine of failures with the direction of the detector as sent."""
    sent, train = trainer.detector.detector, trainer.train
    found: dict[str, list[float]] = {}
    for label in np.unique(learnt.y).tolist():
        centre = flat_inputs(train[train.y == label]) if (train.y == label).any() else None
        mine, theirs = (flat_inputs(each[each.y == label]) for each in (learnt, others))
        count = min(len(mine), len(theirs))
        if count < FEWEST or centre is None:
            continue
        usual, direction = centre.mean(axis=0), direction_of(sent, label)
        for who, some in (("learnt from", mine), ("as many others", theirs)):
            away = (some[:count] - usual).astype(np.float64)
            near = likenesses(direction, away)
            whole = likenesses(direction, away.mean(axis=0, keepdims=True))
            for what, value in (
                ("nearest of those", near.max()), ("a random one of those", near.mean()),
                ("mean of those", whole[0]),
            ):  # fmt: skip
                found.setdefault(f"{what} {who}, cosine", []).append(float(value))
    return {name: float(np.mean(each)) for name, each in found.items()}
