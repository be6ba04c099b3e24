"""A run's result as rows of tables, and as text in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from mycroft_fl.foreign_text import cleaned
from mycroft_fl.metrics.names import AUTO
from mycroft_fl.report.run.by_class import TextRows, class_lines
from mycroft_fl.report.run.gains import RIVAL_WORDS, rival_of
from mycroft_fl.report.run.judged import judged_by
from mycroft_fl.report.run.measure import Measure, by_loss, gain_measure, measure_of

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
    """List each model's accuracy on the failures, on all, and by group: head and rows.

    Before these stands the run's metric, where that is another.
    """
    groups, metric = sorted(result.get("final", {}).get("groups", {})), metric_columns(result)
    rows = [
        [label, *(_percent(result[key].get("metric")) for _ in metric)]
        + [_percent(result[key]["hard"]), _percent(result[key]["test"])]
        + [_percent(result[key].get("groups", {}).get(group)) for group in groups]
        for key, label in REFERENCES
        if key in result
    ]
    return ["model", *metric, "failures", "whole test", *groups], rows


def metric_columns(result: Mapping[str, Any]) -> list[str]:
    """Name the column of the run's metric; none where that is accuracy, which has columns of its own."""
    judged = judged_by(result)
    return [] if judged.is_accuracy else [judged.words]


def owner_rows(result: Mapping[str, Any]) -> tuple[list[str], TextRows]:
    """List the ranking, with what each owner disclosed and, in a simulation, holds: head and rows."""
    measures = owner_measures(result)
    codes = {owner: code for each in result["rounds"] for owner, code in each["failed"].items()}
    rows = [
        [
            "-" if each["rank"] is None else str(each["rank"]),
            each["owner"],
            f"{each['status']}: {codes[each['owner']]}"
            if each["owner"] in codes
            else each["status"],
            *(each_measure.text(each) for each_measure in measures),
            str(each["disclosed"]),
            *(_counts(each[key]) for key in GROUPED if key in each),
        ]
        for each in result["owners"]
    ]
    known = GROUPED.values() if "scenario" in result else ()
    heads = [each.head for each in measures]
    return ["rank", "owner", "status", *heads, "disclosed", *known], rows


def owner_measures(result: Mapping[str, Any]) -> list[Measure]:
    """List what is told of owners: what ranked them, and, where that is another figure, their gain."""
    measure = measure_of(result)
    return [measure, gain_measure(result)] if by_loss(result) else [measure]


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


def metric_line(result: Mapping[str, Any]) -> list[str]:
    """Say which metric the run went by, and an empty line; nothing where that is accuracy."""
    judged = judged_by(result)
    if judged.is_accuracy:
        return []
    how = " (set as auto)" if result["settings"].get("metric") == AUTO else ""
    return [
        f"Choices, scores and the verdict go by {judged.words}{how}; the other figures are accuracies.",
        "",
    ]


def headline(result: Mapping[str, Any]) -> str:
    """Say in a sentence or two what the run cost and what it reached."""
    disclosed = f"{result['disclosed']} examples disclosed"
    if "spent" in result:
        budget = result["settings"]["budget"]
        disclosed += f", {result['spent']} counted against the budget of {budget}"
    if "final" not in result:
        return f"{disclosed}. The task names no test examples, so no accuracy is known."
    rival, judged = rival_of(result), judged_by(result)
    if result["final"]["hard"] is None:
        return "The baseline gets every test example right: there was nothing to gain."
    final, without = (result[key][judged.key] for key in ("final", rival))
    luck = ""
    if "random" in result:
        luck = f", {_points(final - result['random'][judged.key])} over random picks"
    return (
        f"{disclosed}; {judged.words} {judged.where} {_percent(final)}: "
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
        lines += ["", "## Accuracy", "", *metric_line(result), *_markdown(*accuracy_rows(result))]
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
    metric = metric_columns(result)
    rows = [
        [
            str(each["round"]),
            str(each["asked"]),
            str(each["answered"]),
            ", ".join(f"{owner}: {code}" for owner, code in each["failed"].items()) or "-",
            str(each["disclosed"]),
            *(_percent(each.get("metric")) for _ in metric if "hard" in each),
            *(_percent(each[key]) for key in ("hard", "test") if key in each),
        ]
        for each in result["rounds"]
    ]
    reached = (*metric, "failures", "whole test") if "final" in result else ()
    return ["round", "asked", "answered", "failed", "disclosed", *reached], rows


def _markdown(head: list[str], rows: TextRows) -> list[str]:
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {group}" for group, count in counts.items()) or "-"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f}"
