"""A page: one HTML file that loads nothing; in it, and in tables to copy, all from files is escaped."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mycroft_fl.foreign_text import cleaned_lines
from mycroft_fl.report.layout.drawing import Plot

FIGURE = r"[-+]?[\d.,]+(e[-+]?\d+)?( ± [\d.]+| \[[-+\d.]+, [-+\d.]+\])?"
"""A number, as it is or with its half-width or its interval behind it."""
LONGEST_TEXT = 1 << 20
CopiedRows = Sequence[Sequence[str]]


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """Return the page that a template makes of `values`."""
    return _environment().get_template(template).render(**values)


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mycroft_fl.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    style = resources.files("mycroft_fl.report") / "templates" / "style.css"
    environment.globals["style"] = Markup(style.read_text(encoding="utf-8"))
    environment.globals["svg"] = _svg
    return environment


def _shown(value: Any) -> Any:
    """Return what a template shows: a text from a file, cleaned; what is our own markup, as it is."""
    return cleaned_lines(value, LONGEST_TEXT) if type(value) is str else value


def _svg(plot: Plot) -> Markup:
    """Return the plot unescaped: matplotlib wrote it, and escaped what it was given."""
    return Markup(plot.inline())


def numeric_columns(rows: list[list[str]]) -> tuple[int, ...]:
    """Return which columns hold figures alone, and are set flush right."""
    width = min(map(len, rows), default=0)
    return tuple(
        place
        for place in range(1, width)
        if all(_is_figure(row[place]) for row in rows) and any(row[place] != "-" for row in rows)
    )


def _is_figure(text: str) -> bool:
    return text in ("", "-") or re.fullmatch(FIGURE, text) is not None


def as_markdown(head: Sequence[str], rows: CopiedRows) -> str:
    """Return the table in Markdown; figures flush right."""
    lines = [_line(head), "|" + "".join("---|" if at == 0 else "--:|" for at in range(len(head)))]
    return "\n".join([*lines, *map(_line, rows)]) + "\n"


def as_latex(head: Sequence[str], rows: CopiedRows) -> str:
    """Return the table in LaTeX, for the package booktabs."""
    if not rows:
        return ""
    frame = pd.DataFrame(
        [[_plain(cell) for cell in row] for row in rows], columns=map(_plain, head)
    )
    columns = "l" + "r" * (len(head) - 1)
    text: str = frame.to_latex(index=False, escape=True, column_format=columns)
    return text.replace(" ± ", r" $\pm$ ")


def _line(cells: Sequence[str]) -> str:
    return (
        "| "
        + " | ".join(_plain(cell).replace("\\", "\\\\").replace("|", "\\|") for cell in cells)
        + " |"
    )


def _plain(cell: str) -> str:
    """Return the cell on one line: a line's end would end the row."""
    return " ".join(str(cell).split())
