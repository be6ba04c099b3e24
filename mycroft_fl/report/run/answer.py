"""The verdict on a run, from its result: buy from whom, why, at what cost, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mycroft_fl.modes import MODES
from mycroft_fl.report.run.by_class import clear_of_the_last, clearest, how_like, yardstick
from mycroft_fl.report.run.caveats import caveats_of, luck_of
from mycroft_fl.report.run.gains import (
    Gain,
    Result,
    cost_per_point,
    gain_over,
    rival_of,
)
from mycroft_fl.report.run.judged import judged_by
from mycroft_fl.report.run.measure import by_loss, by_region, measure_of, scores_are_gains
from mycroft_fl.report.run.tiles import Tile, largest_epsilon, tiles

NAMED = 5
MOVING = frozenset(mode.name for mode in MODES.values() if mode.moves_head)
"""Modes whose noised answers move the model; a noised score only ranks owners."""


@dataclass(frozen=True)
class Verdict:
    """The verdict in a line, why in a paragraph, what to keep in mind, and the figures behind it."""

    verdict: str
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    tiles: tuple[Tile, ...]


def worth_it(result: Result) -> list[Mapping[str, Any]]:
    """List the owners whose whole interval lies above zero, from the first rank on.

    By class nearly everybody's does: there, above that of whoever is ranked last.
    """
    sure = [each for each in result["owners"] if is_clear(each)]
    return clear_of_the_last(sure, result["owners"])


def is_clear(owner: Mapping[str, Any]) -> bool:
    """Say whether an owner's gain is above zero beyond doubt: by the fall in log-loss, where it is known."""
    bound = owner["low"] if owner.get("loss_low") is None else owner["loss_low"]
    return bound is not None and bound > 0


def answer(result: Result) -> Verdict:
    """Answer the trainer's question: buy from whom, why, at what cost, or not at all."""
    gain = gain_over(result, rival_of(result))
    if "final" in result and result["final"]["hard"] is None:
        verdict = "There is nothing to buy for"
        return Verdict(verdict, ("The baseline gets every test example right.",), (), ())
    if result["settings"].get("mode", "raw") == "score":
        verdict, reasons = _by_relevance(result)
    elif not result["disclosed"] and not _moved(result):
        verdict = "Nothing was bought"
        reasons = ["No owner handed anything over, so the model is the one you have without them."]
    elif gain is None:
        verdict, reasons = _by_scores(result)
    else:
        verdict, reasons = _by_gain(result, gain)
    return Verdict(verdict, tuple(reasons), tuple(caveats_of(result)), tuple(tiles(result, gain)))


def _by_gain(result: Result, gain: Gain) -> tuple[str, list[str]]:
    sure = worth_it(result)
    rival = rival_of(result)
    judged = judged_by(result)
    without, final = (100 * result[key][judged.key] for key in (rival, "final"))
    alone = f"{_alone(result)}, which costs nothing, {without:.1f} %"
    if result.get("final_is") == "baseline":
        return "Keep your model", [
            "Every other model loses more than harm-at-most of what the baseline gets right on your tuning "
            "examples. A larger harm-at-most allows more; the price list shows what it would bring."
        ]
    if result.get("final_is") == "free":
        what = (
            "Of your former failures it gets right"
            if judged.is_accuracy
            else f"Its {judged.words} is"
        )
        return "Keep your model", [
            "What owners gave is not in the final model: your own examples speak against it. "
            f"The final model is the free one. {what}, {alone}."
        ]
    model = f"gets {final:.1f} % of its former failures right"
    if not judged.is_accuracy:
        model = f"reaches {final:.1f} % in {judged.words} {judged.where}"
    reached = f"With what owners gave, the model {model}; {alone}: {gain} points"
    if not gain.is_sure:
        what = "too little to tell from nothing" if gain.points > 0 else "no gain"
        return "Keep your model", [f"{reached}, {what}.", *([_why(result, sure)] if sure else [])]
    whole = gain_over(result, rival, "test")
    if whole is not None and whole.is_loss:
        return "Keep your model", [
            f"{reached}. But over the whole test it loses more than that brings: {whole} points. A smaller "
            "harm-at-most forbids it."
        ]
    reasons = [reached + _cost(result, gain) + ".", luck_of(result), _epsilon_sentence(result)]
    if not sure:
        return "Buy from nobody yet: together they help, but who does is not clear", [
            *reasons,
            "But of no owner by itself is the gain clearly above zero. A larger pilot-per-owner would tell, "
            "or noised counts: method = detector-cover with mode = score-then-raw.",
        ]
    names = _listed([each["owner"] for each in sure])
    verdict = f"Buy from {names}" if scores_are_gains(result) else f"Ask {names}"
    return verdict, [*reasons, _why(result, sure)]


def _alone(result: Result) -> str:
    """Say how the rival came about."""
    if rival_of(result) == "own_hard_set" or result.get("free_is") == "own hard set":
        return "with your own hard set alone"
    if result.get("free_is") == "baseline":
        return "as it was before"
    if result.get("free_is") == "control":
        return "trained on your own data again"
    return "trained on all that you hold yourself"


def _by_scores(result: Result) -> tuple[str, list[str]]:
    """Judge a real run without test examples: owners' scores are all there is."""
    untested = (
        "The task names no test examples, so what the final model gains is not known; owners are "
        "judged by their scores alone."
    )
    sure = worth_it(result)
    if not sure:
        return "Buy from nobody on this evidence", [untested]
    verdict = "Buy from" if scores_are_gains(result) else "Ask"
    names = _listed([each["owner"] for each in sure])
    return f"{verdict} {names}", [untested, _why(result, sure)]


def _why(result: Result, sure: Sequence[Mapping[str, Any]]) -> str:
    measure = measure_of(result)
    if not scores_are_gains(result):
        said = [f"{each['owner']} {measure.text(each)} %{_most(each)}" for each in sure[:NAMED]]
        if by_region(result):
            return (
                "Of what they hold, this share is like your failures, by noised counts in the detector's "
                f"region: {'; '.join(said)}{_more(sure)}."
            )
        return (
            f"What they hold is clearly {how_like(sure)}. The relevance of an average record, "
            f"where a hard example has 100 %: {'; '.join(said)}{_more(sure)}."
        )
    said = [
        f"{each['owner']} {measure.text(each)} for {_count(each['disclosed'], 'example')}"
        for each in sure[:NAMED]
    ]
    if by_loss(result):
        return (
            "By itself each of these clearly lowers the log-loss on your validation examples below what all "
            f"that you hold gives, in hundredths of a nat: {'; '.join(said)}{_more(sure)}."
        )
    return (
        f"By itself each of these clearly raises {judged_by(result).words} on your scoring examples above "
        f"what your own hard set gives, in points: {'; '.join(said)}{_more(sure)}."
    )


def _most(owner: Mapping[str, Any]) -> str:
    clear = clearest(owner.get("by_class", {}))
    return f", most of class {clear[0]}" if clear else ""


def _by_relevance(result: Result) -> tuple[str, list[str]]:
    sure = worth_it(result)
    moved = "No example moved, so this run says whom to ask and not yet what it brings."
    if not sure:
        return "Ask nobody on this evidence", [
            f"Of no owner is {_named(result)} clearly above {yardstick(result['owners'])} at this noise: the "
            "noise hides what there is, or there is nothing. A larger policy.epsilon tells the two apart.",
            moved,
        ]
    names = _listed([each["owner"] for each in sure])
    return f"Ask {names}", [_why(result, sure), moved]


def _named(result: Result) -> str:
    return "the share of useful records" if by_region(result) else "the relevance"


def _cost(result: Result, gain: Gain) -> str:
    cost = cost_per_point(result, gain)
    if cost is None:
        return ""
    at, least, most = cost
    between = "" if least is None else f" ({least:.1f} to {most:.1f})"
    return f" for {_count(result['disclosed'], 'example')}, {at:.1f}{between} a point"


def _epsilon_sentence(result: Result) -> str:
    spent = largest_epsilon(result)
    if not spent:
        return ""
    return f"For noised answers owners spent up to epsilon {spent:.3g} per unit."


def _moved(result: Result) -> bool:
    """Check whether noised answers moved the model."""
    return any(each["mode"] in MOVING for each in result["privacy"])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _listed(names: Sequence[str]) -> str:
    shown = list(names[:NAMED])
    if len(names) > NAMED:
        return f"{', '.join(shown)} and {len(names) - NAMED} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _more(sure: Sequence[object]) -> str:
    return f"; and {len(sure) - NAMED} more" if len(sure) > NAMED else ""
