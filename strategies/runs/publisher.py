"""The trainer's publications, with noise and its own ledger: a target, owners' scores, a model.

The target goes to the owners that are asked, in place of hard examples; the unit is one of these.
It is drawn once for the whole run.

Scores are published to owners, as the file `published.json`, which the trainer hands to whom it
likes. The unit is a record of the scoring split, or one of an owner's subset. A score hangs on
nothing else of either as long as nobody was asked by scores: so only the first round's are
published, unless all owners are asked alike. The model is for its users; the unit is an acquired
example, and what was acquired counts as given.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mycroft_fl.errors import SettingError
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import Classifier
from mycroft_fl.privacy.noise.accounting import Filter, Spend, epsilon_of, multiplier_for
from mycroft_fl.privacy.noise.mechanisms import price
from mycroft_fl.privacy.noise.samplers import OS_ENTROPY, Noise
from mycroft_fl.privacy.relevance.hard_set_target import RecordView
from mycroft_fl.privacy.relevance.noised_target import noised_gradient_sum, target_of_sum
from mycroft_fl.privacy.relevance.scores import noised_scores
from mycroft_fl.privacy.spending.budget import Budget, Limits
from mycroft_fl.privacy.spending.ledger import Key, PrivacyLedger
from mycroft_fl.protocol.card import Card
from mycroft_fl.protocol.messages import NoisedTarget, Statistic
from strategies.noised.steps import NoisedSteps
from strategies.rounds.compatibility import check_publishing
from strategies.training.trainer import Trainer

log = logging.getLogger(__name__)

NoiseFor = Callable[[str], Noise]
UNITS_OF_SCORES = {
    "scoring-record": "record of the scoring split",
    "owner-record": "record of an owner's subset",
}
SAMPLE_RATE, STEPS, CLIP, RATE = 0.25, 50, 5.0, 0.1
"""Constants of DP-SGD on acquired examples: public, never from these."""


class Publisher:
    """Publishes what a run's settings say, charged in the trainer's own ledger before it is drawn.

    Asked again for the same round, as when a run is resumed, it returns what was published.
    """

    def __init__(
        self, trainer: Trainer, folder: Path, noise_for: NoiseFor = lambda purpose: OS_ENTROPY
    ) -> None:
        check_publishing(trainer.config)
        self._trainer, self._config = trainer, trainer.config
        self._noise_for = noise_for
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.releases: list[dict[str, Any]] = []

    def publish_target(self) -> NoisedTarget | None:
        """Publish a mean gradient in place of hard examples; None where they are sent themselves."""
        config, trainer = self._config, self._trainer
        if config.request != "target":
            return None
        budget = Filter.of(config.target_epsilon, config.target_delta)
        multiplier, clip = multiplier_for(budget.rho), config.target_clip

        def draw(noise: Noise) -> np.ndarray:
            hard = trainer.hard_set.sent
            released = noised_gradient_sum(trainer.gradient_model, hard, clip, multiplier, noise)
            return np.append(released.values, released.sigma)

        released = self._released("target", "target", Spend(rho=price(multiplier)), draw)
        card = self._card("target", "target", "hard example")
        self.releases.append({"what": "target", "card": card.as_json()})
        return target_of_sum(
            released[:-1], float(released[-1]), clip=clip, stands_for=config.hard_set_sent
        )

    def publish_scores(self, server_round: int, owners: Sequence[str]) -> None:
        """Publish this round's scores of all owners, if they may be published; 0 and noise for who has none.

        Covers all owners that are there: who is missing would say something too.
        """
        config = self._config
        if not config.publish_epsilon:
            return
        if server_round > 1 and (config.allocation != "equal" or config.stop_early):
            return  # who was asked hangs on the scores of the round before
        if len(owners) > config.scoring_at_most:
            log.warning("scores are not published: owners were screened by one another's scores")
            return
        multiplier = multiplier_for(self._filter(config.publish_epsilon).rho / config.num_rounds)
        spend, purpose = Spend(rho=price(multiplier)), f"scores of round {server_round}"

        def draw(noise: Noise) -> np.ndarray:
            nothing = np.zeros(len(self._trainer.splits.scoring))
            gains = {owner: self._trainer.valuation.gains.get(owner, nothing) for owner in owners}
            clip = config.publish_clip if config.publish_unit == "owner-record" else None
            scores, sigma = noised_scores(gains, clip, multiplier, noise)
            return np.array([*(scores[owner] for owner in sorted(owners)), sigma])

        released = self._released("scores", purpose, spend, draw)
        scores = dict(zip(sorted(owners), released[:-1].tolist(), strict=True))
        self.releases.append({
            "what": "scores", "round": server_round, "scores": scores, "sigma": float(released[-1]),
            "ranking": sorted(scores, key=lambda owner: (-scores[owner], owner)),
            "card": self._card("scores", purpose, UNITS_OF_SCORES[config.publish_unit]).as_json(),
        })  # fmt: skip

    def publish_model(self, acquired: Examples | None) -> Classifier | None:
        """Publish a model with (epsilon, delta) for each acquired example; None where none is wanted."""
        if not self._config.publish_model_epsilon or acquired is None:
            return None
        from mycroft_fl.privacy.noise.accounting import sgd_run_within
        from mycroft_fl.privacy.sgd import HeadRun, Weighted, head_delta

        trainer, config = self._trainer, self._config
        if not isinstance(trainer.baseline, Classifier):
            raise SettingError("publish-model-epsilon trains a network's last layer; use a network")
        budget = self._filter(config.publish_model_epsilon)
        sgd = sgd_run_within(budget.limit, budget.order, SAMPLE_RATE, STEPS)
        # The budget of examples is public; how many were acquired is what one more would change.
        run = HeadRun(sgd, CLIP, RATE / config.budget)
        model = trainer.baseline

        def draw(noise: Noise) -> np.ndarray:
            # One by one: in a batch, an example's last bits would depend on its neighbours.
            seen = RecordView.through(model, acquired)
            return head_delta(model.head, Weighted(seen, np.ones(len(acquired))), run, noise)

        released = self._released("model", "model", Spend(sgd=sgd), draw)
        card = self._card("model", "model", "acquired example")
        self.releases.append({"what": "model", "card": card.as_json()})
        steps = NoisedSteps(trainer, {"acquired": 1.0}, start=model)
        return steps.moved({"acquired": Statistic(released, run.sigma)})

    def _released(
        self,
        book: str,
        purpose: str,
        spend: Spend,
        draw: Callable[[Noise], np.ndarray],
    ) -> np.ndarray:
        """Charge, then draw, then keep a release; return the same bytes the next time."""
        ledger, key = self._ledger(book), Key("trainer", "the public", purpose)
        content = ledger.recall(key)
        if content is None:
            epsilon, delta = self._promised(book)
            limits = Limits(Budget.of(epsilon=epsilon, delta=delta))
            ledger.charge(key, f"publish-{book}", spend, limits)
            content = ledger.store(key, draw(self._noise_for(purpose)).tobytes())
        return np.frombuffer(content, np.float64)

    def _ledger(self, book: str) -> PrivacyLedger:
        # Two units, two ledgers: what one protects says nothing of the other.
        return PrivacyLedger(self._folder / f"{book}.sqlite")

    def _filter(self, epsilon: float) -> Filter:
        return Filter.of(epsilon, self._config.publish_delta)

    def _promised(self, book: str) -> tuple[float, float]:
        """Look up epsilon and delta of all that is published of one kind."""
        config = self._config
        return {
            "target": (config.target_epsilon, config.target_delta),
            "scores": (config.publish_epsilon, config.publish_delta),
            "model": (config.publish_model_epsilon, config.publish_delta),
        }[book]

    def _card(self, book: str, purpose: str, unit: str) -> Card:
        ledger, (limit, delta) = self._ledger(book), self._promised(book)
        row = ledger.row(Key("trainer", "the public", purpose))
        assert row is not None
        spends, origin = [each.spend for each in ledger.rows()], self._noise_for(purpose).origin
        return Card(
            mode=f"publish-{book}", unit=unit, records=0, records_total=0, delta=delta,
            epsilon=epsilon_of([row.spend], delta), epsilon_total=epsilon_of(spends, delta),
            rho=row.rho, rho_total=sum(each.rho for each in spends), epsilon_limit=limit,
            epsilon_minus_total=0.0, raw=False,
            noise=origin,
        )  # fmt: skip
