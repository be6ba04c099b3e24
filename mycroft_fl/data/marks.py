"""What a table says of its rows besides their features: whose they are, and what may leave."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int64

from mycroft_fl.data.spec import DatasetSpec
from mycroft_fl.data.tables import Table, text_of
from mycroft_fl.errors import DataError

CONSENT = {
    "yes": True, "true": True, "1": True, "no": False, "false": False, "0": False, "": False,
}  # fmt: skip


def units_of(table: Table, spec: DatasetSpec) -> np.ndarray | None:
    """Whose each row is, as text; None where the spec names no such column."""
    return text_of(table.column(spec.unit_id)).astype(str) if spec.unit_id else None


def shareable_of(table: Table, spec: DatasetSpec) -> Bool[np.ndarray, " n"] | None:
    """Whether each row may be handed over; an empty field says no. None where no column is named.

    Raises `DataError` naming the first row that says neither yes nor no.
    """
    if not spec.shareable:
        return None
    said = text_of(table.column(spec.shareable))
    words = ["" if each is None else each.strip().lower() for each in said]
    answers = np.array([CONSENT.get(word) for word in words], dtype=object)
    unclear = np.flatnonzero(answers == None)  # noqa: E711
    if len(unclear):
        raise DataError(
            f"{table.place(unclear[0])}, column '{spec.shareable}' '{said[unclear[0]]}' says neither "
            "yes nor no; write yes, no, true, false, 1, 0, or leave it empty for no"
        )
    return answers.astype(bool)


def record_ids(
    ids: Int64[np.ndarray, " n"], y: Int64[np.ndarray, " n"], units: np.ndarray | None = None
) -> Int64[np.ndarray, " n"]:
    """A 64-bit digest of each row's content, label and, where there is one, unit.

    Rows of one digest are one record. By content alone, a row that is taken away could let another
    one of other label or unit in, and one record's absence would count for two.
    """
    whole = pd.DataFrame({"id": ids, "label": y})
    if units is not None:
        whole["unit"] = units
    digests = pd.util.hash_pandas_object(whole, index=False)
    return np.asarray(digests.to_numpy().view(np.int64))
