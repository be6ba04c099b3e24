"""The page a person looks at before examples leave: exactly these, as pictures, texts or rows."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from mycroft_fl.data.tables.columns import Categories, Column, Numbers
from mycroft_fl.data.tables.schema import TableSchema
from mycroft_fl.data.task import Task
from mycroft_fl.data.written import Written, plainly
from mycroft_fl.examples import Examples
from mycroft_fl.foreign_text import LONGEST_LINE, cleaned
from mycroft_fl.texts import as_texts, is_text

SMALLEST = 96  # pixels of a picture's side on the page; smaller ones are enlarged
MOST_HARD = 100  # of a trainer's examples; those that would leave are all shown
STYLE = (
    "body{font:14px system-ui;margin:2em}figure{display:inline-block;margin:6px;text-align:center}"
    "img{image-rendering:pixelated;border:1px solid #999}table{border-collapse:collapse}"
    "td,th{border:1px solid #bbb;padding:2px 6px;text-align:right;max-width:50em;overflow-wrap:anywhere}"
    "th{background:#eee;overflow-wrap:normal}"
    "table.texts td:last-child{text-align:left;white-space:pre-wrap}"
)


def release_page(
    examples: Examples,
    task: Task,
    title: str,
    facts: Iterable[str],
    written: Written | None = None,
    hard: Examples | None = None,
) -> str:
    """Make a page of its own, nothing loaded from elsewhere: `facts` line by line, then all examples.

    Rows stand as their file has them where it is at hand.

    Args:
        examples: that would leave.
        task: for which they were read.
        title: of the page.
        facts: who asked for what, and how to answer.
        written: the examples as the owner's file writes them.
        hard: the trainer's examples, by which these were chosen.
    """
    shown = _shown(examples, task, written)
    if hard is not None and len(hard):
        some = hard[np.arange(min(MOST_HARD, len(hard)))]
        said = f"The {len(hard)} hard examples that the trainer sent"
        more = f", of which these are the first {MOST_HARD}" if len(some) < len(hard) else ""
        shown += f"<h2>{said}{more}</h2>{_shown(some, task, None)}"
    lines = "".join(f"<p>{_text(each)}</p>" for each in facts)
    return (
        "<!doctype html><html><head><meta charset='utf-8'>"
        # No script, no request: what is shown came partly from a trainer.
        "<meta http-equiv='Content-Security-Policy' "
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        f"<title>{_text(title)}</title><style>{STYLE}</style></head>"
        f"<body><h1>{_text(title)}</h1>{lines}{shown}</body></html>"
    )


def _shown(examples: Examples, task: Task, written: Written | None) -> str:
    if examples.x.ndim == 4:
        return _pictures(examples, task, written.places if written else None)
    return _rows(examples, task, written)


def _pictures(examples: Examples, task: Task, places: Sequence[str] | None) -> str:
    shown = []
    rows = [f", row {each}" for each in places] if places else [""] * len(examples)
    for place, (x, y) in enumerate(zip(examples.x, examples.y, strict=True), start=1):
        side = max(SMALLEST, *x.shape[1:])
        scale = side / max(x.shape[1:])
        size = f"width='{round(x.shape[2] * scale)}' height='{round(x.shape[1] * scale)}'"
        shown.append(
            f"<figure><img {size} src='data:image/png;base64,{_png(x)}'>"
            f"<figcaption>{place}: {_label(int(y), task)}{rows[place - 1]}</figcaption></figure>"
        )
    return "".join(shown)


def _png(x: np.ndarray) -> str:
    """Encode one image (uint8, c h w; c 1 or 3), losslessly."""
    pixels = x[0] if len(x) == 1 else x.transpose(1, 2, 0)
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def _rows(examples: Examples, task: Task, written: Written | None) -> str:
    """Show texts whole, a table's rows in the table's own terms, and of other vectors their numbers."""
    if written and written.head:
        head, cells = list(written.head), [list(row) for row in written.cells]
    elif is_text(examples.x):
        head, cells = ["text"], [[each] for each in as_texts(examples.x)]
    elif task.table is None:
        head = [f"x{place}" for place in range(examples.x.shape[1])]
        cells = [[f"{value:.6g}" for value in row] for row in examples.x]
    else:
        head = [column.name for column in task.table.columns]
        cells = decoded(examples.x, task.table)
    places = [[each] for each in written.places] if written else [[]] * len(examples)
    rows = [
        _row(
            "td",
            [str(number), *at, _label(int(y), task), *(_text(each, len(each)) for each in row)],
        )
        for number, (at, row, y) in enumerate(zip(places, cells, examples.y, strict=True), start=1)
    ]
    kind = " class='texts'" if is_text(examples.x) else ""
    first = ["", "row", "class"] if written else ["", "class"]
    return f"<table{kind}>{_row('th', [*first, *map(_text, head)])}{''.join(rows)}</table>"


def decoded(x: np.ndarray, schema: TableSchema) -> list[list[str]]:
    """Decode rows (n, width) as they stand in a table; what was filled, cut or unknown stays so."""
    columns, place = [], 0
    for column in schema.columns:
        width = 1 if isinstance(column, Numbers) else len(column.known)
        columns.append(_texts(column, x[:, place : place + width]))
        place += width
    return [list(row) for row in zip(*columns, strict=True)]


def _texts(column: Column, x: np.ndarray) -> list[str]:
    if isinstance(column, Categories):
        return [column.known[int(row.argmax())] if row.any() else "(other)" for row in x]
    return plainly(column, x[:, 0])


def _row(tag: str, cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"


def _label(label: int, task: Task) -> str:
    known = 0 <= label < task.num_classes
    return _text(task.classes[label] if known else f"class {label}")


def _text(shown: str, longest: int = LONGEST_LINE) -> str:
    """Escape and clean a text: a name that turns the direction of writing would show other names.

    What leaves is shown whole, however long.
    """
    return html.escape(cleaned(shown, longest))
