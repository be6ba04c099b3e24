"""The reading of a score by class: one score of an owner, and one for each class."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64
from scipy import stats

from mycroft_fl.examples import hard_classes
from mycroft_fl.hard_set import HardSet
from mycroft_fl.protocol.messages import COUNT_WEIGHT, COUNTS, Statistic
from mycroft_fl.scoring import MOST, Score
from mycroft_fl.selection.detector import Rehearsed
from strategies.noised.steps import relevance_score
from strategies.training.trainer import Trainer

FEWEST_FOUND = 0.05
"""By how much a region must find more failures than other records to tell anything."""


def class_weights(hard_set: HardSet) -> Float64[np.ndarray, " K"]:
    """Weigh each class's sum in proportion to its share of what the model gets wrong.

    Owners that hold failures as the trainer has them differ in each sum by that share, and all sums
    have the same noise: no other weights let their difference stand out more from it. Scaled so
    that 1 is the score of an owner all of whose records are like hard examples, in those shares.
    """
    shares = hard_set.shares
    weights: np.ndarray = shares / (shares @ shares)
    return weights


def score_by_class(statistic: Statistic, hard_set: HardSet, confidence: float) -> Score:
    """Compute an owner's relevance over all classes, with the noise's interval."""
    return relevance_score(statistic, confidence, class_weights(hard_set))


def scores_of_classes(statistic: Statistic, trainer: Trainer) -> Mapping[str, Score]:
    """Compute, by class, how much an average record of the owner is like its hard examples, with an interval.

    The mean is over all of the owner's records: how many are of a class is private.
    """
    classes, confidence = hard_classes(trainer.hard_set.sent), trainer.config.scoring_confidence
    return {
        trainer.task.classes[label]: relevance_score(statistic, confidence, each)
        for label, each in zip(classes, np.eye(len(classes)), strict=True)
    }


def region_score(
    statistic: Statistic, rehearsed: Rehearsed, confidence: float
) -> tuple[Score, float]:
    """Compute the share of an owner's records that is useful, with its interval, and its stock.

    A count in a detector's region, corrected by what the region held on the trainer's own folds:
    false alarms are taken off, and missed failures added (adjusted count, Forman 2008). The
    interval is of the noise in both counts, of how many of its records a detector happens to find,
    and of how well the share of false alarms is known. The stock is how many records may be asked
    for: those in the region, by the noised count.
    """
    sigma = statistic.sigma
    records = min(max(float(statistic.counted().sum()), sigma, 1.0), MOST)
    inside = min(max(0.0, float(statistic.relevance()[0])), records)
    found = max(rehearsed.recall - rehearsed.alarms, FEWEST_FOUND)
    share = (inside / records - rehearsed.alarms) / found
    half = math.inf  # a region that is no better than chance tells nothing
    if rehearsed.recall - rehearsed.alarms >= FEWEST_FOUND:
        deviation = _inside_deviation(inside, records, sigma, rehearsed) / (records * found)
        half = float(stats.norm.ppf((1 + confidence) / 2)) * deviation
    return Score.within(1.0, share, share - half, share + half), inside


def _inside_deviation(inside: float, records: float, sigma: float, rehearsed: Rehearsed) -> float:
    """Compute the standard deviation of a count in a region beyond what the region is expected to hold."""
    recall, alarms = rehearsed.recall, rehearsed.alarms
    rate = max(inside / records, alarms)
    # `records` is a sum of COUNTS numbers, each with noise of sigma / COUNT_WEIGHT.
    of_noise = sigma**2 * (1 + COUNTS * (rate / COUNT_WEIGHT) ** 2)
    useful = min(max((inside / records - alarms) / (recall - alarms), 0.0), 1.0)
    by_chance = useful * recall * (1 - recall) + (1 - useful) * alarms * (1 - alarms)
    of_rehearsal = (records * rehearsed.alarms_deviation) ** 2
    return math.sqrt(of_noise + records * by_chance + of_rehearsal)
