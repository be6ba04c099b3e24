"""The findings about a table's rows and classes: copies, conflicts, classes that are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int64

from mycroft_fl.data.tables.cells import TextColumn
from mycroft_fl.data.tables.targets import check_classes
from mycroft_fl.data.tables.values import known_as, number_of
from mycroft_fl.errors import DataError
from mycroft_fl.inspection.columns import spelt_twice
from mycroft_fl.inspection.facts import Facts
from mycroft_fl.inspection.finding import Finding

MOST_NUMBERED = 20
"""Numbers as classes from which they may be measurements."""
FEW_ROWS = 20.0
SCARCE = 3
LABEL_NAMES = (
    "label", "class", "target", "y", "outcome", "diagnosis", "category", "intent", "species", "result",
)  # fmt: skip
MOST_CLASSES = 50


def row_ids(features: Sequence[Facts], rows: int) -> Int64[np.ndarray, " n"]:
    """Return a number for each row, equal exactly where all features are equal."""
    ids = np.zeros(rows, dtype=np.int64)
    for facts in features:
        codes = facts.codes + 1
        pairs = ids * (int(codes.max(initial=0)) + 1) + codes
        ids = np.unique(pairs, return_inverse=True)[1].astype(np.int64)
    return ids


def first_rows(ids: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Return which rows are the first with their content: the data set holds no others."""
    first = np.zeros(len(ids), dtype=bool)
    first[np.unique(ids, return_index=True)[1]] = True
    return first


def of_rows(ids: Int64[np.ndarray, " n"], label: TextColumn) -> Iterator[Finding]:
    """Say how many rows stand there twice, and how many of them with two classes."""
    copies = len(ids) - len(np.unique(ids))
    if not copies:
        return
    pairs = np.unique(np.stack([ids, label.codes.astype(np.int64)]), axis=1)
    contents, classes = np.unique(pairs[0], return_counts=True)
    torn = contents[classes > 1]
    conflicting = np.flatnonzero(np.isin(ids, torn))
    if len(conflicting):
        first = np.flatnonzero(ids == ids[conflicting[0]]).tolist()
        other = next(row for row in first if label.codes[row] != label.codes[first[0]])
        yield Finding(
            f"{len(conflicting)} rows have equal features but different classes, such as rows "
            f"{first[0] + 1} ('{label.text(first[0])}') and {other + 1} ('{label.text(other)}'); the "
            "first of each counts: mend the others, or add the column that tells them apart"
        )
    same = copies - sum(int((ids == each).sum()) - 1 for each in torn[:1000])
    if len(torn) <= 1000 and same > 0:
        yield Finding(f"{same} rows stand there twice; the first of each counts")


def of_twins(features: Sequence[Facts], label: Facts | None) -> Iterator[Finding]:
    """Say which columns say the same as one before them, or as the class itself."""
    seen: dict[bytes, str] = {}
    classes = b"" if label is None else _pattern(label)
    for facts in features:
        if facts.distinct < 2:
            continue
        pattern = _pattern(facts)
        leave = {"columns": ((facts.name, "ignore"),)}
        if label is not None and pattern == classes:
            yield Finding(
                f"column '{facts.name}' says the same as the class '{label.name}', and a model would only "
                "copy it; leave it out with drop",
                settings=leave,
            )
        elif pattern in seen:
            yield Finding(
                f"column '{facts.name}' says the same as column '{seen[pattern]}'; leave one of them out "
                "with drop",
                settings=leave,
            )
        seen.setdefault(pattern, facts.name)


def _pattern(facts: Facts) -> bytes:
    """Return which rows are alike, whatever they are called: codes in order of appearance.

    Where most rows differ that says nothing: then the values themselves.
    """
    codes = facts.codes
    if facts.distinct > len(codes) / 2:
        if facts.kind == "number":
            return bytes(np.append(facts.values, np.nan)[facts.cells.codes].tobytes())
        return "\0".join(text or "" for text in facts.cells.texts).encode()
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    renamed: bytes = np.where(codes < 0, -1, rank[inverse]).tobytes()
    return renamed


def of_label(label: Facts) -> Iterator[Finding]:
    """Say what is amiss with the classes."""
    cells, counts = label.cells, label.counts
    if label.missing:
        rows = np.flatnonzero(cells.missing)
        yield Finding(
            f"{label.missing} rows have no class in column '{label.name}', the first is row {rows[0] + 1}; "
            "label them or take them out",
            stops=True,
        )
    if label.distinct < 2:
        yield Finding(
            f"column '{label.name}' holds one class alone; a model needs two at least",
            stops=True,
        )
        return
    if looks_like_measurement(label):
        yield Finding(
            f"column '{label.name}' has {label.distinct} different numbers, and looks like a measurement: "
            "a regression, not classes; make a column of a few classes of it, such as 'high' and 'low', "
            "and name that as label",
            stops=is_refused(label),
        )
        return
    alike = _alike(cells.names) or spelt_twice(cells.names)
    if alike:
        yield Finding(
            f"classes '{alike[0]}' and '{alike[1]}' may be one; set labels = {{ \"{alike[1]}\" = "
            f'"{alike[0]}" }} to join them',
            settings={"labels": ((alike[1], alike[0]),)},
        )
    scarce = [(cells.names[place], int(counts[place])) for place in np.argsort(counts)]
    scarce = [each for each in scarce if 0 < each[1] < SCARCE]
    if scarce:
        yield Finding(
            f"{len(scarce)} classes have fewer than {SCARCE} rows, such as '{scarce[0][0]}' with "
            f"{scarce[0][1]}: nothing can be learnt of them and tested too; join them to others with "
            "labels, or take them out"
        )


def is_refused(label: Facts) -> bool:
    """Return whether a run refuses these classes as a target of numbers."""
    try:
        check_classes("", label.name, label.cells.names, label.filled, label.spelling)
    except DataError:
        return True
    return False


def looks_like_measurement(label: Facts) -> bool:
    """Return whether a column of classes rather holds measurements: many numbers, few rows each."""
    if is_refused(label):
        return True
    values = np.array([number_of(each) for each in label.cells.names])
    if label.distinct <= MOST_NUMBERED or np.isnan(values).any():
        return False
    fractions = bool((values % 1 != 0).any())
    return fractions or float(np.median(label.counts[label.counts > 0])) < FEW_ROWS


def _alike(names: tuple[str, ...]) -> tuple[str, str] | None:
    known = set(names)
    for name in names:
        if (other := known_as(name, known - {name})) != name:
            return other, name
    return None


def guessed_label(columns: Mapping[str, TextColumn]) -> str | None:
    """Return the column that may hold the class: by its name, else the last with few different texts."""
    few = [
        name
        for name, column in columns.items()
        if 2 <= int((column.counts > 0).sum()) <= MOST_CLASSES and not column.missing.any()
    ]
    named = {name.strip().lower(): name for name in columns}
    for each in LABEL_NAMES:
        if each in named:
            return named[each]
    # A class is more often a word than a number, and stands last, or nearly so.
    late = [name for name in list(columns)[-3:] if name in few]
    texts = [name for name in late if any(np.isnan(number_of(t)) for t in columns[name].names)]
    return next(reversed(texts or few), None)
