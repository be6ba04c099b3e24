"""A run's result as the numbers of one row: what a study compares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from scipy import stats

from mycroft_fl.modes import MODES

Result = Mapping[str, Any]


def measures(result: Result) -> dict[str, float | None]:
    """Return the measures of a study's row, by column; None where one does not apply."""
    return {
        **{key: result["final"][key] for key in ("test", "hard")},
        "disclosed": result["disclosed"],
        "baseline_test": result["baseline"]["test"],
        **{
            f"{reference}_{key}": result[reference][key]
            for reference in ("control", "own_hard_set", "free", "random")
            for key in ("hard", "test")
        },
        "useful": useful_share(result),
        **promises(result),
        "tau": ranking_agreement(result),
        **attack(result),
    }


def attack(result: Result) -> dict[str, float | None]:
    """Return the AUC of an attack on the final model, and the best that is possible; None without one."""
    found = result.get("attack") or {}
    return {"auc": found.get("auc"), "auc_ceiling": found.get("ceiling")}


def failing_group(result: Result) -> str | None:
    """Return the group that the baseline fails on most; None where there is but one."""
    groups: Mapping[str, float] = result["baseline"]["groups"]
    return min(groups, key=lambda group: groups[group]) if len(groups) > 1 else None


def useful_share(result: Result) -> float | None:
    """Return the share of what was disclosed that is of the group the baseline fails on."""
    group, disclosed = failing_group(result), result["disclosed"]
    if group is None or not disclosed:
        return None
    useful = sum(owner["disclosed_groups"].get(group, 0) for owner in result["owners"])
    return float(useful / disclosed)


def ranking_agreement(result: Result) -> float | None:
    """Return Kendall's tau-b between the ranking and how many of the failing group each owner holds.

    None where fewer than two owners are ranked, or all of them hold the same.
    """
    group = failing_group(result)
    ranked = [owner for owner in result["owners"] if owner["rank"] is not None]
    if group is None or len(ranked) < 2:
        return None
    holds = [owner["holds"].get(group, 0) for owner in ranked]
    tau = float(stats.kendalltau([-owner["rank"] for owner in ranked], holds).statistic)
    return tau if math.isfinite(tau) else None


def promises(result: Result) -> dict[str, float | None]:
    """Return what the owner that promises least says: epsilon at its delta, mu, epsilon-minus.

    Each is None where nothing is promised: what is handed over as it is has no epsilon. A run of
    DP-SGD has no mu either.
    """
    cards = [owner["card"] for owner in result["owners"] if owner["card"] is not None]
    noised = [card for card in cards if card["epsilon_total"] is not None]
    least = max(noised, key=lambda card: card["epsilon_total"], default=None)
    sums_alone = least is not None and all(not MODES[card["mode"]].trains for card in noised)
    minus = max((card["epsilon_minus_total"] for card in cards), default=0.0)
    return {
        "epsilon": least["epsilon_total"] if least else None,
        "delta": least["delta"] if least else None,
        "mu": math.sqrt(2 * least["rho_total"]) if least and sums_alone else None,
        "epsilon_minus": minus or None,
    }
