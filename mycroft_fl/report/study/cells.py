"""A study's rows, gathered: panels that hold one comparison each, and means over seeds with intervals."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mycroft_fl.report.study.folder import DONE, Axis, Part, Row, Study, as_field
from mycroft_fl.statistics import Estimate, over_seeds

FIRST_TOLD_APART = ("mode, method", "method", "mode", "engine")
"""Which axis gets a line each, where several could."""
MODE, METHOD = "mode", "method"
KIND = "mode, method"
"""Both in one, where both vary and are not too many for one plot."""
MOST_KINDS = 8
BY_METHOD = ("raw", "score-then-raw")
"""The modes in which a method chooses; in all others relevance does."""
FIRST_ALONG = ("budget", "policy.epsilon")
"""Which axis runs from left to right, where several could."""
POLICY_EPSILON = "policy.epsilon"
Value = Callable[[Row], float | None]


@dataclass(frozen=True)
class Panel:
    """One plot's worth of cells: what runs along, what separates the kinds, and what stays fixed.

    `along` and `apart` are None where nothing does. `rows` are the finished ones.
    """

    part: Part
    along: Axis | None
    apart: Axis | None
    fixed: Mapping[str, Any]
    rows: tuple[Row, ...]

    @property
    def fixed_in_words(self) -> str:
        """The keys that stay fixed; empty where nothing does."""
        return ", ".join(
            as_field(value) if key == "scenario" else said_of(key, value)
            for key, value in self.fixed.items()
        )

    @property
    def title(self) -> str:
        """The fixed keys, in words; the part's title where nothing stays fixed."""
        return self.fixed_in_words or self.part.title

    def where(self, place: Any) -> str:
        """Return one place of the panel, in words that no other panel of the study has."""
        along = "" if self.along is None else said_of(self.along.key, place)
        said = ", ".join(filter(None, (self.fixed_in_words, along)))
        return ": ".join(filter(None, (self.part.name, said))) or self.part.title

    def kinds(self) -> list[Any]:
        """Return the kinds that have any rows, in the study's order; [None] if there are none such."""
        if self.apart is None:
            return [None]
        there = [row[self.apart.key] for row in self.rows]
        return [value for value in self.apart.values if value in there]

    def places(self) -> list[Any]:
        """Return the values along which there are any rows, from least to most; [None] where none are."""
        if self.along is None:
            return [None]
        there = {row[self.along.key] for row in self.rows}
        return sorted(value for value in self.along.values if value in there)

    def everywhere(self) -> list[Any]:
        """Return the places, and None where rows lie at none of them: plain answers beside noised ones."""
        aside = self.along is not None and any(self.is_aside(kind) for kind in self.kinds())
        return [*self.places(), *([None] if aside else [])]

    def is_aside(self, kind: Any) -> bool:
        """Return whether a kind lies at no place along, since what runs along is nothing to it."""
        return self.along is not None and bool(self.at(kind, None))

    def at(self, kind: Any, place: Any) -> list[Row]:
        """Return the rows of one kind at one place, a row a seed; with None those at no place along."""
        return [
            row
            for row in self.rows
            if (self.apart is None or row[self.apart.key] == kind)
            and (self.along is None or _value(self.along, row) == place)
        ]


def panels(study: Study) -> list[Panel]:
    """Return the study's comparisons, part by part."""
    return [panel for part in study.parts for panel in _panels_of(study, part)]


def _panels_of(study: Study, part: Part) -> Iterator[Panel]:
    rows = [row for row in study.rows if row["status"] == DONE and row.get("part", "") == part.name]
    varying = [axis for axis in part.axes if len(axis.values) > 1]
    rows, varying = _with_kinds(study, rows, varying)
    along = _first([axis for axis in varying if is_numeric(axis)], FIRST_ALONG)
    apart = _first([axis for axis in varying if axis is not along], FIRST_TOLD_APART)
    rest = [axis for axis in varying if axis is not along and axis is not apart]
    for values in itertools.product(*((*axis.values, None) for axis in rest)):
        fixed = dict(zip((axis.key for axis in rest), values, strict=True))
        chosen = tuple(
            row for row in rows if all(_value(axis, row) == fixed[axis.key] for axis in rest)
        )
        if chosen:
            yield Panel(part, along, apart, fixed, chosen)


def _with_kinds(study: Study, rows: list[Row], varying: list[Axis]) -> tuple[list[Row], list[Axis]]:
    """Join mode and method into one axis, where both vary: a method is one of a mode, and not of all."""
    kinds = kinds_of(study, rows)
    if not {MODE, METHOD} <= {axis.key for axis in varying} or len(kinds) > MOST_KINDS:
        return rows, varying
    others = [axis for axis in varying if axis.key not in (MODE, METHOD)]
    named = [{**row, KIND: kind_of(study, row)} for row in rows]
    return named, [*others, Axis(KIND, tuple(kinds))]


def _value(axis: Axis, row: Row) -> Any:
    """Return a row's value on an axis; None where it has none, or one that is not on it."""
    return row[axis.key] if row[axis.key] in axis.values else None


def said_of(key: str, value: Any) -> str:
    """Return a key with its value, in words."""
    return f"no {key}" if value is None else f"{key} {as_field(value)}"


def is_numeric(axis: Axis) -> bool:
    """Return whether an axis holds numbers alone; yes and no are none."""
    return all(type(value) in (int, float) for value in axis.values)


def _first(axes: Sequence[Axis], preferred: Sequence[str]) -> Axis | None:
    for key in preferred:
        for axis in axes:
            if axis.key == key:
                return axis
    return axes[0] if axes else None


def estimate(rows: Sequence[Row], value: Value) -> Estimate | None:
    """Return the mean over seeds with its 95 % interval; None where no row has the value."""
    values = [found for row in rows if (found := value(row)) is not None]
    return over_seeds(values) if values else None


def measure(name: str) -> Value:
    """Return a row's measure of that name."""
    return lambda row: row.get(name)


def over(name: str, rival: str) -> Value:
    """Return the difference of two measures of one row, which is paired by seed and by run."""

    def difference(row: Row) -> float | None:
        one, other = row.get(name), row.get(rival)
        return None if one is None or other is None else float(one - other)

    return difference


def written(
    found: Estimate | None, *, factor: float = 100, sign: bool = False, digits: int = 1
) -> str:
    """Write `mean ± half-width`; the mean alone where there is but one seed; `-` where there is nothing.

    Args:
        found: the estimate; None where nothing was measured.
        factor: multiplies both numbers, 100 for per cent.
        sign: whether a plus is shown.
        digits: behind the point.
    """
    if found is None:
        return "-"
    mean = f"{factor * found.mean:{'+' if sign else ''}.{digits}f}"
    if found.half_width == float("inf"):
        return mean
    return f"{mean} ± {factor * found.half_width:.{digits}f}"


def epsilon_of(row: Row) -> float:
    """Return what the policy allowed, where the study varies it; else what was spent, to three digits."""
    allowed = row.get(POLICY_EPSILON)
    return float(allowed) if isinstance(allowed, int | float) else float(f"{row['epsilon']:.3g}")


def kind_of(study: Study, row: Row) -> str:
    """Return mode and method of a row, as far as the study varies them and the mode has one."""
    keys = {axis.key for axis in study.axes if len(axis.values) > 1}
    said = [as_field(row[key]) for key in (MODE, METHOD) if key in keys]
    if MODE in keys and row[MODE] not in BY_METHOD:
        said = said[:1]
    return ", ".join(said) or "all cells"


def kinds_of(study: Study, rows: Sequence[Row]) -> list[str]:
    """Return the kinds there are, in the order in which the study names their modes and methods."""
    order = {axis.key: [as_field(value) for value in axis.values] for axis in study.axes}
    there = {kind_of(study, row): row for row in rows}

    def key(kind: str) -> tuple[int, ...]:
        said = (as_field(there[kind].get(name)) for name in (MODE, METHOD))
        return tuple(
            order.get(name, []).index(value) if value in order.get(name, []) else -1
            for name, value in zip((MODE, METHOD), said, strict=True)
        )

    return sorted(there, key=key)


def place_of(study: Study, row: Row) -> str:
    """Return the scenario of a row, where the study varies it."""
    said = [
        as_field(row[axis.key])
        for axis in study.axes
        if axis.key == "scenario" and len(axis.values) > 1
    ]
    return ", ".join(said)


def places_of(study: Study, rows: Sequence[Row]) -> list[str]:
    """Return the scenarios there are, in the order of their names."""
    return sorted({place_of(study, row) for row in rows})


def a_seed_each(rows: Sequence[Row]) -> list[Row]:
    """Keep one row a seed: without noise epsilon changes nothing, and a grid over it repeats one run."""
    return list({row["seed"]: row for row in reversed(rows)}.values())
