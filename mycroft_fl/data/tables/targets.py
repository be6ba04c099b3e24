"""Labels that are no classes: a target of numbers, as a regression has one."""

from __future__ import annotations

import math
from collections.abc import Iterable

from mycroft_fl.data.tables.values import PLAIN, Spelling, number_of
from mycroft_fl.errors import DataError

MANY_FRACTIONS = 20
"""Different numbers with a fraction from which on they are measured, not named."""
MANY_WHOLE = 50
"""Different whole numbers from which on they are counted, not named, if most rows have one of their own."""


def check_classes(
    source: str, name: str, labels: Iterable[str], rows: int, spelling: Spelling = PLAIN
) -> None:
    """Raise `DataError` where a label's distinct texts are numbers that no class could be.

    >>> check_classes("a.csv", "outcome", ["0", "1", "2"], 300)

    Args:
        source: the file, for the error.
        name: of the label.
        labels: its distinct texts.
        rows: how many rows there are.
        spelling: how the file writes numbers.
    """
    distinct = list(labels)
    numbers = [number_of(each, spelling) for each in distinct]
    if len(distinct) <= MANY_FRACTIONS or not all(map(math.isfinite, numbers)):
        return
    measured = any(not each.is_integer() for each in numbers)
    if measured or (len(distinct) > MANY_WHOLE and len(distinct) > rows / 2):
        raise DataError(
            f"{source}: label '{name}' holds {len(distinct)} different numbers in {rows} rows, from "
            f"{min(numbers):g} to {max(numbers):g}: a target to be predicted as a number, and models here "
            "tell classes apart; make classes of it, such as a column of 'high' and 'normal'"
        )
