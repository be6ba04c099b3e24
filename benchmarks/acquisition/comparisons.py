"""The tables of acquisition: what each cell's run came to, row by row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.acquisition.cells import METHODS, SWEPT, Cell
from benchmarks.tables import paired, points, row, share
from mycroft_fl.statistics import over_seeds

Result = dict[str, Any]


def main_table(scenario: str, cells: list[Cell], results: dict[str, Result]) -> str:
    """A row a method with its gains over the own hard set and over random; then the ranking."""
    by_row = _by_row(cells, results)
    some = by_row["random"]
    head = ["", "failures", "over own hard set", "over random", "whole test", "against control, other groups",
            "useful picks", "disclosed", "empty owners last"]  # fmt: skip
    lines = [f"## {scenario}, {len(some)} seeds", "", row(head), "|" + "---|" * len(head)]
    for model in ("baseline", "control", "own_hard_set"):
        hard, whole = (over_seeds(_reached(some, model, on)) for on in ("hard", "test"))
        lines.append(row([model.replace("_", " "), share(hard), "", "", share(whole), *[""] * 4]))
    for name, rows in by_row.items():
        rival = by_row["random" + name[len(name.split(",")[0]) :]]
        lines.append(row([name, *_of_method(rows, rival)]))
    return "\n".join([*lines, "", *_against_equal_shares(by_row)])


def _of_method(rows: list[Result], rival: list[Result]) -> list[str]:
    """A method's cells; `rival` are random picks under the same conditions."""
    hard, lucky = _reached(rows, "final", "hard"), _reached(rival, "final", "hard")
    return [
        share(over_seeds(hard)),
        points(paired(hard, _reached(rows, "own_hard_set", "hard"))),
        "" if rows is rival else points(paired(hard, lucky)),
        share(over_seeds(_reached(rows, "final", "test"))),
        points(over_seeds([_elsewhere(result) for result in rows])),
        share(over_seeds([_useful(result) for result in rows])),
        f"{over_seeds([result['disclosed'] for result in rows]).mean:.0f}",
        share(over_seeds([_pairs_in_order(result) for result in rows])),
    ]


def allocation_table(scenario: str, cells: list[Cell], results: dict[str, Result]) -> str:
    """What allocation by score gains over equal shares."""
    by_row = _by_row(cells, results)
    lines = [f"## {scenario}, {len(by_row[METHODS[0]])} seeds", "", *_against_equal_shares(by_row)]
    return "\n".join(lines)


def _against_equal_shares(by_row: dict[str, list[Result]]) -> list[str]:
    """What allocating by score gains over equal shares, paired by seed; and over all methods."""
    gains = {
        method: [
            scored["final"]["hard"] - equal["final"]["hard"]
            for scored, equal in zip(by_row[method], by_row[f"{method}, equal shares"], strict=True)
        ]
        for method in METHODS
        if f"{method}, equal shares" in by_row
    }
    if not gains:
        return []
    if len(gains) > 1:
        # A seed's mean over methods, so that seeds stay the independent draws.
        gains["mean of the methods"] = [
            sum(each) / len(each) for each in zip(*gains.values(), strict=True)
        ]
    head = ["allocation by score over equal shares", "failures"]
    rows = [row([name, points(over_seeds(each))]) for name, each in gains.items()]
    return [row(head), "|---|---|", *rows]


def sweep_table(scenario: str, cells: list[Cell], results: dict[str, Result]) -> str:
    """A row a method, a column a size; accuracy on the failures."""
    by_row = _by_row(cells, results)
    sizes = list(dict.fromkeys(row.split("|")[1] for row in by_row))
    lines = [
        f"## {scenario}, accuracy on the failures",
        "",
        row(["", *sizes]),
        "|---" * (1 + len(sizes)) + "|",
    ]
    own = [_reached(by_row[f"random|{size}"], "own_hard_set", "hard") for size in sizes]
    lines.append(row(["own hard set", *(share(over_seeds(each)) for each in own)]))
    for method in SWEPT:
        rows = [by_row[f"{method}|{size}"] for size in sizes]
        hard = [_reached(each, "final", "hard") for each in rows]
        lines.append(row([method, *(share(over_seeds(each)) for each in hard)]))
        rivals = [_reached(each, "own_hard_set", "hard") for each in rows]
        gains = [paired(mine, theirs) for mine, theirs in zip(hard, rivals, strict=True)]
        lines.append(row([f"{method}, over own hard set", *map(points, gains)]))
    return "\n".join(lines)


TABLES = {
    "main": main_table,
    "methods": main_table,
    "allocation": allocation_table,
    "budgets": sweep_table,
    "hard-sets": sweep_table,
}


def _by_row(cells: Iterable[Cell], results: dict[str, Result]) -> dict[str, list[Result]]:
    rows: dict[str, list[Result]] = {}
    for cell in cells:
        rows.setdefault(cell.row, []).append(results[cell.key])
    return rows


def _reached(rows: list[Result], model: str, on: str) -> list[float]:
    """A model's accuracy, run by run: on the failures ("hard") or on the whole test."""
    return [result[model][on] for result in rows]


def _helpful_group(result: Result) -> str:
    """The group that the baseline fails on."""
    groups: dict[str, float] = result["baseline"]["groups"]
    return min(groups, key=lambda group: groups[group])


def _elsewhere(result: Result, model: str = "final") -> float:
    """The worst change against control on a group that the baseline does not fail on."""
    failing = _helpful_group(result)
    final, control = result[model]["groups"], result["control"]["groups"]
    return min(final[group] - control[group] for group in final if group != failing)


def _useful(result: Result) -> float:
    failing = _helpful_group(result)
    useful = sum(owner["disclosed_groups"].get(failing, 0) for owner in result["owners"])
    return useful / max(1, result["disclosed"])


def _pairs_in_order(result: Result) -> float:
    """Share of pairs of a rich owner (a or b) and an empty one in which the empty one ranks below."""
    failing = _helpful_group(result)
    ranks = {owner["owner"]: owner["rank"] or 10**9 for owner in result["owners"]}
    empty = [owner["owner"] for owner in result["owners"] if not owner["holds"].get(failing)]
    pairs = [(rich, poor) for rich in ("a", "b") for poor in empty]
    return (
        sum(ranks[rich] < ranks[poor] for rich, poor in pairs) / len(pairs)
        if pairs
        else float("nan")
    )
