"""The costs of answers, read from a CSV file: one row a true class, one column an answer.

    true,       attack, normal
    attack,          0,     50
    normal,          1,      0

The first row names the answers, the first column the true classes, each in any order.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from mycroft_fl.claims import content_of
from mycroft_fl.errors import DataError, one_line
from mycroft_fl.foreign_text import cleaned

A_CELL, A_NAME, A_FILE = 32, 1024, 1 << 16
"""Bytes that a cost, a name and all else may take: a file is as large as its task can need."""
MOST_COST = 1e9
SHOWN = 8
"""Problems that a refusal names one by one."""
LONGEST = 40
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def read_costs(path: Path, classes: Sequence[str]) -> Float64[np.ndarray, "C C"]:
    """Read the costs of each answer (columns) to an example of each class (rows), in the task's order.

    `DataError` names every problem in one line. A right answer may cost no more than a wrong one:
    else the two classes would mean the same (Elkan 2001, section 1.1).
    """
    most = A_FILE + len(classes) * (A_NAME + len(classes) * A_CELL)
    rows = [row for row in _rows(path, most) if any(row)]
    if len(rows) < 2 or len(rows[0]) < 2:
        raise _refused(path, ["it has no header of answers with rows of true classes below it"])
    answers, labels = rows[0][1:], [row[0] for row in rows[1:]]
    problems = [*_of_names("column", answers, classes), *_of_names("row", labels, classes)]
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(rows[0]):
            problems.append(f"row {number} has {len(row)} fields, the header {len(rows[0])}")
    if problems:
        raise _refused(path, problems)
    problems = [
        f"{_shown(text)!r} (row '{_shown(row[0])}', column '{_shown(answer)}') is no number "
        f"from 0 to {MOST_COST:g}"
        for row in rows[1:]
        for answer, text in zip(answers, row[1:], strict=True)
        if not _is_cost(text)
    ]
    if problems:
        raise _refused(path, problems)
    costs = np.array([[float(text) for text in row[1:]] for row in rows[1:]])
    places = ([names.index(each) for each in classes] for names in (labels, answers))
    ordered = costs[np.ix_(*places)]
    if problems := list(_of_costs(ordered, classes)):
        raise _refused(path, problems)
    return np.asarray(ordered, dtype=np.float64)


def _rows(path: Path, most: int) -> list[list[str]]:
    try:
        text = content_of(path, most).decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        return [[field.strip() for field in row] for row in reader]
    except FileNotFoundError as error:
        raise DataError(f"metric: there is no {path}; give the path of a CSV of costs") from error
    except (OSError, ValueError, csv.Error) as error:
        raise _refused(path, [f"it cannot be read as CSV ({one_line(error)})"]) from error


def _of_names(what: str, names: Sequence[str], classes: Sequence[str]) -> Iterator[str]:
    """List what is wrong with the names of rows or of columns."""
    there, known = Counter(names), set(classes)
    unknown = [name for name in there if name not in known]
    for place, name in enumerate(unknown):
        # Only those that are shown: to compare thousands of names with all classes takes minutes.
        near = get_close_matches(name[:LONGEST], classes, n=1) if place < SHOWN else []
        hint = f"; did you mean '{_shown(near[0])}'?" if near else ""
        yield f"{what} '{_shown(name)}' is no class of the task{hint}"
    for name in classes:
        if there[name] != 1:
            how = f"stands there {there[name]} times" if there[name] else "is missing"
            yield f"{what} '{_shown(name)}' {how}"


def _of_costs(costs: Float64[np.ndarray, "C C"], classes: Sequence[str]) -> Iterator[str]:
    """List what is wrong with the costs themselves."""
    if (costs == costs[:, :1]).all():
        yield "for each true class all answers cost the same, so that all models are alike"
    for label, row in enumerate(costs):
        if row[label] > row.min():
            wrong = classes[int(row.argmin())]
            yield (
                f"'{_shown(classes[label])}' taken for itself costs {row[label]:g}, for "
                f"'{_shown(wrong)}' only {row.min():g}"
            )


def _is_cost(text: str) -> bool:
    return bool(NUMBER.fullmatch(text)) and 0 <= float(text) <= MOST_COST


def _refused(path: Path, problems: Sequence[str]) -> DataError:
    more = len(problems) - SHOWN
    rest = f"; and {more} more" if more > 0 else ""
    return DataError(
        f"metric: {path} holds no costs: {'; '.join(problems[:SHOWN])}{rest}; give a CSV with a row "
        "for each true class and a column for each answer"
    )


def _shown(name: str) -> str:
    return cleaned(name, LONGEST)
