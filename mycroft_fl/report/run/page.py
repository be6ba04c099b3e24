"""The page of one run: the trainer's question answered, and everything the answer rests on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from mycroft_fl.report.layout.drawing import Plot
from mycroft_fl.report.layout.page import numeric_columns, rendered
from mycroft_fl.report.run.answer import answer, worth_it
from mycroft_fl.report.run.by_class import MEANING, TextRows, class_rows
from mycroft_fl.report.run.disclosed import Shown, disclosed, failing
from mycroft_fl.report.run.files import RunFiles
from mycroft_fl.report.run.gains import gain_over
from mycroft_fl.report.run.judged import judged_by
from mycroft_fl.report.run.measure import scores_are_gains
from mycroft_fl.report.run.plots import run_plots
from mycroft_fl.report.run.summary import (
    accuracy_rows,
    attack_line,
    metric_line,
    owner_measures,
    owner_rows,
    privacy_rows,
    promises,
    round_rows,
    subject,
)  # fmt: skip
from mycroft_fl.settings.run_config import setting_rows

Result = Mapping[str, Any]
MEANING_OF = {
    "error": "its client raised, or its process died",
    "timeout": "no answer in time; it may have disclosed all the same",
    "malformed": "an answer of the wrong shape, type or content, none of which was used",
    "refused": "its policy said no; nothing left it",
    "duplicate": "the hard set sent back, exactly or slightly changed",
}
SIMULATED = " What an owner holds is known to the simulator alone."
RIVALS = (
    ("free", "free (no owner)"),
    ("own_hard_set", "own hard set (no owner)"),
    ("random", "random picks, same counts"),
    ("control", "control (own data only)"),
)


def run_page(files: RunFiles) -> tuple[str, list[Plot]]:
    """Make the page of a run, and its plots. Raises `DataError` where its files do not fit together."""
    result = files.result
    plots = run_plots(result)
    shown = disclosed(files)
    values = {
        "result": result,
        "answer": answer(result),
        "mode": result["settings"].get("mode", "raw"),
        "version": version("mycroft-fl"),
        "subject": subject(result),
        "file": files.name,
        "digest": files.digest[:16],
        "plots": dict.fromkeys(("ranking", "disclosed", "rounds", "groups", "front"))
        | {p.name: p for p in plots},
        "owners": _owners(result),
        "by_class": {**_table(*class_rows(result)), "caption": MEANING},
        "accuracy": _table(*accuracy_rows(result)),
        "metric": " ".join(metric_line(result)),
        "gains": _gains(result),
        "rounds": _table(*round_rows(result)),
        "failing": failing(files),
        "shown": [_with_numeric(each) for each in shown],
        "disclosing": sum(each["disclosed"] > 0 for each in result["owners"]),
        "classes": files.classes,
        "failures": _failures(result),
        "privacy": _table(*privacy_rows(result)),
        "attack": attack_line(result),
        "promises": _promises(result),
        "changed": _changed(result),
        "settings": [[key, _written(value)] for key, value in result["settings"].items()],
        "environment": [[key, str(value)] for key, value in result["environment"].items()],
    }
    return rendered("run.html", {"result": {**_OPTIONAL, **result}} | _rest(values)), plots


_OPTIONAL = {"tested": None, "gains": None}


def _rest(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != "result"}


def _table(head: list[str], rows: TextRows) -> dict[str, Any]:
    """Make a table without the columns that hold nothing at all."""
    kept = [at for at in range(len(head)) if not rows or any(row[at] != "-" for row in rows)]
    rows = [[row[at] for at in kept] for row in rows]
    return {"head": [head[at] for at in kept], "rows": rows, "numeric": numeric_columns(rows)}


def _owners(result: Result) -> dict[str, Any]:
    head, rows = owner_rows(result)
    # The owner's name heads its row: rank and name change places.
    head = [head[1], head[0], *head[2:]]
    rows = [[row[1], row[0], *row[2:]] for row in rows]
    if scores_are_gains(result):
        at = head.index("disclosed") + 1
        head.insert(at, "examples a point")
        for row, each in zip(rows, result["owners"], strict=True):
            row.insert(at, _price(each))
    sure = {each["owner"] for each in worth_it(result)}
    what = " ".join(each.caption for each in owner_measures(result))
    return {
        **_table(head, rows),
        "best": [place for place, row in enumerate(rows) if row[0] in sure],
        "caption": f"{what} Shaded: the whole interval lies above zero, "
        "by class above that of the last in the ranking."
        + (SIMULATED if "scenario" in result else ""),
    }


def _price(owner: Mapping[str, Any]) -> str:
    """Count the examples for a point that this owner's alone bring, where they clearly bring any."""
    if not owner["disclosed"] or owner["low"] is None or min(owner["low"], owner["score"]) <= 0:
        return "-"
    return f"{owner['disclosed'] / (100 * owner['score']):.1f}"


def _promises(result: Result) -> list[tuple[str, int]]:
    """List what the cards say, each sentence once; the number of records stands in the table."""
    cards = [
        {**each, "promise": each["promise"].replace(f"These {each['records']} records", "Records")}
        for each in result["privacy"]
    ]
    said = promises({"privacy": cards}).items()
    return [(text[:1].upper() + text[1:], count) for text, count in said]


def _gains(result: Result) -> dict[str, Any] | None:
    if not result.get("gains"):
        return None
    rows = []
    for key, label in ((key, label) for key, label in RIVALS if key in result["gains"]):
        gain = gain_over(result, key)
        whole = result["gains"][key]["test"]
        points = [100 * whole[name] for name in ("gain", "low", "high")]
        rows.append(
            [label, str(gain or "-"), f"{points[0]:+.1f} [{points[1]:+.1f}, {points[2]:+.1f}]"]
        )
    judged = judged_by(result)
    heads = ("failures", "whole test") if judged.is_accuracy else (judged.words, "accuracy")
    return {
        "head": ["the final model over", *(f"{each}, points" for each in heads)],
        "rows": rows,
        "numeric": (1, 2),
        "caption": "Paired on the same test examples, with bootstrap intervals over them.",
    }


def _failures(result: Result) -> TextRows:
    return [
        [owner, str(each["round"]), code, MEANING_OF[code]]
        for each in result["rounds"]
        for owner, code in each["failed"].items()
    ]


def _changed(result: Result) -> TextRows:
    defaults = {key: default for key, default, _ in setting_rows()}
    return [
        [key, _written(value), _written(defaults[key]) if key in defaults else "-"]
        for key, value in result["settings"].items()
        if key not in defaults or defaults[key] != value
    ]


def _written(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _with_numeric(shown: Shown) -> dict[str, Any]:
    rows = [list(row) for row in shown.rows]
    return vars(shown) | {"numeric": numeric_columns(rows)}
