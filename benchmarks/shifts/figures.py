"""The figures of one run in a world where it is known who holds what helps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from scipy.stats import kendalltau

from mycroft_fl.report.run.answer import is_clear

Result = dict[str, Any]


def over(result: Result, rival: str, on: str) -> float:
    """What the final model gains over a rival, on the failures ("hard") or the whole test."""
    return float(result["final"][on] - result[rival][on])


def over_rule(by_seed: Mapping[int, Result], rivals: Mapping[int, Result]) -> list[float]:
    """What the final model gains on the failures over another rule's, for each seed of both."""
    return [
        float(result["final"]["hard"] - rivals[seed]["final"]["hard"])
        for seed, result in by_seed.items()
        if seed in rivals
    ]


def elsewhere(result: Result, failing: Sequence[str]) -> float:
    """The mean change over the free model on the groups that the baseline does not fail on."""
    final, free = result["final"]["groups"], result["free"]["groups"]
    others = [group for group in final if group not in failing]
    return sum(float(final[group] - free[group]) for group in others) / len(others)


def usefulness(owner: Result, failing: Sequence[str]) -> float:
    """The share of an owner's data that is of a failing group."""
    holds = owner["holds"]
    return sum(holds.get(group, 0) for group in failing) / max(1, sum(holds.values()))


def right_first(result: Result, failing: Sequence[str]) -> bool:
    """Whether the owner in the first place is the most useful one, or one of them."""
    best = max(usefulness(owner, failing) for owner in result["owners"])
    first = [owner for owner in result["owners"] if owner["rank"] == 1]
    return any(usefulness(owner, failing) == best for owner in first)


def ranking_tau(result: Result, failing: Sequence[str]) -> float:
    """Kendall's tau-b of the ranking against usefulness; NaN where all owners are as useful."""
    ranked = [owner for owner in result["owners"] if owner["rank"] is not None]
    useful = [usefulness(owner, failing) for owner in ranked]
    if len(set(useful)) < 2:
        return math.nan
    return float(kendalltau([-owner["rank"] for owner in ranked], useful).statistic)


def true_tau(result: Result, gains: Mapping[str, float]) -> float:
    """Kendall's tau-b of the ranking against what each owner's whole data gains on the failures."""
    ranked = [owner for owner in result["owners"] if owner["rank"] is not None]
    gained = [gains[owner["owner"]] for owner in ranked]
    if len(ranked) < 2:
        return math.nan
    return float(kendalltau([-owner["rank"] for owner in ranked], gained).statistic)


def regret(result: Result, gains: Mapping[str, float]) -> float:
    """What the first owner's whole data gains less than the best owner's."""
    first = [gains[owner["owner"]] for owner in result["owners"] if owner["rank"] == 1]
    return max(gains.values()) - first[0] if first else math.nan


def spent_for_nothing(result: Result, failing: Sequence[str]) -> float:
    """The share of what was disclosed that came from owners who hold nothing useful; NaN of nothing."""
    if not result["disclosed"]:
        return math.nan
    wasted = sum(owner["disclosed"] for owner in result["owners"] if not usefulness(owner, failing))
    return float(wasted / result["disclosed"])


def verdict_of(result: Result, failing: Sequence[str]) -> str:
    """The verdict in a word or two; "buy" says whether all named owners hold something useful."""
    verdict = str(result["verdict"])
    if verdict.startswith(("Keep", "Nothing was", "There is nothing")):
        return "keep"
    if verdict.startswith("Buy from nobody"):
        return "nobody yet"
    useful = {owner["owner"]: usefulness(owner, failing) for owner in result["owners"]}
    sure = [owner["owner"] for owner in result["owners"] if is_clear(owner)]
    return "buy" if all(useful[name] for name in sure) else "buy, one in vain"
