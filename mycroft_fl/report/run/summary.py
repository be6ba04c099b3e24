"""A run's result as text: for a file in Markdown, for a terminal as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from mycroft_fl.foreign_text import cleaned, cleaned_lines
from mycroft_fl.report.run.by_class import TextRows, class_lines, class_rows

SHOWN_OWNERS = 20
WIDTH_OFF_TERMINAL = 130
COLUMNS_WHERE_NARROW = 5
LONGEST_ROW = 1 << 16
REFERENCES = (
    ("baseline", "baseline"),
    ("control", "control (own data only)"),
    ("own_hard_set", "own hard set (no owner)"),
    ("random", "random picks, same counts"),
    ("final", "final"),
)


def accuracy_rows(result: Mapping[str, Any]) -> tuple[list[str], TextRows]:
    """Head and rows: each model's accuracy on the failures, on all, and by group."""
    groups = sorted(result["final"]["groups"])
    rows = [
        [label, _percent(result[key]["hard"]), _percent(result[key]["test"])]
        + [_percent(result[key]["groups"].get(group)) for group in groups]
        for key, label in REFERENCES
    ]
    return ["model", "failures", "whole test", *groups], rows


def owner_rows(result: Mapping[str, Any]) -> tuple[list[str], TextRows]:
    """Head and rows: the ranking, with what each owner disclosed and holds."""
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
            _counts(each["disclosed_groups"]),
            _counts(each["holds"]),
        ]
        for each in result["owners"]
    ]
    unit = "gain, points" if scores_are_gains(result) else "relevance, %"
    return ["rank", "owner", "status", unit, "disclosed", "of which", "holds"], rows


def scores_are_gains(result: Mapping[str, Any]) -> bool:
    """Whether owners were scored by fine-tuning, or by their own noised answers."""
    return result["settings"].get("mode", "raw") in ("raw", "raw-gumbel")


def privacy_rows(result: Mapping[str, Any]) -> tuple[list[str], TextRows]:
    """Head and rows: what each owner released in all, by its last card."""
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
    """What the cards say, each sentence once, with how many answers say it."""
    texts: dict[str, int] = {}
    for each in result["privacy"]:
        together = filter(None, [each.get("together")])  # older results have none
        for text in (each["promise"], *together, *each["taints"], *each["assumptions"]):
            texts[text] = texts.get(text, 0) + 1
    return texts


def attack_line(result: Mapping[str, Any]) -> str:
    """What an attack on the final model came to, in a sentence; empty where none was made."""
    found = result.get("attack")
    if found is None:
        return ""
    ceiling = found["ceiling"]
    bound = (
        "nothing bounds it" if ceiling is None else f"at most {ceiling:.3f} by what was promised"
    )
    return (
        f"Membership inference told {found['records']} records of {found['owner']} with an AUC of "
        f"{found['auc']:.3f}, by {found['models']} models ({bound}; 0.5 is guessing)."
    )


def headline(result: Mapping[str, Any]) -> str:
    """The run in one sentence."""
    final, own, lucky = (result[key]["hard"] for key in ("final", "own_hard_set", "random"))
    if final is None:
        return "The baseline gets every test example right: there was nothing to gain."
    return (
        f"{result['disclosed']} examples disclosed; accuracy on the failures {_percent(final)}: "
        f"{_points(final - own)} points over the own hard set, {_points(final - lucky)} over random picks."
    )


def summary(result: Mapping[str, Any]) -> str:
    """The whole result in Markdown."""
    lines = [
        f"# {result['scenario']}: {result['method']}, seed {result['seed']}",
        "",
        headline(result),
    ]
    lines += ["", *(f"- Warning: {text}" for text in result["warnings"])]
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


def show(result: Mapping[str, Any], console: Console) -> None:
    """The result on a terminal: two tables, what to be wary of, and one sentence."""
    head, rows = accuracy_rows(result)
    console.print(_table("Accuracy, %", head, rows))
    head, rows = owner_rows(result)
    columns = len(head) if console.width >= WIDTH_OFF_TERMINAL else COLUMNS_WHERE_NARROW
    shown = [row[:columns] for row in rows[:SHOWN_OWNERS]]
    console.print(_table("Owners", head[:columns], shown))
    if len(rows) > SHOWN_OWNERS:
        console.print(f"... and {len(rows) - SHOWN_OWNERS} more owners in summary.md")
    head, rows = class_rows(result)
    if rows:
        console.print(_table("By class", head, rows[:SHOWN_OWNERS]))
    for text in result["warnings"]:
        console.print(f"warning: {text}", style="yellow", markup=False)
    if text := attack_line(result):
        console.print(text, markup=False)
    console.print(headline(result), style="bold", markup=False)


def console_for(stream: TextIO) -> Console:
    """A console on `stream`; wide enough for the tables where no terminal sets a width."""
    return _Clean(file=stream, width=None if stream.isatty() else WIDTH_OFF_TERMINAL)


class _Clean(Console):
    """A console to which names that others gave are text and nothing else."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """What is shown of `renderable`, cleaned; the console's own control codes stay."""
        for each in super().render(renderable, options):
            yield (
                each if each.control else each._replace(text=cleaned_lines(each.text, LONGEST_ROW))
            )


def round_rows(result: Mapping[str, Any]) -> tuple[list[str], TextRows]:
    """Head and rows: who was asked and answered in each round, and what the model then reached."""
    rows = [
        [
            str(each["round"]),
            str(each["asked"]),
            str(each["answered"]),
            ", ".join(f"{owner}: {code}" for owner, code in each["failed"].items()) or "-",
            str(each["disclosed"]),
            _percent(each["hard"]),
            _percent(each["test"]),
        ]
        for each in result["rounds"]
    ]
    return ["round", "asked", "answered", "failed", "disclosed", "failures", "whole test"], rows


def _table(title: str, head: list[str], rows: TextRows) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(head):
        numeric = all(row[place] in ("", "-") or _is_number(row[place]) for row in rows)
        table.add_column(Text(name), justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).lstrip("+-").isdigit()


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
