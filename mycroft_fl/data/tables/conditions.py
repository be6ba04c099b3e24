"""Conditions on a table's rows: which of them a group holds, by value, range, date or absence.

port = 80                          that value
site = ["A", "B"]                  any of them
age = ">= 60"                      a number; also <, <=, >, and != for any value
age = [">= 60, < 80", "< 18"]      both of a pair, or the other one
admitted = ">= 2021-01-01"         a date
chol = "missing"                   no value; "not missing": some value
answer = "= missing"               the text itself
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

import numpy as np
from jaxtyping import Bool

from mycroft_fl.data.tables.encode import DataTable
from mycroft_fl.data.tables.values import date_of, known_as, number_of
from mycroft_fl.errors import DataError

COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
CONDITION = re.compile(r"(<=|>=|!=|=|<|>)\s*(.*)", re.DOTALL)
SOME = 20


def rows_where(table: DataTable, wanted: Mapping[str, Any]) -> Bool[np.ndarray, " n"]:
    """Return which rows meet the conditions on all these columns. `DataError` where no row meets one."""
    chosen = np.ones(len(table), dtype=bool)
    for name, value in wanted.items():
        listed = value if isinstance(value, list) else [value]
        found = np.zeros(len(table), dtype=bool)
        for each in listed:
            found |= _meeting(table, name, each)
        if not found.any():
            raise DataError(
                f"no row has {name} = {sorted(map(str, listed))}; there are {_some(table, name)}"
            )
        chosen &= found
    return chosen


def _some(table: DataTable, name: str) -> list[str]:
    column = table.column(name)
    missing = ["missing"] if column.missing.any() else []
    return sorted(column.names)[:SOME] + missing


def _meeting(table: DataTable, name: str, wanted: Any) -> Bool[np.ndarray, " n"]:
    column = table.column(name)
    if not isinstance(wanted, str):
        return _equal(table, name, _as_text(wanted), exactly=False)
    if wanted in column.names:  # a text that stands there is meant, whatever it looks like
        return _equal(table, name, wanted, exactly=True)
    if wanted in ("missing", "not missing"):
        return column.missing if wanted == "missing" else ~column.missing
    if CONDITION.match(wanted) is None:
        return _equal(table, name, wanted, exactly=False)
    met = np.ones(len(table), dtype=bool)
    for part in wanted.split(","):
        condition = CONDITION.fullmatch(part.strip())
        if condition is None or not condition[2]:
            raise DataError(
                f"{name} = '{wanted}' is no condition; give a value, or one such as '>= 60' or "
                "'>= 60, < 80'"
            )
        met &= _compared(table, name, condition[1], condition[2].strip())
    return met


def _compared(table: DataTable, name: str, sign: str, to: str) -> Bool[np.ndarray, " n"]:
    if sign in ("=", "!="):
        same = _equal(table, name, to, exactly=to in table.column(name).names)
        return same if sign == "=" else ~same & ~table.column(name).missing
    limit, values = number_of(to), table.number(name)
    if math.isnan(limit):
        limit, values = (
            _moment(date_of(to)),
            table.date(name, "day") + table.date(name, "hour") / 24,
        )
    if math.isnan(limit):
        raise DataError(f"{name} {sign} '{to}' compares with neither a number nor a date")
    if np.isnan(values).all():
        raise DataError(f"{name} {sign} '{to}' fits no row: the column holds no such values")
    return np.asarray(COMPARED[sign](values, limit))  # NaN is neither above nor below anything


def _moment(parts: tuple[float, float, float]) -> float:
    return parts[0] + parts[2] / 24


def _equal(table: DataTable, name: str, wanted: str, *, exactly: bool) -> Bool[np.ndarray, " n"]:
    """Return which rows hold that text, or, if not `exactly`, the same number or truth value."""
    number = number_of(wanted)

    def is_meant(text: str) -> bool:
        if text == wanted or exactly:
            return text == wanted
        return number_of(text, table.spelling) == number or known_as(text, {wanted}) == wanted

    return table.column(name).each(is_meant, bool, False)


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return value.isoformat() if isinstance(value, date) else str(value)
