"""The test examples that no decision of a run can see, and what models reach on them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import AnyModel, correct
from mycroft_fl.scoring import gain_with_interval
from mycroft_fl.seeds import derived_seed
from mycroft_fl.settings.run_config import RunConfig


@dataclass(frozen=True)
class HeldOut:
    """The test examples, the group of each, and which of them the baseline gets wrong."""

    examples: Examples
    groups: np.ndarray
    hard: Bool[np.ndarray, " n"]

    def accuracies(self, model: AnyModel) -> dict[str, Any]:
        """`{test, hard, groups}`: over all, over what the baseline gets wrong, and by group."""
        right = correct(model, self.examples)
        return {
            "test": float(right.mean()),
            "hard": float(right[self.hard].mean()) if self.hard.any() else None,
            "groups": {
                str(group): float(right[self.groups == group].mean())
                for group in np.unique(self.groups)
            },
        }

    def counts(self) -> dict[str, Any]:
        """`{test, hard, groups}`: how many examples each accuracy is a share of."""
        names, counts = np.unique(self.groups, return_counts=True)
        groups = {str(name): int(count) for name, count in zip(names, counts, strict=True)}
        return {"test": len(self.examples), "hard": int(self.hard.sum()), "groups": groups}

    def gain(self, final: AnyModel, rival: AnyModel, config: RunConfig) -> dict[str, Any]:
        """What a model gains over a rival on the same examples, with paired intervals.

        `{test, hard}`, each `{gain, low, high}`; null where there are no hard ones. The intervals say
        how far other test examples could move the figure, not what another seed would.
        """
        better, worse = correct(final, self.examples), correct(rival, self.examples)
        return {
            name: asdict(
                gain_with_interval(
                    better[None, which],
                    worse[None, which],
                    confidence=config.scoring_confidence,
                    seed=derived_seed(config.seed, "gain", name),
                )
            )
            if which.any()
            else None
            for name, which in (("test", np.ones_like(self.hard)), ("hard", self.hard))
        }
