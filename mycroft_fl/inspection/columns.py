"""The findings about one column: what a run would refuse, and what a person should look at."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np

from mycroft_fl.data.tables.columns import MOST_CATEGORIES, logged
from mycroft_fl.data.tables.kinds import MANY, counts_rows, identifies, no_number
from mycroft_fl.data.tables.values import date_of, looks_like_date
from mycroft_fl.inspection.facts import Facts
from mycroft_fl.inspection.finding import Finding
from mycroft_fl.settings.toml_table import toml_key

MOSTLY = 0.9
WORDY = 4.0
"""Words in the mean from which a text is a sentence."""
FEW_WORDS = 5
IMAGE = re.compile(r".+\.(png|jpe?g|bmp|gif|webp|tiff?|avif)", re.IGNORECASE)
PATTERNS = (
    "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y",
    "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S",
)  # fmt: skip
ID_NAME = re.compile(
    r"(?:^|[_\s.-])(?:id|ids|uuid|guid|nbr|mrn|ssn|key)$|[a-z]ID$|[a-z]Id$", re.IGNORECASE
)
CODE_NAME = re.compile(r"(?:^|[_\s.-])(?:id|code|zip|zipcode|postcode)$|[a-z]Id$", re.IGNORECASE)
MOST_CODES = 50
SENTINELS = frozenset({-1.0, -9.0, -99.0, -999.0, -9999.0, 999.0, 9999.0, 99999.0})
RARE_ZERO, GAP = 0.01, 20.0

Look = Callable[[Facts, int], Iterator[Finding]]


def of_column(facts: Facts, sample: int) -> list[Finding]:
    """Return what is amiss with one column.

    Args:
        facts: of the column.
        sample: rows on which a trainer would learn what the column holds.
    """
    if facts.filled == 0:
        return [
            Finding(
                f"column '{facts.name}' is empty; leave it out with {_set(facts, 'ignore')}",
                stops=not facts.declared or facts.kind != "ignore",
                settings=_columns(facts, "ignore"),
            )
        ]
    looks: dict[str, tuple[Look, ...]] = {
        "category": (_categories, _constant, _spellings),
        "number": (_numbers, _identifiers, _codes, _stand_ins, _too_large, _constant),
        "date": (_dates, _constant),
    }
    found = [each for look in looks.get(facts.kind, ()) for each in look(facts, sample)]
    # A column that is left out has no other trouble.
    out = [each for each in found if dict(each.settings.get("columns", ())).get(facts.name) in OUT]
    return out[:1] or found


OUT = ("id", "ignore")


def _categories(facts: Facts, sample: int) -> Iterator[Finding]:
    if facts.distinct > MOST_CATEGORIES:
        yield Finding(
            f"column '{facts.name}' has {facts.distinct} categories, above {MOST_CATEGORIES}; leave it "
            f"out with {_set(facts, 'ignore')}",
            stops=True,
            settings=_columns(facts, "ignore"),
        )
    if facts.declared:
        return
    if _most(facts, [IMAGE.fullmatch(text) is not None for text in facts.cells.names]):
        yield Finding(
            f"column '{facts.name}' names files of images; set image = \"{facts.name}\" to read them, "
            f"or leave it out with {_set(facts, 'ignore')}",
            stops=_most_differ(facts, sample),
            settings=_columns(facts, "ignore"),
        )
    elif _most(facts, [looks_like_date(text) for text in facts.cells.names]):
        yield _undeclared_date(facts)
    elif is_free_text(facts, sample):
        yield Finding(
            f"column '{facts.name}' holds free text, {words_of(facts):.0f} words in the mean; leave it out "
            f'with {_set(facts, "ignore")}, or set text = "{facts.name}" for a model that reads it alone',
            stops=True,
            settings=_columns(facts, "ignore"),
        )
    elif _most_differ(facts, sample):
        yield Finding(
            f"column '{facts.name}' has {facts.distinct} different texts in {facts.filled} rows, as an "
            f'identifier has; set {_set(facts, "id")} to leave it out, or "category" if it is one',
            stops=True,
            settings=_columns(facts, "id"),
        )


def _undeclared_date(facts: Facts) -> Finding:
    kind, note = "date", ""
    if not _most(facts, [not np.isnan(date_of(text)[0]) for text in facts.cells.names]):
        fits = [
            pattern
            for pattern in PATTERNS
            if all(not np.isnan(date_of(text, pattern)[0]) for text in facts.cells.names)
        ]
        if len(fits) != 1:
            either = f"which may be {' or '.join(fits)}" if fits else "in a spelling of its own"
            return Finding(
                f"column '{facts.name}' holds dates such as '{facts.cells.names[0]}', {either}; say "
                f"which by {_set(facts, 'date:%d/%m/%Y')} or such, or leave it out",
                stops=True,
                settings=_columns(facts, "ignore"),
            )
        kind, note = f"date:{fits[0]}", ", as all of it fits that pattern alone"
    return Finding(
        f"column '{facts.name}' holds dates such as '{facts.cells.names[0]}'; set "
        f'{_set(facts, kind)} for day, weekday and hour{note}, or "ignore" to leave it out',
        stops=True,
        settings=_columns(facts, kind),
    )


def _dates(facts: Facts, sample: int) -> Iterator[Finding]:
    pattern = dict(facts.spelling.dates).get(facts.name, "")
    wrong = [text for text in facts.cells.names if np.isnan(date_of(text, pattern)[0])]
    if wrong:
        rows = sum(int(facts.counts[facts.cells.names.index(text)]) for text in wrong[:FEW_WORDS])
        yield Finding(
            f"column '{facts.name}' holds '{wrong[0]}', which is no date as it is declared ({rows} rows "
            f"or more); say how it is written, such as {_set(facts, 'date:%d/%m/%Y')}",
            stops=True,
        )


def _numbers(facts: Facts, sample: int) -> Iterator[Finding]:
    if not facts.declared and no_number(facts.cells, facts.name):
        yield Finding(
            f"column '{facts.name}' holds numbers of more than 15 digits, which no number tells apart; "
            f'set {_set(facts, "id")} to leave it out, or "category"',
            stops=True,
            settings=_columns(facts, "id"),
        )
        return
    if counts_rows(facts.cells):
        yield Finding(
            f"column '{facts.name}' counts the rows; set {_set(facts, 'id')} if it is an index",
            settings=_columns(facts, "id"),
        )
    words = [
        text for text, value in zip(facts.cells.names, facts.values, strict=True) if np.isnan(value)
    ]
    rows = int(facts.counts[np.isnan(facts.values)].sum())
    kind = "ignore" if _most_differ(facts, sample) else "category"
    if words and len(words) <= FEW_WORDS:
        listed = ", ".join(f'"{each}"' for each in words)
        yield Finding(
            f"column '{facts.name}' holds numbers, but no number in {rows} rows, such as '{words[0]}'; "
            f"mend these rows, or set missing-values = {{ {toml_key(facts.name)} = [{listed}] }} if they "
            "stand for none",
            stops=True,
            settings={
                "missing_values": ((facts.name, tuple(words)),), "missing": "fill",
            },
        )  # fmt: skip
    elif words:
        yield Finding(
            f"column '{facts.name}' holds numbers, but no number in {rows} rows, such as '{words[0]}'; "
            f"mend these rows, or set {_set(facts, kind)} "
            + ("if all of it are codes" if kind == "category" else "to leave the column out"),
            stops=True,
            settings=_columns(facts, kind),
        )
    infinite = int(facts.counts[np.isinf(facts.values)].sum())
    if infinite:
        yield Finding(
            f"column '{facts.name}' holds an infinite number in {infinite} rows; mend these rows, or set "
            'missing = "fill", by which they count as missing',
            stops=True,
            settings={"missing": "fill"},
        )


def _too_large(facts: Facts, sample: int) -> Iterator[Finding]:
    finite = facts.values[np.isfinite(facts.values)]
    if not len(finite):
        return
    with np.errstate(over="ignore", invalid="ignore"):
        spread = np.var(finite)
    if not np.isfinite(spread) and np.isfinite(np.var(logged(finite))):
        yield Finding(
            f"column '{facts.name}' holds numbers as large as {np.abs(finite).max():g}, too large to be "
            f'scaled; set log = ["{facts.name}"], or leave it out',
            stops=True,
            settings={"log": (facts.name,)},
        )


def _identifiers(facts: Facts, sample: int) -> Iterator[Finding]:
    """Say which numbers tell rows, or persons, apart: by name and values together."""
    if facts.declared or not ID_NAME.search(facts.name) or facts.distinct <= MOST_CODES:
        return
    if not (np.isfinite(facts.values).all() and (facts.values % 1 == 0).all()):
        return
    if facts.distinct == facts.filled:
        yield Finding(
            f"column '{facts.name}' is another number in every row, as an identifier is; set "
            f'{_set(facts, "id")} to leave it out, or "number" if a model is to see it',
            settings=_columns(facts, "id"),
        )
    elif facts.distinct > facts.filled / 10:
        yield Finding(
            f"column '{facts.name}' has {facts.distinct} different numbers in {facts.filled} rows, and may "
            f'say whose a row is; if so, set unit-id = "{facts.name}", else {_set(facts, "id")}',
            settings=_columns(facts, "id"),
        )


def _codes(facts: Facts, sample: int) -> Iterator[Finding]:
    whole = np.isfinite(facts.values).all() and (facts.values % 1 == 0).all()
    if facts.declared or not whole or not CODE_NAME.search(facts.name):
        return
    if 2 < facts.distinct <= MOST_CODES:
        yield Finding(
            f"column '{facts.name}' holds {facts.distinct} whole numbers that by its name may be codes; "
            f"set {_set(facts, 'category')} if 2 is no more than 1",
            settings=_columns(facts, "category"),
        )


def _stand_ins(facts: Facts, sample: int) -> Iterator[Finding]:
    """Say which number may stand for a missing one: it lies apart from all others."""
    finite = np.isfinite(facts.values)
    values, counts = facts.values[finite], facts.counts[finite]
    order = np.argsort(values)
    values, counts = values[order], counts[order]
    if len(values) < MANY:
        return
    steps = np.diff(values)
    for place, value in ((0, values[0]), (len(values) - 1, values[-1])):
        apart = steps[0] if place == 0 else steps[-1]
        usual = float(np.median(steps[1:] if place == 0 else steps[:-1]))
        often = counts[place] >= max(2, RARE_ZERO * counts.sum())
        zero = value == 0 and place == 0 and apart > 0.2 * float(np.median(values[1:]))
        if often and apart > GAP * usual and (value in SENTINELS or zero):
            text = f"{value:g}"
            yield Finding(
                f"column '{facts.name}' holds {text} in {counts[place]} rows, far from all other values; "
                f'set missing-values = {{ {toml_key(facts.name)} = ["{text}"] }} if it stands for a '
                "missing one",
                settings={
                    "missing_values": ((facts.name, (text,)),), "missing": "fill",
                },
            )  # fmt: skip


def _constant(facts: Facts, sample: int) -> Iterator[Finding]:
    if facts.distinct == 1:
        but = f", or is missing ({facts.missing} rows)" if facts.missing else ""
        yield Finding(
            f"column '{facts.name}' is '{facts.cells.names[0][:40]}' in every row{but}, and tells a model "
            f"nothing; leave it out with {_set(facts, 'ignore')}",
            settings=_columns(facts, "ignore"),
        )


def _spellings(facts: Facts, sample: int) -> Iterator[Finding]:
    alike = spelt_twice(facts.cells.names)
    if alike and not facts.declared:
        yield Finding(
            f"column '{facts.name}' writes '{alike[0]}' and '{alike[1]}', which become two categories; "
            "write them alike if they are one"
        )


def spelt_twice(names: tuple[str, ...]) -> tuple[str, str] | None:
    """Return two names that differ in case or spaces alone; None where there are none.

    >>> spelt_twice(("Male", "female", "male"))
    ('Male', 'male')
    """
    seen: dict[str, str] = {}
    for name in names:
        key = " ".join(name.casefold().split())
        if key in seen:
            return seen[key], name
        seen[key] = name
    return None


def _most_differ(facts: Facts, sample: int) -> bool:
    """Return whether most rows of a trainer's own would have a text of their own."""
    if identifies(facts.cells, facts.name):
        return True
    shares = facts.counts[facts.counts > 0] / max(facts.filled, 1)
    expected = float((1 - (1 - shares) ** sample).sum())
    return expected > max(MANY, sample / 2)


def is_free_text(facts: Facts, sample: int) -> bool:
    """Return whether a column that nobody declared holds sentences, of which most differ."""
    undeclared = facts.kind == "category" and not facts.declared
    return undeclared and words_of(facts) >= WORDY and _most_differ(facts, sample)


def words_of(facts: Facts) -> float:
    """Return how many words a text has in the mean."""
    words = np.array([len(text.split()) for text in facts.cells.names])
    return float((words * facts.counts).sum() / max(facts.filled, 1))


def _most(facts: Facts, those: list[bool]) -> bool:
    return bool(facts.counts[np.array(those, dtype=bool)].sum() >= MOSTLY * facts.filled)


def _columns(facts: Facts, kind: str) -> dict[str, tuple[tuple[str, str], ...]]:
    return {"columns": ((facts.name, kind),)}


def _set(facts: Facts, kind: str) -> str:
    return f'columns.{toml_key(facts.name)} = "{kind}"'
