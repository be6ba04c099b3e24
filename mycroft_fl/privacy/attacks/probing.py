"""Probing: a trainer that knows half of an image asks for what is like it, to get that very record."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float, Int64

from mycroft_fl.examples import Examples
from mycroft_fl.privacy.noise.mechanisms import UNITS, drawn_by_utility
from mycroft_fl.privacy.noise.samplers import Noise
from mycroft_fl.selection.methods import method_named
from mycroft_fl.selection.query import Query


def half_known(
    x: Float[np.ndarray, "c h w"],
    label: int,
    typical: Float[np.ndarray, "c h w"],
    *,
    copies: int = 8,
    seed: int = 0,
) -> Examples:
    """Make a hard set of one image's upper half: below it what is typical, a little different each.

    The label is known, which makes the attack stronger than it need be.

    Args:
        x: the image that is sought.
        label: its class.
        typical: the lower half is taken from it.
        copies: how many hard examples.
        seed: of the small differences.
    """
    rng = np.random.default_rng(seed)
    probe = np.repeat(x[None], copies, axis=0).astype(np.float32)
    half = x.shape[-2] // 2
    lower = typical[..., half:, :] + 0.02 * rng.standard_normal(probe[..., half:, :].shape)
    probe[..., half:, :] = np.clip(lower, 0, 1)
    return Examples(probe, np.full(copies, label))


def most_similar(pool: Examples, probe: Examples, k: int) -> Int64[np.ndarray, " k"]:
    """Return what `raw` hands over: the nearest by pixels, as the owner's own method finds them."""
    query = Query(hard=probe, model=None, feature_space="pixels", seed=0)
    return np.asarray(method_named("features").select(pool, query, k).indices, np.int64)


def drawn_share(
    useful: Bool[np.ndarray, " n"], x: int, k: int, strength: float, draws: int, noise: Noise
) -> float:
    """Count over `draws` how often record `x` is among `k` drawn with the static utility.

    Args:
        useful: which records have the highest utility.
        x: the record that is sought.
        k: how many are drawn.
        strength: of the draw.
        draws: how often.
        noise: the source of random bytes.
    """
    levels = np.where(useful, UNITS, 0).astype(np.int64)
    drawn = (drawn_by_utility(levels, k, strength, noise) for _ in range(draws))
    return sum(x in each for each in drawn) / draws


def inclusion_of_the_only_useful(n: int, k: int, strength: float, beside: int = 0) -> float:
    """Return exactly how often a useful record is drawn where `beside` others of n - 1 are useful.

    By the chance of missing it draw after draw; with others, by the sum over how many of them
    went before.

    Args:
        n: records in all.
        k: how many are drawn.
        strength: of the draw.
        beside: how many others are useful.
    """
    if not 0 <= beside < n or not k < n:
        raise ValueError(f"{beside} others of {n} records, {k} drawn; give fewer than {n} of both")
    rise = math.exp(strength)
    went = np.zeros(min(k, beside) + 1)  # the chance that so many useful others went, x not
    went[0] = 1.0
    used = np.arange(len(went))
    for step in range(k):
        useful, plain = beside - used, (n - 1 - beside) - (step - used)
        whole = rise * (useful + 1) + plain
        on = went * rise * np.maximum(useful, 0) / whole
        off = went * np.maximum(plain, 0) / whole
        went = off
        went[1:] += on[:-1]
    return float(1 - went.sum())
