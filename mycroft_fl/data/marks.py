"""The marks on a table's rows besides their features: whose they are, and what may leave."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int64

from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.tables.encode import DataTable
from mycroft_fl.errors import DataError

CONSENT = {
    "yes": True, "true": True, "1": True, "1.0": True,
    "no": False, "false": False, "0": False, "0.0": False,
}  # fmt: skip


def units_of(table: DataTable, spec: DatasetSpec) -> np.ndarray | None:
    """Return whose each row is, as text; None where the spec names no such column."""
    return table.column(spec.unit_id).texts.astype(str) if spec.unit_id else None


def shareable_of(table: DataTable, spec: DatasetSpec) -> Bool[np.ndarray, " n"] | None:
    """Return whether each row may be handed over; an empty field says no. None where no column is named.

    Raises `DataError` naming the first row that says neither yes nor no.
    """
    if not spec.shareable:
        return None
    said = table.column(spec.shareable)
    answers = said.each(lambda word: CONSENT.get(word.lower()), object, False)
    unclear = np.flatnonzero(answers == None)  # noqa: E711
    if len(unclear):
        row = int(unclear[0])
        raise DataError(
            f"{table.place(row)}, column '{spec.shareable}' '{said.text(row)}' says neither "
            "yes nor no; write yes, no, true, false, 1, 0, or leave it empty for no"
        )
    return answers.astype(bool)


def record_ids(columns: Iterable[Any]) -> Int64[np.ndarray, " n"]:
    """Number rows so that two have one number exactly where all their columns are equal.

    An owner's record is a content, a label and, where there is one, a unit. By content alone, a row
    that is taken away could let another one of other label or unit in, and one record's absence would
    count for two. By values, not by digests: whoever may add a row could make one of equal digest.
    """
    ids: Int64[np.ndarray, " n"] | None = None
    for column in columns:
        codes, values = pd.factorize(column)  # -1: missing
        codes = codes.astype(np.int64) + 1
        if ids is not None:
            codes = pd.factorize(ids * (len(values) + 1) + codes)[0].astype(np.int64)
        ids = codes
    if ids is None:
        raise ValueError("records are distinguished by one column at least")
    return ids


def digests_of(x: np.ndarray) -> np.ndarray:
    """Return a 256-bit digest of each row's bytes."""
    rows = np.ascontiguousarray(x)
    return np.array(
        [hashlib.blake2b(row.tobytes(), digest_size=32).digest() for row in rows], object
    )
