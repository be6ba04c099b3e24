"""A run's result as rows of tables, and as text in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from mycroft_fl.foreign_text import cleaned
from mycroft_fl.report.run.by_class import TextRows, class_lines
from mycroft_fl.report.run.gains import RIVAL_WORDS, rival_of

LONGEST_ROW = 1 << 16
GROUPED = {"disclosed_groups": "of which", "holds": "holds"}
"""Counts by group, which only a simulator knows, with the heads of their columns."""
REFERENCES = (
    ("baseline", "baseline"),
    ("control", "control (own data only)"),
    ("own_hard_set", "own hard set (no owner)"),
    ("free", "free (no owner)"),
    ("random", "random picks, same counts"),
    ("final", "final"),
)


def subject(result: Mapping[str, Any]) -> str:
    """Name the scenario of a simulation, or the task of a real run."""
    return str(result["scenario"]) if "scenario" in result else PurePath(result["task"]).stem


def accuracy_rows(result: Mapping[str, Any]) -> tuple[list[str], TextRows]:
    """List each model's accuracy on the failures, on all, and by group: head and rows."""
    groups = sorted(result.get("final", {}).get("groups", {}))
    rows = [
        [label, _percent(result[key]["hard"]), _percent(result[key]["test"])]
        + [_percent(result[key].get("groups", {}).get(group)) for group in groups]
        for key, label in REFERENCES
        if key in result
    ]
    return ["model", "failures", "whole test", *groups], rows


def owner_rows(result: Mapping[str, Any]) -> tuple[list[str], TextRows]:
    """List the ranking, with what each owner disclosed and, in a simulation, holds: head and rows."""
    codes = {owner: code for each in result["rounds"] for owner, code in each["failed"].items()}
    rows = [
        [
            "-" if each["rank"] is None else str(each["rank"]),
            each["owner"],
            f"{each['status']}: {codes[each['owner']]}"
            if each["owner"] in codes
            else each["status"],
            _interval(each),
            str(each["disclosed"]),
            *(_counts(each[key]) for key in GROUPED if key in each),
        ]
        for each in result["owners"]
    ]
    unit = "gain, points" if scores_are_gains(result) else "relevance, %"
    known = GROUPED.values() if "scenario" in result else ()
    return ["rank", "owner", "status", unit, "disclosed", *known], rows


def scores_are_gains(result: Mapping[str, Any]) -> bool:
    """Check whether owners were scored by fine-tuning, or by their own noised answers."""
    return result["settings"].get("mode", "raw") in ("raw", "raw-gumbel")


def privacy_rows(result: Mapping[str, Any]) -> tuple[list[str], TextRows]:
    """List what each owner released in all, by its last card: head and rows."""
    rows = []
    for each in result["owners"]:
        card = each["card"]
        if card is None:
            continue
        noised = bool(card["epsilon_total"])  # results of older versions hold a 0 for none
        rows.append(
            [
                each["owner"],
                card["mode"],
                card["unit"],
                str(card["records_total"]),
                f"{card['epsilon_total']:.3g}" if noised else "none",
                f"{card['delta']:g}" if noised else "-",
                f"{card['epsilon_minus_total']:.3g}" if card["epsilon_minus_total"] else "-",
                card["noise"],
            ]
        )
    head = ["owner", "mode", "unit", "records handed over", "epsilon", "delta", "epsilon-minus"]
    return [*head, "noise"], rows


def promises(result: Mapping[str, Any]) -> dict[str, int]:
    """Count how many answers' cards say each sentence."""
    texts: dict[str, int] = {}
    for each in result["privacy"]:
        together = filter(None, [each.get("together")])  # older results have none
        for text in (each["promise"], *together, *each["taints"], *each["assumptions"]):
            texts[text] = texts.get(text, 0) + 1
    return texts


def attack_line(result: Mapping[str, Any]) -> str:
    """Say in a sentence what an attack on the final model came to; nothing without one."""
    found = result.get("attack")
    if found is None:
        return ""
    ceiling = found["ceiling"]
    bound = (
        "nothing bounds it" if ceiling is None else f"at most {ceiling:.3f} by what was promised"
    )
    return (
        f"Membership inference against {found['records']} records of {found['owner']} reached an AUC "
        f"of {found['auc']:.3f}, by {found['models']} models ({bound}; 0.5 is guessing)."
    )


def headline(result: Mapping[str, Any]) -> str:
    """Say in a sentence or two what the run cost and what it reached."""
    disclosed = f"{result['disclosed']} examples disclosed"
    if "spent" in result:
        budget = result["settings"]["budget"]
        disclosed += f", {result['spent']} counted against the budget of {budget}"
    if "final" not in result:
        return f"{disclosed}. The task names no test examples, so no accuracy is known."
    rival = rival_of(result)
    final, without = (result[key]["hard"] for key in ("final", rival))
    if final is None:
        return "The baseline gets every test example right: there was nothing to gain."
    luck = ""
    if "random" in result:
        luck = f", {_points(final - result['random']['hard'])} over random picks"
    return (
        f"{disclosed}; accuracy on the failures {_percent(final)}: "
        f"{_points(final - without)} points over the {RIVAL_WORDS[rival]}{luck}."
    )


def summary(result: Mapping[str, Any]) -> str:
    """Write the whole result in Markdown."""
    lines = [
        f"# {subject(result)}: {result['method']}, seed {result['seed']}",
        "",
        headline(result),
    ]
    lines += ["", *(f"- Warning: {text}" for text in result["warnings"])]
    if "final" in result:
        lines += ["", "## Accuracy", "", *_markdown(*accuracy_rows(result))]
    lines += ["", "## Owners", "", *_markdown(*owner_rows(result))]
    if by_class := class_lines(result):
        lines += ["", "## By class", "", *by_class]
    lines += ["", "## Privacy", "", *_markdown(*privacy_rows(result)), ""]
    lines += [f"- {text} ({count} answers)" for text, count in promises(result).items()]
    lines += [f"- {text}" for text in [attack_line(result)] if text]
    lines += ["", "## Rounds", "", *_markdown(*round_rows(result))]
    # Line by line: a name with a line break in it begins no line of its own.
    return "\n".join(cleaned(line, LONGEST_ROW) for line in lines) + "\n"


def round_rows(result: Mapping[str, Any]) -> tuple[list[str], TextRows]:
    """List who was asked and answered in each round, and what the model then reached: head and rows."""
    rows = [
        [
            str(each["round"]),
            str(each["asked"]),
            str(each["answered"]),
            ", ".join(f"{owner}: {code}" for owner, code in each["failed"].items()) or "-",
            str(each["disclosed"]),
            *(_percent(each[key]) for key in ("hard", "test") if key in each),
        ]
        for each in result["rounds"]
    ]
    reached = ("failures", "whole test") if "final" in result else ()
    return ["round", "asked", "answered", "failed", "disclosed", *reached], rows


def _markdown(head: list[str], rows: TextRows) -> list[str]:
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def _interval(owner: Mapping[str, Any]) -> str:
    if owner["score"] is None:
        return "-"
    gain, low, high = (_points(owner[key]) for key in ("score", "low", "high"))
    return f"{gain} [{low}, {high}]"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {group}" for group, count in counts.items()) or "-"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f}"
