"""Membership inference: was this record among those that a model was fine-tuned on?

LiRA (Carlini et al. 2022): many models, each fine-tuned with a random half of a pool. What a model
thinks of a record is compared with what models that had it think, and models that had not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64
from scipy import stats
from torch import nn

from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import as_tensor, logits
from mycroft_fl.statistics import Estimate, over_seeds

FineTune = Callable[[Examples, int], nn.Module]
"""A model from the records that were acquired, and a seed."""


@dataclass(frozen=True, eq=False)
class Shadows:
    """The view of each of N models on each of m records, and which of them it was trained with.

    `confidence` is the logit of the probability that the model gives the record's own label.
    """

    member: Bool[np.ndarray, "N m"]
    confidence: Float64[np.ndarray, "N m"]


def shadows(fine_tune: FineTune, pool: Examples, count: int, *, seed: int) -> Shadows:
    """Fine-tune `count` models, each with its own random half of `pool`.

    Every record is in half of the models, so that no record is known better than another.

    Args:
        fine_tune: from a model's examples to the model.
        pool: the records under attack.
        count: of models, an even number.
        seed: of the halves.
    """
    rng = np.random.default_rng(seed)
    order = rng.random((count, len(pool))).argsort(axis=0)
    return _trained(fine_tune, pool, order < count // 2, seed)


def paired_shadows(fine_tune: FineTune, pool: Examples, pairs: int, *, seed: int) -> Shadows:
    """Fine-tune two models a pair, one with what the other is not: a coin for each record.

    Without a pair, as many of the other models had a record as had not: what is made of them
    leans to neither side, and an attack on nothing comes to 0.5.

    Args:
        fine_tune: from a model's examples to the model.
        pool: the records under attack.
        pairs: of models.
        seed: of the coins.
    """
    first = np.random.default_rng(seed).random((pairs, len(pool))) < 0.5
    both = np.stack([first, ~first], axis=1).reshape(2 * pairs, len(pool))
    return _trained(fine_tune, pool, both, seed)


def _trained(
    fine_tune: FineTune, pool: Examples, member: Bool[np.ndarray, "N m"], seed: int
) -> Shadows:
    confidence = [
        confidences(fine_tune(pool[np.flatnonzero(inside)], seed + place), pool)
        for place, inside in enumerate(member)
    ]
    return Shadows(member, np.stack(confidence))


def confidences(model: nn.Module, examples: Examples) -> Float64[np.ndarray, " m"]:
    """Return log(p / (1 - p)) of each record's own label, without loss of digits where p is near 1."""
    z = logits(model, examples.x).double()
    own = z.gather(1, as_tensor(examples.y)[:, None])[:, 0]
    others = z.scatter(1, as_tensor(examples.y)[:, None], -torch.inf).logsumexp(1)
    found: Float64[np.ndarray, " m"] = (own - others).numpy()
    return found


def likelihood_ratios(found: Shadows, together: int = 1) -> Float64[np.ndarray, "N m"]:
    """Return how much likelier each model's view is if it had the record, each model attacked in turn.

    Gaussians are fitted to the other models alone, with a mean for each record and one variance for
    all, as the authors advise where shadow models are few. `together` models are left out at once: 2
    of `paired_shadows`.
    """
    ratios = []
    for first in range(0, len(found.member), together):
        left_out = slice(first, first + together)
        member = np.delete(found.member, left_out, axis=0)
        others = np.delete(found.confidence, left_out, axis=0)
        seen = found.confidence[left_out]
        inside, outside = (_gaussians(others, where) for where in (member, ~member))
        ratios.append(stats.norm.logpdf(seen, *inside) - stats.norm.logpdf(seen, *outside))
    return np.concatenate(ratios)


def membership_auc(found: Shadows) -> Estimate:
    """Return the attack's AUC against each model, its mean and 95 % interval over models."""
    from sklearn.metrics import roc_auc_score

    ratios = likelihood_ratios(found)
    pairs = zip(found.member, ratios, strict=True)
    return over_seeds([float(roc_auc_score(truth, guesses)) for truth, guesses in pairs])


def auc_between_models(found: Shadows) -> float:
    """Return the AUC of LiRA against `paired_shadows`, over pairs of views that come from different models.

    A record that one model had, against any that another had not. What bounds the AUC bounds two
    independent releases; within one model two records share their noise, and an attack could do
    better by their difference.
    """
    from sklearn.metrics import roc_auc_score

    ratios = likelihood_ratios(found, together=2)
    mixed = (found.member.any(axis=1)) & (~found.member).any(axis=1)
    weights = found.member.sum(axis=1) * (~found.member).sum(axis=1)
    within = sum(
        weight * float(roc_auc_score(truth, guesses))
        for weight, truth, guesses in zip(
            weights[mixed], found.member[mixed], ratios[mixed], strict=True
        )
    )
    total = found.member.sum() * (~found.member).sum()
    pooled = total * float(roc_auc_score(found.member.ravel(), ratios.ravel()))
    return float((pooled - within) / (total - weights.sum()))


def auc_ceiling(epsilons: Float64[np.ndarray, " e"], deltas: Float64[np.ndarray, " e"]) -> float:
    """Return the best AUC of any attack on what is (epsilons[i], deltas[i])-DP for every i.

    The area under the largest true positive rate that all pairs allow: at most
    min(e^epsilon * fpr + delta, 1 - e^-epsilon (1 - delta - fpr)). Kairouz, Oh & Viswanath 2015.
    """
    fpr = np.linspace(0, 1, 20_001)
    rise = np.exp(epsilons)[:, None]
    delta = np.asarray(deltas)[:, None]
    allowed = np.minimum(rise * fpr + delta, 1 - (1 - delta - fpr) / rise).min(axis=0)
    return float(np.trapezoid(np.clip(allowed, fpr, 1), fpr))


def _gaussians(
    confidence: Float64[np.ndarray, "N m"], where: Bool[np.ndarray, "N m"]
) -> tuple[Float64[np.ndarray, " m"], float]:
    """Return each record's mean over the models in `where`, and one deviation for all records."""
    count = np.maximum(where.sum(axis=0), 1)
    mean = (confidence * where).sum(axis=0) / count
    squares = (((confidence - mean) ** 2) * where).sum()
    return mean, max(math.sqrt(squares / max(where.sum() - len(mean), 1)), 1e-12)
