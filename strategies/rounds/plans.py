"""The plan of a round, by the mode of the run: whom to ask for what, and what is learnt from it.

A run has two plans: one for its first round, one for all that follow. To add a mode, write what is
new of these functions and name its two plans in the table of modes, `mycroft_fl.modes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mycroft_fl.modes import MODES, resolved
from mycroft_fl.scoring import Score
from mycroft_fl.selection.methods import sent_in
from mycroft_fl.settings.run_config import MAX_EXAMPLES
from strategies.noised.scores import region_score, score_by_class, scores_of_classes
from strategies.noised.steps import NoisedSteps, relevance_score
from strategies.rounds import allocation
from strategies.rounds.run_state import Answers, Progress

Whom = Callable[[Progress, int], dict[str, int]]
"""Owner -> how many examples it is asked for in a round; of noised answers, one each."""


@dataclass(frozen=True)
class Plan:
    """One round's plan: who is asked for what, and what is learnt.

    `answer` is the mode in which owners are to answer. `learn` scores who answered and improves
    the model.
    """

    answer: str
    whom: Whom
    learn: Callable[[Progress, Answers], None]

    @property
    def hands_over(self) -> bool:
        """Whether examples leave owners in this round."""
        return MODES[self.answer].hands_over

    @property
    def steps_last_layer(self) -> bool:
        """Whether answers move the last layer of the trainer's model."""
        return MODES[self.answer].moves_head

    def values(self, progress: Progress) -> int:
        """Count the numbers of a well-formed answer; 0 where it is examples."""
        numbers = MODES[self.answer].numbers
        return int(resolved(numbers)(progress)) if numbers else 0

    def brings(self, progress: Progress) -> dict[str, Any]:
        """Give the fields of a request that only this mode of answering has."""
        brings = MODES[self.answer].brings
        return dict(resolved(brings)(progress)) if brings else {}


def pilots(progress: Progress, server_round: int) -> dict[str, int]:
    """Ask everybody for first examples, as far as the budget goes; for all they hold with `full`."""
    scoreboard, config = progress.scoreboard, progress.config
    if progress.method.everything:
        return dict.fromkeys(scoreboard.records, MAX_EXAMPLES)
    left = config.budget - scoreboard.spent
    return allocation.pilots(
        scoreboard.records, budget=left, per_owner=config.pilot_per_owner, seed=config.seed
    )


def more(progress: Progress, server_round: int) -> dict[str, int]:
    """Ask those whose pilots earn it for more examples."""
    if progress.method.everything:
        return {}
    return _granted(progress, server_round, set(progress.scoreboard.open_to_more()))


def best(progress: Progress, server_round: int) -> dict[str, int]:
    """Ask those whose noised scores earn it for examples; once for all they hold with `full`."""
    scoreboard = progress.scoreboard
    if not progress.method.everything:
        return _granted(progress, server_round, set(scoreboard.scored()))
    if server_round > 2:
        return {}
    return dict.fromkeys(_split(progress, set(scoreboard.scored()), MAX_EXAMPLES), MAX_EXAMPLES)


def everybody(progress: Progress, server_round: int) -> dict[str, int]:
    """Ask every owner for one noised answer."""
    return dict.fromkeys(progress.scoreboard.records, 1)


def nobody(progress: Progress, server_round: int) -> dict[str, int]:
    """Ask nobody: the run is over."""
    return {}


def stepping(progress: Progress, server_round: int) -> dict[str, int]:
    """Ask every owner that the steps go by for one noised gradient."""
    return dict.fromkeys(progress.steps.owners, 1) if progress.steps else {}


def training(progress: Progress, server_round: int) -> dict[str, int]:
    """Ask every owner whose score earns it, once, for one trained last layer."""
    return stepping(progress, server_round) if server_round == 2 else {}


def by_fine_tuning(progress: Progress, answers: Answers) -> None:
    """Score who answered; of too many, all cheaply and the best by fine-tuning."""
    scoreboard, trainer = progress.scoreboard, progress.trainer
    subsets = scoreboard.subsets(answers.owners)
    if len(subsets) > trainer.config.scoring_at_most:
        cheap = trainer.valuation.alignments(subsets)
        scoreboard.enter_screening(cheap)
        best_first = sorted(cheap, key=lambda owner: (-cheap[owner], owner))
        subsets = {owner: subsets[owner] for owner in best_first[: trainer.config.scoring_at_most]}
    scoreboard.enter_scores(trainer.valuation.scores(subsets))
    by_examples(progress, answers)


def by_examples(progress: Progress, answers: Answers) -> None:
    """Train on what came. Scores stay the noised ones, over all owners alike."""
    progress.model = progress.trainer.improved(progress.scoreboard.worth_having())


def by_noised_scores(progress: Progress, answers: Answers) -> None:
    """Rank owners by what they say of themselves, under noise."""
    trainer, confidence = progress.trainer, progress.config.scoring_confidence
    if progress.config.score_by == "class":
        for owner, statistic in answers.statistics.items():
            score = score_by_class(statistic, trainer.hard_set, confidence)
            progress.scoreboard.enter_class_scores(
                owner, score, scores_of_classes(statistic, trainer)
            )
    elif sent_in(progress.config) == "detector":
        for owner, statistic in answers.statistics.items():
            score, stock = region_score(statistic, trainer.detector, confidence)
            progress.scoreboard.enter_stock(owner, score, stock)
    else:
        progress.scoreboard.enter_scores(
            {
                owner: relevance_score(statistic, confidence)
                for owner, statistic in answers.statistics.items()
            }
        )
    progress.model = progress.trainer.improved(progress.scoreboard.worth_having())


def beginning_steps(progress: Progress, answers: Answers) -> None:
    """Rank owners, and begin to step with those whose scores earn it."""
    by_noised_scores(progress, answers)
    scores = progress.scoreboard.scored()
    progress.steps = NoisedSteps.begun(progress.trainer, answers.statistics, scores)


def by_step(progress: Progress, answers: Answers) -> None:
    """Take one step of the last layer."""
    assert progress.steps is not None
    progress.steps.step(answers.statistics)
    progress.model = progress.steps.best()


def by_trained_heads(progress: Progress, answers: Answers) -> None:
    """Move the last layer as the owners' own training moved it, as far as serves the tuning split."""
    assert progress.steps is not None
    progress.model = progress.steps.moved(answers.statistics)


def _granted(progress: Progress, server_round: int, candidates: set[str]) -> dict[str, int]:
    """Split this round's part of what is left of the budget among `candidates`."""
    config = progress.config
    left = config.budget - progress.scoreboard.spent
    spend = -(-left // (config.num_rounds - server_round + 1))
    return _split(progress, candidates, spend) if spend >= 1 else {}


def _split(progress: Progress, candidates: set[str], spend: int) -> dict[str, int]:
    """Split `spend` as set, by score or equally; nothing where nobody's score earns it."""
    config = progress.config
    scores = {
        name: score for name, score in progress.scoreboard.scored().items() if name in candidates
    }
    if not candidates or (config.stop_early and not _is_worth_more(progress, scores)):
        return {}
    stocks = progress.scoreboard.stocks(candidates)
    if config.allocation == "equal":
        granted = allocation.equal_shares(candidates, spend)
        return {
            name: count
            for name in granted
            if (count := min(granted[name], stocks.get(name, spend)))
        }
    if stocks:
        clear = {
            name: stocks[name] for name in stocks if name in scores and scores[name].is_clear
        } or stocks
        promises = {name: progress.scoreboard.records[name].promise for name in clear}
        return allocation.by_stock(promises, clear, spend)
    return allocation.by_score(scores, spend)


def _is_worth_more(progress: Progress, scores: Mapping[str, Score]) -> bool:
    """Say whether anybody helps beyond doubt, or all do together."""
    if any(each.is_clear for each in scores.values()):
        return True
    return progress.trainer.valuation.helps_together(progress.scoreboard.worth_having())


Plans = tuple[Plan, Plan]
"""The plan of a run's first round, and of every later one."""


def bought(answer: str) -> Plans:
    """Plan a run that asks for examples, and scores owners by fine-tuning on them."""
    return Plan(answer, pilots, by_fine_tuning), Plan(answer, more, by_fine_tuning)


def scored(answer: str) -> Plans:
    """Plan a run of noised scores alone."""
    return Plan(answer, everybody, by_noised_scores), Plan(answer, nobody, by_noised_scores)


def scored_then_raw(mode: str) -> Plans:
    """Plan a run of noised scores, and of examples of the best."""
    return Plan("score", everybody, by_noised_scores), Plan("raw", best, by_examples)


def stepped(answer: str) -> Plans:
    """Plan a run of noised scores, and of steps of the last layer."""
    return Plan("score", everybody, beginning_steps), Plan(answer, stepping, by_step)


def trained(answer: str) -> Plans:
    """Plan a run of noised scores, and of a last layer that owners train."""
    return Plan("score", everybody, beginning_steps), Plan(answer, training, by_trained_heads)


def plans_of(mode: str) -> Plans:
    """Give the two plans of a run of this mode."""
    plans: Plans = resolved(MODES[mode].plans)(mode)
    return plans


def answer_modes(mode: str) -> list[str]:
    """Name the modes in which owners are asked to answer in a run of this mode, each once."""
    return list(dict.fromkeys(plan.answer for plan in plans_of(mode)))
