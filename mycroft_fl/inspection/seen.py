"""A table as its spec shows it: cells, the columns that a model may see, and the class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.tables.cells import TextColumn
from mycroft_fl.data.tables.kinds import inspected
from mycroft_fl.data.tables.values import Spelling, is_missing
from mycroft_fl.inspection.facts import Facts
from mycroft_fl.inspection.finding import Finding, with_settings

LARGEST_SAMPLE = 2000
"""Rows on which the skeleton's trainer learns what columns hold."""


@dataclass(frozen=True, eq=False)
class SeenTable:
    """A table as far as its spec shows it.

    columns    every column's texts, as they were read
    spec       what is known of the table
    kinds      what a task says that columns hold; None where the table itself says so
    """

    columns: Mapping[str, TextColumn]
    spec: DatasetSpec
    kinds: Mapping[str, str] | None

    def by(self, finding: Finding) -> SeenTable:
        """Return the table as it is seen once a finding's settings are set."""
        return replace(self, spec=with_settings(self.spec, [finding]))

    @cached_property
    def cells(self) -> dict[str, TextColumn]:
        """All columns, without what stands for a missing value."""
        return _without_missing(self.columns, self.spec)

    @cached_property
    def features(self) -> list[Facts]:
        """The columns that a model may see."""
        return _features(self.cells, self.spec, self.kinds)

    @cached_property
    def others(self) -> tuple[Facts, ...]:
        """The columns that no model sees."""
        return _others(self.cells, self.spec)

    @cached_property
    def label(self) -> Facts | None:
        """The class; None where no column has its name."""
        name = self.spec.label
        if name not in self.cells:
            return None
        return Facts(name, "label", self.cells[name], Spelling.of(self.spec))

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.cells.values())))

    @property
    def sample(self) -> int:
        """The number of rows from which a trainer would learn what columns hold."""
        return min(max(self.rows // 5, 1), LARGEST_SAMPLE)


def _without_missing(columns: Mapping[str, TextColumn], spec: DatasetSpec) -> dict[str, TextColumn]:
    spelling, listed = Spelling.of(spec), dict(spec.missing_values)

    def found(name: str, column: TextColumn) -> TextColumn:
        # A text of one question mark, or NA, is a text; only an empty one is none.
        also = listed.get(name, () if name == spec.text else None)
        return column.renamed(lambda text: None if is_missing(text, also, spelling) else text)

    return {name: found(name, column) for name, column in columns.items()}


def _features(
    cells: Mapping[str, TextColumn], spec: DatasetSpec, kinds: Mapping[str, str] | None
) -> list[Facts]:
    """Return the columns that a model may see; by a task, those alone that the task has.

    Beside a column of texts it sees no other.
    """
    others = _other_names(spec)
    spelling, found = Spelling.of(spec), []
    if spec.text:
        return [
            Facts(name, "text", column, spelling, True)
            for name, column in cells.items()
            if name == spec.text
        ]
    for name, column in cells.items():
        if name in others or (kinds is not None and name not in kinds):
            continue
        declared = spec.kinds.get(name) if kinds is None else kinds[name]
        kind = declared or inspected(column, spelling)
        found.append(Facts(name, kind, column, spelling, declared is not None))
    return found


def _other_names(spec: DatasetSpec) -> set[str]:
    out = {name for name, kind in spec.kinds.items() if kind in ("id", "ignore")}
    return {spec.label, spec.unit_id, spec.shareable, spec.image, *spec.drop, *out}


def _others(cells: Mapping[str, TextColumn], spec: DatasetSpec) -> tuple[Facts, ...]:
    marks = {
        spec.label: "label",
        spec.unit_id: "unit",
        spec.shareable: "shareable",
        spec.image: "image",
    }
    return tuple(
        Facts(name, marks.get(name) or "left out", column, Spelling.of(spec))
        for name, column in cells.items()
        if name in _other_names(spec) or (spec.text and name != spec.text)
    )
