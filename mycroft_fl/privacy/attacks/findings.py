"""The attacks by mode, on scikit-learn's digits: what each got beside the most that is possible."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
from scipy import stats

from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import FineTuneSettings, FitSettings, fine_tune, fit
from mycroft_fl.models.networks import Classifier, build
from mycroft_fl.models.sources import Source
from mycroft_fl.models.weights import flat_head, load_head
from mycroft_fl.privacy.attacks.membership import membership_auc, shadows
from mycroft_fl.privacy.attacks.probing import (
    drawn_share,
    half_known,
    inclusion_of_the_only_useful,
    most_similar,
)
from mycroft_fl.privacy.attacks.reconstruction import (
    features_within,
    identification_ceiling,
    identified,
    similarity,
)
from mycroft_fl.privacy.audits.bounds import Finding, membership_ceiling
from mycroft_fl.privacy.noise.mechanisms import choice_price, noised_sum
from mycroft_fl.privacy.noise.samplers import OS_ENTROPY, Noise
from mycroft_fl.privacy.relevance.hard_set_target import USEFUL, RecordView, Target

STRENGTH, PICKS, VICTIMS, DRAWS = 4.0, 10, 60, 40
MODELS, ACQUIRED, STEPS = 24, 60, 10
CANDIDATES, TRIALS = 32, 400
CONFIDENCE = 0.9999
WIDE = 10_000, 50, 860
"""Records, picks, and useful records at least, where no probe may have more than one in twenty."""


@functools.cache
def _digits() -> tuple[Classifier, Examples, Examples]:
    """Return a model fitted to some digits, what it was fitted to, and an owner's others."""
    from sklearn.datasets import load_digits

    loaded = load_digits()
    x = (loaded.images / 16).astype(np.float32)[:, None]
    examples = Examples(x, loaded.target.astype(np.int64))
    order = np.random.default_rng(0).permutation(len(x))
    train, held = examples[order[:190]], examples[order[190:]]
    model = build("mlp", x.shape[1:], 10, seed=0)
    return fit(model, train, None, FitSettings(10, 32, 1e-3), seed=0), train, held


def probe_raw() -> Iterator[Finding]:
    """Probe `raw`: half of a record is known, and what is most like it is handed over."""
    _, train, held = _digits()
    typical = train.x.mean(axis=0)
    got = sum(
        victim
        in most_similar(held, half_known(held.x[victim], int(held.y[victim]), typical), PICKS)
        for victim in range(VICTIMS)
    )
    name = f"half of a record known, {PICKS} nearest"
    yield Finding("raw", name, "records got", got / VICTIMS, 1.0, 0.5)


def probe_drawn() -> Iterator[Finding]:
    """Probe drawn records, in the same way and by the strongest probe, which one record alone answers to."""
    model, train, held = _digits()
    typical, seen, got = train.x.mean(axis=0), RecordView.through(model, held), 0
    claimed = -math.expm1(-choice_price(PICKS, STRENGTH, len(held)))
    for victim in range(VICTIMS):
        probe = half_known(held.x[victim], int(held.y[victim]), typical)
        useful = seen.relevances(model.head, Target.of(model, probe)) > USEFUL
        share = drawn_share(useful, victim, PICKS, STRENGTH, DRAWS, OS_ENTROPY)
        got += round(share * DRAWS)
    least = _at_least(got, VICTIMS * DRAWS)
    yield Finding("raw-gumbel", "half of a record known", "records got, at least", least, claimed)
    alone_useful = np.arange(len(held)) == 0
    trials = VICTIMS * DRAWS
    times = round(trials * drawn_share(alone_useful, 0, PICKS, STRENGTH, trials, OS_ENTROPY))
    name = "a probe that one record answers to"
    bounds = _at_least(times, trials), claimed, 0.5 * claimed
    yield Finding("raw-gumbel", name, "records got, at least", *bounds)
    exact = inclusion_of_the_only_useful(len(held), PICKS, STRENGTH)
    yield Finding("raw-gumbel", name, "records got, exactly", exact, claimed, 0.95 * claimed)
    n, k, crowd = WIDE
    exact = inclusion_of_the_only_useful(n, k, STRENGTH, beside=crowd - 1)
    yield Finding(
        "raw-gumbel", f"the same among {crowd} useful", "records got, exactly", exact, 0.05
    )


def reconstruct() -> Iterator[Finding]:
    """Reconstruct a record's features from its gradient, without noise and from a noised sum."""
    model, _, held = _digits()
    through = RecordView.through(model, held[:20])
    hidden, rows = through.inputs, through.gradients(model.head, np.ones(20), 1.0)[:]
    shape = (10, hidden.shape[1] + 1)
    seen = [
        similarity(features_within(r.reshape(shape)), h) for r, h in zip(rows, hidden, strict=True)
    ]
    yield Finding("gradient", "one record, no noise", "likeness, at worst", min(seen), 1.0, 0.999)
    sum_ = noised_sum(rows, Fraction(1), 4.0, OS_ENTROPY).values.reshape(shape)
    likeness = max(abs(similarity(features_within(sum_), each)) for each in hidden)
    yield Finding("gradient", "20 records, noise multiplier 4", "likeness, at best", likeness, 0.9)


def identify() -> Iterator[Finding]:
    """Find which of 32 records is in a noised sum, for somebody who knows all the others."""
    model, _, held = _digits()
    seen = RecordView.through(model, held[: CANDIDATES + 20])
    rows = seen.gradients(model.head, np.ones(CANDIDATES + 20), 1.0)[:]
    truth = np.random.default_rng(0).integers(0, CANDIDATES, TRIALS)
    for multiplier, tight in ((1 / 64, 0.9), (0.5, 0.0), (2.0, 0.0)):

        def release(given: np.ndarray, multiplier: float = multiplier) -> np.ndarray:
            return noised_sum(given, Fraction(1), multiplier, OS_ENTROPY).values

        right = identified(release, rows[:CANDIDATES], rows[CANDIDATES:], truth)
        name = f"which of {CANDIDATES}, noise multiplier {multiplier:g}"
        ceiling = identification_ceiling(CANDIDATES, 1 / multiplier)
        least = _at_least(right, TRIALS)
        yield Finding("gradient", name, "right, at least", least, ceiling, tight)


def infer_membership() -> Iterator[Finding]:
    """Run LiRA against the last layer fine-tuned by plain steps, and by noised gradients."""
    model, _, held = _digits()
    pool = held[: 2 * ACQUIRED]
    settings = FineTuneSettings(150, 32, 3e-3)

    def plainly(acquired: Examples, seed: int) -> Classifier:
        return fine_tune(model, [Source(acquired, 1.0)], settings, seed=seed)

    found = membership_auc(shadows(plainly, pool, MODELS, seed=0))
    yield Finding("raw", "fine-tuned on what was handed over", "AUC", found.mean, 1.0, 0.55)
    for mu in (8.0, 0.25):
        multiplier = math.sqrt(STEPS) / mu

        def privately(acquired: Examples, seed: int, multiplier: float = multiplier) -> Classifier:
            return by_noised_sums(model, acquired, multiplier, OS_ENTROPY)

        found = membership_auc(shadows(privately, pool, MODELS, seed=0))
        name, ceiling = f"{STEPS} noised steps, mu {mu:g}", membership_ceiling(mu)
        least = found.mean - 2 * found.half_width
        yield Finding("gradient", name, "AUC, at least", least, ceiling)


def by_noised_sums(
    model: Classifier, acquired: Examples, multiplier: float, noise: Noise
) -> Classifier:
    """Fine-tune the last layer by `STEPS` noised sums: Gaussian DP of mu = sqrt(STEPS) / multiplier.

    Args:
        model: left as it is.
        acquired: the records under attack.
        multiplier: of the noise.
        noise: the source of random bytes.
    """
    model = copy.deepcopy(model)
    seen = RecordView.through(model, acquired)
    for _ in range(STEPS):
        rows = seen.gradients(model.head, np.ones(len(acquired)), 1.0)
        released = noised_sum(rows, Fraction(1), multiplier, noise).values
        # By a public number: the true one is private.
        load_head(model, (flat_head(model) - 2.0 * released / ACQUIRED).astype(np.float32))
    return model


ATTACKS: dict[str, tuple[Callable[[], Iterator[Finding]], ...]] = {
    "raw": (probe_raw, infer_membership),
    "raw-gumbel": (probe_drawn,),
    "gradient": (reconstruct, identify, infer_membership),
}


def attacked(mode: str | None = None) -> list[Finding]:
    """Run every attack on a mode, or on every mode."""
    chosen = ATTACKS.get(mode, ()) if mode else [each for some in ATTACKS.values() for each in some]
    return [finding for each in dict.fromkeys(chosen) for finding in each()]


def _at_least(count: int, n: int) -> float:
    """Return the Clopper-Pearson bound: with confidence, the probability is at least this."""
    return float(stats.beta.ppf(1 - CONFIDENCE, count, n - count + 1)) if count else 0.0
