"""A table as text to copy into a paper: Markdown and LaTeX, with every character that means more escaped."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

CopiedRows = Sequence[Sequence[str]]


def as_markdown(head: Sequence[str], rows: CopiedRows) -> str:
    """The table in Markdown; figures flush right."""
    lines = [_line(head), "|" + "".join("---|" if at == 0 else "--:|" for at in range(len(head)))]
    return "\n".join([*lines, *map(_line, rows)]) + "\n"


def as_latex(head: Sequence[str], rows: CopiedRows) -> str:
    """The table in LaTeX, for the package booktabs."""
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
    """One line: a line's end would end the row."""
    return " ".join(str(cell).split())
