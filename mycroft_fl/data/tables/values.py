"""The meaning of one text: a number, a date, nothing at all, or a name that was written otherwise.

Each function looks at one text alone, by the spelling that the data set's own file declares.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from jaxtyping import Float64

from mycroft_fl.data.formats.spec import DatasetSpec

MISSING_NAMES = frozenset(
    {"", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "?"}
)
EXACT = 2**53
"""Beyond it a float no longer tells whole numbers apart."""
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
OF_NUMBERS = dict.fromkeys(map(ord, "0123456789+-.eE"))
"""What plain numbers are made of. Of these alone, `float` reads what NUMBER matches and nothing else."""
CODE = re.compile(r"0\d+", re.ASCII)
"""A whole number with a zero before it: who writes one means a code, such as a postcode."""
DAY = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})|(\d{1,2})\.(\d{1,2})\.(\d{4})", re.ASCII)
TIME = re.compile(
    r"[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)? ?(Z|UTC|[+-]\d{2}:?\d{2})?", re.ASCII
)
SLASHED = re.compile(r"\d{1,2}/\d{1,2}/\d{2,4}(?:[ T].*)?", re.ASCII)
SPACES = "\u00a0\u202f\u2009"
PARTS = ("day", "weekday", "hour")
"""The numbers that a date becomes: days since 1970, 0 (Monday) to 6, and hours since midnight."""


@dataclass(frozen=True)
class Spelling:
    """How a file writes numbers and dates: its decimal point, its thousands, the dates' patterns."""

    decimal: str = "."
    thousands: str = ""
    dates: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, spec: DatasetSpec) -> Spelling:
        """Return what a data set's spec says of it."""
        patterns = {name: kind.partition(":")[2] for name, kind in spec.columns}
        dates = tuple((name, pattern) for name, pattern in patterns.items() if pattern)
        return cls(spec.decimal or ".", spec.thousands, dates)


PLAIN = Spelling()


def number_of(text: str, spelling: Spelling = PLAIN) -> float:
    """Return the number that a text writes, which may be infinite; NaN where it is none."""
    if spelling.thousands or spelling.decimal != ".":
        text = _plainly(text, spelling)
    if NUMBER.fullmatch(text) or INFINITE.fullmatch(text):
        return float(text)
    return math.nan


def numbers_of(texts: Sequence[str], spelling: Spelling = PLAIN) -> Float64[np.ndarray, " m"]:
    """Return the numbers that texts write, each as `number_of` says.

    Where all are plain numbers Python's own reading says the same in a twentieth of the time.
    """
    plain = spelling.decimal == "." and not spelling.thousands
    if plain and not "".join(texts).translate(OF_NUMBERS):
        with suppress(ValueError):  # such as of a sign alone
            return np.fromiter(map(float, texts), np.float64, len(texts))
    return np.fromiter((number_of(text, spelling) for text in texts), np.float64, len(texts))


def _plainly(text: str, spelling: Spelling) -> str:
    """Write a number with a point and no thousands; other texts become what is none."""
    if spelling.thousands == " ":
        text = text.translate(dict.fromkeys(map(ord, SPACES), " "))
    whole, mark, rest = text.partition(spelling.decimal)
    if spelling.decimal != "." and "." in (whole if spelling.thousands != "." else rest):
        return ""
    mantissa, exponent, power = whole.partition("e") if not mark else (whole, "", "")
    if spelling.thousands and spelling.thousands in mantissa:
        first, *groups = mantissa.lstrip("+-").split(spelling.thousands)
        # In India all but the last group have two digits.
        if (
            not 1 <= len(first) <= 3
            or not all(len(g) in (2, 3) for g in groups)
            or len(groups[-1]) != 3
        ):
            return ""
        mantissa = mantissa.replace(spelling.thousands, "")
    return mantissa + exponent + power + ("." + rest if mark else "")


def date_of(text: str, pattern: str = "") -> tuple[float, float, float]:
    """Return a date's `PARTS`, in UTC where it names an offset; NaN where the text is no date.

    By `pattern`, as in Python's strptime, where there is one. Otherwise 2021-03-31, 2021/03/31 or
    31.03.2021, with or without a time: 03/04/2021 is one day in Europe and another in America.
    """
    try:
        when = datetime.strptime(text, pattern) if pattern else _as_usual(text)
    except ValueError:
        return (math.nan,) * 3
    if when.tzinfo is not None:
        when = when.astimezone(UTC).replace(tzinfo=None)
    days = (when - datetime(1970, 1, 1)).days
    return float(days), float(when.weekday()), when.hour + when.minute / 60 + when.second / 3600


def _as_usual(text: str) -> datetime:
    day = DAY.match(text)
    if day is None:
        raise ValueError(text)
    year, month, of_month = day.group(1, 2, 3) if day[1] else day.group(6, 5, 4)
    when = datetime(int(year), int(month), int(of_month))
    if not (rest := text[day.end() :]):
        return when
    time = TIME.fullmatch(rest)
    if time is None:
        raise ValueError(text)
    hour, minute, second, zone = time.groups()
    when = when.replace(hour=int(hour), minute=int(minute), second=int(second or 0))
    if zone is None:
        return when
    return when.replace(tzinfo=datetime.strptime(_offset(zone), "%z").tzinfo)


def _offset(zone: str) -> str:
    return "+0000" if zone in ("Z", "UTC") else zone


def looks_like_date(text: str) -> bool:
    """Return whether a person would read a date."""
    return not math.isnan(date_of(text)[0]) or SLASHED.fullmatch(text) is not None


def is_missing(text: str, listed: tuple[str, ...] | None, spelling: Spelling = PLAIN) -> bool:
    """Return whether a text stands for nothing: an empty one, a usual word for it, or one `listed`.

    An empty list says that only an empty text is missing, so that NA may be a country.
    """
    if not text:
        return True
    if listed is None:
        return text in MISSING_NAMES
    if text in listed or (listed and text in MISSING_NAMES):
        return True
    number = number_of(text, spelling)
    return not math.isnan(number) and any(number_of(each) == number for each in listed)


def known_as(text: str, known: Collection[str]) -> str:
    """Return the name in `known` that a text stands for, looked at alone; the text itself if no name fits.

    A number may have been written otherwise where the names were taken from: 1, 01 and 1.0 are one.
    """
    if text in known:
        return text
    word = text.strip().lower()
    if word in ("true", "false"):
        spellings = [word, word.capitalize(), word.upper()]
    else:
        number = number_of(word)
        whole = math.isfinite(number) and number.is_integer() and abs(number) < EXACT
        if math.isnan(number):
            return text
        spellings = [str(int(number))] if whole else []
        spellings.append(str(number))
    return next((each for each in spellings if each in known), text)
