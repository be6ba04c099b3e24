"""A run's result on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from mycroft_fl.foreign_text import cleaned_lines
from mycroft_fl.report.run.by_class import TextRows, class_rows
from mycroft_fl.report.run.summary import (
    LONGEST_ROW,
    accuracy_rows,
    attack_line,
    headline,
    metric_columns,
    owner_rows,
)

SHOWN_OWNERS = 20
WIDTH_OFF_TERMINAL = 130
COLUMNS_WHERE_NARROW = 5


def show(result: Mapping[str, Any], console: Console) -> None:
    """Show the result on a terminal: tables, what to be wary of, and one sentence."""
    head, rows = accuracy_rows(result)
    if rows:
        title = " and ".join(["Accuracy", *metric_columns(result)])
        console.print(_table(f"{title}, %", head, rows))
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
    """Open a console on `stream`; wide enough for the tables where no terminal sets a width."""
    return _Clean(file=stream, width=None if stream.isatty() else WIDTH_OFF_TERMINAL)


class _Clean(Console):
    """A console to which names that others gave are text and nothing else."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render `renderable`, cleaned; the console's own control codes stay."""
        for each in super().render(renderable, options):
            yield (
                each if each.control else each._replace(text=cleaned_lines(each.text, LONGEST_ROW))
            )


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
