"""The page of a study: what was found, plots with bands, which differences are clear, tables to copy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from mycroft_fl.report.layout.drawing import Plot
from mycroft_fl.report.layout.page import as_latex, as_markdown, numeric_columns, rendered
from mycroft_fl.report.study.cells import Panel, estimate, measure, over, panels, written
from mycroft_fl.report.study.comparisons import FREE, OWN, PairedComparison, compared
from mycroft_fl.report.study.folder import DONE, FAILED, Row, Study, as_field
from mycroft_fl.report.study.fronts import fronts
from mycroft_fl.report.study.paper import paper_rows
from mycroft_fl.report.study.plots import utility_plots
from mycroft_fl.report.study.privacy_plots import privacy_plots

MOST_SHOWN = 60
HEAD = (
    "seeds", "failures, %", "over own hard set", "over free",
    "over random, same counts", "whole test, %", "records",
)  # fmt: skip
WHERE_KNOWN = (
    ("epsilon", "epsilon", 1, 2),
    ("epsilon_minus", "epsilon-minus", 1, 3),
    ("tau", "tau", 1, 2),
    ("auc", "attack's AUC", 1, 3),
    ("auc_ceiling", "its ceiling", 1, 3),
)
Table = dict[str, Any]


def study_page(study: Study, digest: str) -> tuple[str, list[Plot]]:
    """Return the page of a study as far as it has come, and its plots. `digest` is of cells.csv."""
    titled = tuple(replace(part, title=part.title or study.title) for part in study.parts)
    study = replace(study, parts=titled)
    found = panels(study)
    utility, privacy, best = utility_plots(found), privacy_plots(study), fronts(study)
    comparisons = compared(found)
    done = [row for row in study.rows if row["status"] == DONE]
    values = {
        "study": study,
        "version": version("mycroft-fl"),
        "digest": digest[:16],
        "done": len(done),
        "missing": study.cells - len(study.rows),
        "failures": _failures(study),
        "findings": _findings(found, comparisons),
        "parts": [
            {
                "part": part,
                "plots": [
                    plot for panel, plot in zip(found, utility, strict=True) if panel.part is part
                ],
                "table": _part_table([panel for panel in found if panel.part is part]),
            }
            for part in study.parts
        ],
        "privacy": privacy,
        "fronts": best,
        "comparisons": _comparison_table(comparisons),
        "family": len(comparisons),
        "clear": sum(each.is_clear for each in comparisons),
        "paper": paper_rows(study) if study.name == "paper" else [],
        "grid": _grid(study),
        "environments": [list(_flat(each).items()) for each in study.environments],
    }
    return rendered("study.html", values), [*utility, *privacy, *best]


def _findings(found: Sequence[Panel], comparisons: Sequence[PairedComparison]) -> list[str]:
    """Return each panel's best kind at the last place, against what is free and against random."""
    return [text for panel in found if (text := _finding(panel, comparisons)) is not None]


def _finding(panel: Panel, comparisons: Sequence[PairedComparison]) -> str | None:
    place = panel.places()[-1]
    reached = {kind: estimate(panel.at(kind, place), measure("hard")) for kind in panel.kinds()}
    known = {kind: each for kind, each in reached.items() if each is not None}
    if not known:
        return None
    best = max(known, key=lambda kind: known[kind].mean)
    where = panel.where(place)
    name = "what was acquired" if best is None else as_field(best)
    text = f"{where}: {name} does best, {written(known[best])} % of the failures right"
    phrases = [
        f"{written(each.difference, sign=True)} points over {each.second} ({_verdict(each)})"
        for each in (_turned(c, name) for c in comparisons if c.where == where)
        if each is not None and (each.second in (FREE, OWN) or each.second.endswith("random"))
    ]
    return f"{text}; {', '.join(phrases)}." if phrases else f"{text}."


def _turned(each: PairedComparison, first: str) -> PairedComparison | None:
    """Return the comparison with `first` in front; None where it is not part of it."""
    if each.first == first or (each.first == "the run" and first == "what was acquired"):
        return each
    return each.reversed() if each.second == first else None


def _verdict(each: PairedComparison) -> str:
    p = "p < 0.001" if each.corrected < 0.001 else f"p = {each.corrected:.2g}"
    return f"{p}, {'clear' if each.is_clear else 'not clear'}"


def _part_table(found: Sequence[Panel]) -> Table:
    """Return a row for each combination of a part; columns that hold nothing are left out."""
    along = {panel.along.key for panel in found if panel.along is not None}
    apart = {panel.apart.key for panel in found if panel.apart is not None}
    fixed = list(dict.fromkeys(key for panel in found for key in panel.fixed))
    keys = [*fixed, *sorted(along), *sorted(apart)]
    rows = []
    for panel in found:
        for place in panel.everywhere():
            for kind in panel.kinds():
                if mine := panel.at(kind, place):
                    nowhere = along if panel.is_aside(kind) else set()
                    settings = [
                        "-" if key in nowhere else as_field(mine[0][key]) or "-" for key in keys
                    ]
                    rows.append([*settings, *_measured(mine)])
    head = [*keys, *HEAD, *(label for _, label, _, _ in WHERE_KNOWN)]
    kept = [at for at in range(len(head)) if any(row[at] != "-" for row in rows)]
    head, rows = [head[at] for at in kept], [[row[at] for at in kept] for row in rows]
    return {
        **_table(head, rows),
        "markdown": as_markdown(head, rows),
        "latex": as_latex(head, rows),
    }


def _measured(rows: Sequence[Row]) -> list[str]:
    return [
        str(len({row["seed"] for row in rows})),
        written(estimate(rows, measure("hard"))),
        written(estimate(rows, over("hard", "own_hard_set_hard")), sign=True),
        written(estimate(rows, over("hard", "free_hard")), sign=True),
        written(estimate(rows, over("hard", "random_hard")), sign=True),
        written(estimate(rows, measure("test"))),
        written(estimate(rows, measure("disclosed")), factor=1, digits=0),
        *(
            written(estimate(rows, measure(name)), factor=factor, digits=digits)
            for name, _, factor, digits in WHERE_KNOWN
        ),
    ]


def _comparison_table(comparisons: Sequence[PairedComparison]) -> Table | None:
    """Sort the surest first, of the same sureness the largest."""
    if not comparisons:
        return None
    ordered = sorted(
        comparisons, key=lambda each: (each.corrected, each.p, -abs(each.difference.mean))
    )
    head = [
        "where",
        "difference",
        "points",
        "seeds",
        "p, Holm",
        "p, paired t",
        "p, Wilcoxon",
        "clear",
    ]
    rows = [
        [
            each.where, f"{each.first} - {each.second}", written(each.difference, sign=True),
            str(each.seeds), *(f"{p:.2g}" for p in (each.corrected, each.p, each.wilcoxon)),
            "yes" if each.is_clear else "no",
        ]
        for each in ordered
    ]  # fmt: skip
    return {
        **_table(head, rows[:MOST_SHOWN]),
        "rest": _table(head, rows[MOST_SHOWN:]),
        "markdown": as_markdown(head, rows),
        "latex": as_latex(head, rows),
    }


def _failures(study: Study) -> list[list[str]]:
    keys = [axis.key for axis in study.axes if len(axis.values) > 1]
    return [
        [
            ", ".join(f"{key} {as_field(row[key])}" for key in keys) or study.title,
            str(row["seed"]),
            row.get("reason") or "no reason was kept",
        ]
        for row in study.rows
        if row["status"] == FAILED
    ]


def _grid(study: Study) -> list[list[str]]:
    seeds = ["seed", ", ".join(map(str, study.seeds))]
    return [[axis.key, ", ".join(map(as_field, axis.values))] for axis in study.axes] + [seeds]


def _table(head: Sequence[str], rows: list[list[str]]) -> Table:
    return {"head": list(head), "rows": rows, "numeric": numeric_columns(rows)}


def _flat(table: Mapping[str, Any]) -> dict[str, str]:
    return {
        str(key): value if isinstance(value, str) else json.dumps(value)
        for key, value in table.items()
    }
