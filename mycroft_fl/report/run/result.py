"""The result of a run, typed: what result.json of a simulation and outcome.json of a real run hold.

What only a simulator knows is None in a real run, and what only a real run has is None in a
simulation; None of these has no key in the file. result.schema.json describes every key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mycroft_fl.protocol.card import Card
from mycroft_fl.protocol.messages import Failure
from mycroft_fl.scoring import Score

SCHEMA = 1
SUPERLINK = "superlink"
"""The engine of a real run: its owners stood behind a SuperLink."""
LIBRARY = "library"
"""The engine of a ranking in Python: owners' vaults in its process, over data of their own."""


@dataclass(frozen=True)
class Accuracies:
    """Shares of the test examples that a model gets right.

    `hard` is over those that the baseline gets wrong, None where it gets all right. `groups` are
    the scenario's. `metric` is the run's metric over all of them.
    """

    test: float
    hard: float | None
    groups: Mapping[str, float] | None = None
    metric: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Write the accuracies as a result file holds them."""
        known = _known(groups=self.groups, metric=self.metric)
        return {"test": self.test, "hard": self.hard, **known}


@dataclass(frozen=True)
class ExampleCounts:
    """Numbers of test examples that each accuracy is a share of."""

    test: int
    hard: int
    groups: Mapping[str, int] | None = None

    def as_json(self) -> dict[str, Any]:
        """Write the counts as a result file holds them."""
        return {"test": self.test, "hard": self.hard, **_known(groups=self.groups)}


@dataclass(frozen=True)
class Gains:
    """Gains of the final model over a rival, with intervals; None over no examples.

    In accuracy, but for `metric`, which is over all examples in the run's metric.
    """

    test: Score | None
    hard: Score | None
    metric: Score | None = None

    def as_json(self) -> dict[str, Any]:
        """Write the gains as a result file holds them."""
        known = _known(metric=_gain(self.metric))
        return {"test": _gain(self.test), "hard": _gain(self.hard), **known}


@dataclass(frozen=True)
class RoundResult:
    """A round, and what the model reached after it; None where there are no test examples."""

    round: int
    asked: int
    answered: int
    failed: Mapping[str, Failure]
    disclosed: int
    seconds: float
    reached: Accuracies | None

    def as_json(self) -> dict[str, Any]:
        """Write the round as a result file holds it."""
        return {
            "round": self.round,
            "asked": self.asked,
            "answered": self.answered,
            "failed": dict(self.failed),
            "disclosed": self.disclosed,
            "seconds": self.seconds,
            **(self.reached.as_json() if self.reached else {}),
        }


@dataclass(frozen=True)
class OwnerResult:
    """An owner's place in the ranking, what it gave and what it stated last.

    `stock` is how many useful records it has by a noised count, None where none was asked for.
    `disclosed_groups` and `holds` only a simulator knows. `failure`, the code of its last answer,
    and `lost`, the examples it may have disclosed in vain, are a real run's.
    """

    owner: str
    status: str
    rank: int | None
    score: Score | None
    by_class: Mapping[str, Score]
    disclosed: int
    card: Card | None
    disclosed_groups: Mapping[str, int] | None = None
    holds: Mapping[str, int] | None = None
    failure: Failure | None = None
    lost: int | None = None
    stock: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Write the owner as a result file holds it."""
        score = self.score
        return {
            "owner": self.owner,
            "status": self.status,
            "rank": self.rank,
            "score": score.gain if score else None,
            "low": score.low if score else None,
            "high": score.high if score else None,
            "loss_fall": score.loss_fall if score else None,
            "loss_low": score.loss_low if score else None,
            "loss_high": score.loss_high if score else None,
            "stock": self.stock,
            "by_class": {
                name: {"score": each.gain, "low": each.low, "high": each.high}
                for name, each in self.by_class.items()
            },
            "disclosed": self.disclosed,
            **_known(disclosed_groups=self.disclosed_groups, holds=self.holds),
            "card": self.card.as_json() if self.card else None,
            **_known(failure=self.failure, lost=self.lost),
        }


@dataclass(frozen=True)
class Release:
    """One release, the `answer`-th of its owner, with its card as `Card.as_json` writes it."""

    owner: str
    answer: int
    card: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Write the release as a result file holds it."""
        return {"owner": self.owner, "answer": self.answer, **self.card}


@dataclass(frozen=True)
class Attack:
    """Membership inference on the final model, against one owner.

    `auc` is 0.5 for guessing. `ceiling` is the best that the owner's promise allows, None where
    examples were handed over.
    """

    owner: str
    records: int
    models: int
    auc: float
    ceiling: float | None

    def as_json(self) -> dict[str, Any]:
        """Write the attack as a result file holds it."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class Result:
    """All that there is to say of a run.

    Args:
        scenario: a simulation's, by name.
        task: a real run's, by the path of its file.
        engine: where the owners ran: flower, in-process, superlink or library.
        metric: by which its trainer chose and scored, as `auto` was understood.
        baseline: what it and the other models reach on test examples; None without these.
        free: the strongest model without any owner, by the trainer's tuning split.
        free_is: which of the candidates that is.
        final_is: how the final model came about: with owners, free, baseline, or last round.
        front: prices of the candidates for the final model: points lost of what the baseline gets
            right, points gained of what it gets wrong.
        verdict: the answer to whether to buy, as on the page.
        failing: the groups of the baseline's failures on validation examples, the largest first.
        random: as many examples drawn at random; only a simulator can draw them.
        random_is: how that model came about: as the final one may, see `final_is`.
        gains: the final model's, over each rival.
        privacy: every release, owners' and the trainer's own.
        spent: what counts against the budget of a real run, disclosed or lost.
        attack: of a simulation that tried one; None where it found nobody to attack.
        attacked: whether one was tried.

    """

    scenario: str | None = None
    task: str | None = None
    method: str
    engine: str
    seed: int
    settings: Mapping[str, Any]
    warnings: Sequence[str]
    metric: str | None = None
    baseline: Accuracies | None
    control: Accuracies | None
    own_hard_set: Accuracies | None
    free: Accuracies | None = None
    free_is: str | None = None
    final_is: str | None = None
    front: Sequence[Mapping[str, float]] | None = None
    verdict: str | None = None
    failing: Sequence[Mapping[str, Any]] | None = None
    random: Accuracies | None = None
    random_is: str | None = None
    final: Accuracies | None
    tested: ExampleCounts | None
    gains: Mapping[str, Gains]
    rounds: Sequence[RoundResult]
    owners: Sequence[OwnerResult]
    privacy: Sequence[Release]
    disclosed: int
    spent: int | None = None
    seconds: float
    environment: Mapping[str, Any]
    attack: Attack | None = None
    attacked: bool = False

    def as_json(self) -> dict[str, Any]:
        """Write the result as its file holds it, see result.schema.json."""
        return {
            "schema": SCHEMA,
            **_known(scenario=self.scenario, task=self.task),
            "method": self.method,
            "engine": self.engine,
            "seed": self.seed,
            "settings": dict(self.settings),
            "warnings": list(self.warnings),
            **_known(metric=self.metric),
            **_known(final_is=self.final_is, verdict=self.verdict),
            **_known(failing=self.failing and [dict(each) for each in self.failing]),
            **self._reached(),
            "rounds": [each.as_json() for each in self.rounds],
            "owners": [each.as_json() for each in self.owners],
            "privacy": [each.as_json() for each in self.privacy],
            "disclosed": self.disclosed,
            **_known(spent=self.spent),
            "seconds": self.seconds,
            "environment": dict(self.environment),
            **({"attack": self.attack and self.attack.as_json()} if self.attacked else {}),
        }

    def _reached(self) -> dict[str, Any]:
        """Write what the models reach on test examples; nothing without these."""
        names = ("baseline", "control", "own_hard_set", "free", "random", "final", "tested")
        parts = {name: getattr(self, name) for name in names}
        reached = {name: each.as_json() for name, each in _known(**parts).items()}
        reached |= _known(free_is=self.free_is) if self.free else {}
        reached |= _known(random_is=self.random_is) if self.random else {}
        reached |= _known(front=self.front and [dict(each) for each in self.front])
        if self.gains:
            reached["gains"] = {name: each.as_json() for name, each in self.gains.items()}
        return reached


def _gain(score: Score | None) -> dict[str, float] | None:
    return None if score is None else {"gain": score.gain, "low": score.low, "high": score.high}


def _known(**parts: Any) -> dict[str, Any]:
    return {name: each for name, each in parts.items() if each is not None}
