"""A look at one table: what it holds, and all that is amiss with it, in one answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.tables.cells import TextColumn
from mycroft_fl.data.tables.kinds import inspected, written_otherwise
from mycroft_fl.data.tables.values import Spelling, is_missing
from mycroft_fl.errors import DataError, suggestion
from mycroft_fl.inspection.columns import is_free_text, of_column, words_of
from mycroft_fl.inspection.facts import Facts
from mycroft_fl.inspection.finding import Finding, with_settings
from mycroft_fl.inspection.reading import read_as_far_as_it_goes
from mycroft_fl.inspection.rows import (
    first_rows,
    guessed_label,
    of_label,
    of_rows,
    of_twins,
    row_ids,
)
from mycroft_fl.settings.toml_table import toml_key

LARGEST_SAMPLE = 2000
"""Rows on which the skeleton's trainer learns what columns hold."""
FEW, LEAST_DIFFERENT = 5.0, 2


@dataclass(frozen=True, eq=False)
class Look:
    """What was found in one data set.

    spec       the data set with all that the findings set
    rows       examples, copies among them
    columns    of a table; empty for images and vectors
    classes    name -> rows
    distinct   class -> rows that are the first with their content
    findings   what is amiss
    form       a few words, such as "920 rows, 15 columns"
    shape      of one example, where it is an array
    """

    path: Path
    spec: DatasetSpec
    rows: int
    columns: tuple[Facts, ...]
    classes: Mapping[str, int]
    distinct: Mapping[str, int]
    findings: tuple[Finding, ...]
    form: str
    shape: tuple[int, ...] = ()

    @cached_property
    def stops(self) -> tuple[Finding, ...]:
        """What a run would refuse."""
        return tuple(each for each in self.findings if each.stops)

    @property
    def needs_a_mended_file(self) -> bool:
        """Whether no setting makes a run take the data."""
        return any(each.needs_a_mended_file for each in self.findings)


def look_at_table(path: Path, spec: DatasetSpec, kinds: Mapping[str, str] | None = None) -> Look:
    """Look at a table through its spec. Raises `DataError` where there are no rows to look at.

    Args:
        path: the file.
        spec: what is known of it; without a label one is guessed, and said.
        kinds: what a task says that columns hold; None where the table itself says so.
    """
    columns, spec, findings = read_as_far_as_it_goes(path, spec)
    spec, more = _label_found(path, columns, spec)
    findings += more
    findings += _unknown_names(columns, spec)
    cells = _without_missing(columns, spec)
    label = (
        Facts(spec.label, "label", cells[spec.label], Spelling.of(spec))
        if spec.label in cells
        else None
    )
    rows = len(next(iter(cells.values())))
    features = _features(cells, spec, kinds)
    hint = _other_spelling(features)
    if hint is not None:
        findings.append(hint)
        spec = with_settings(spec, [hint])
        cells = _without_missing(columns, spec)
        features = _features(cells, spec, kinds)
    sample = min(max(rows // 5, 1), LARGEST_SAMPLE)
    only = _only_text(features, label, rows, sample)
    if only is not None and not spec.text:
        findings.append(only)
        spec = with_settings(spec, [only])
        cells = _without_missing(columns, spec)
        features = _features(cells, spec, kinds)
    if label is not None:
        findings += of_label(label)
    findings += _marks(cells, spec)
    found = {facts.name: of_column(facts, sample) for facts in features}
    findings += [each for several in found.values() for each in several]
    findings += [each for each in of_twins(features, label) if not _leaves_out(found, each)]
    findings += _missing(features, spec, findings)
    findings += _rare(features, spec, findings, sample)
    if not features and not spec.image:
        findings.append(Finding("no column is left for a model to see; drop fewer", stops=True))
    classes: dict[str, int] = {}
    distinct: dict[str, int] = {}
    final = with_settings(spec, findings)
    if label is not None:
        # What tells rows apart is no feature; a text that is left out would be one.
        told = [each for each in features if final.kinds.get(each.name) != "id"]
        findings += of_rows(row_ids(told, rows), label.cells)
        ids = row_ids([each for each in told if final.kinds.get(each.name) != "ignore"], rows)
        findings += _too_few_left(ids, label)
        classes = _counted(label.cells, final)
        distinct = _counted(label.cells[first_rows(ids)], final)
    form = f"{rows} rows, {len(columns)} columns"
    shown = tuple(features) + _others(cells, spec)
    return Look(path, final, rows, shown, classes, distinct, tuple(findings), form)


def _label_found(
    path: Path, columns: Mapping[str, TextColumn], spec: DatasetSpec
) -> tuple[DatasetSpec, list[Finding]]:
    if spec.label:
        return spec, []
    guess = guessed_label(columns)
    if guess is None:
        raise DataError(
            f"{path.name} is a table: say which column holds the class with --label, one of "
            f"{', '.join(columns)}"
        )
    note = f"the class is taken to be in column '{guess}'; name another with --label"
    return replace(spec, label=guess), [Finding(note)]


def _unknown_names(columns: Mapping[str, TextColumn], spec: DatasetSpec) -> list[Finding]:
    named = [
        spec.label,
        *spec.drop,
        spec.unit_id,
        spec.shareable,
        spec.image,
        spec.text,
        *spec.kinds,
    ]
    named += [*spec.log, *dict(spec.missing_values)]
    return [
        Finding(f"there is no column '{name}'{suggestion(name, list(columns))}", stops=True)
        for name in dict.fromkeys(filter(None, named))
        if name not in columns and spec.kinds.get(name) != "ignore"
    ]


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


def _other_spelling(features: list[Facts]) -> Finding | None:
    """Return by which spelling columns of text would be numbers; of the first such column."""
    hints = {
        facts.name: hint
        for facts in features
        if _may_be_written_otherwise(facts) and (hint := written_otherwise(facts.cells))
    }
    if not hints:
        return None
    first = next((name for name, hint in hints.items() if " or " not in hint), next(iter(hints)))
    hint = hints[first]
    settings: dict[str, str] = {}
    for key in ("thousands", "decimal"):
        mark = hint.partition(f'{key} = "')[2][:1]
        if mark and not (key == "decimal" and " or " in hint):
            settings[key] = mark
    example = next(each for each in features if each.name == first).cells.names[0]
    which = f"column '{first}'" + (f" and {len(hints) - 1} more" if len(hints) > 1 else "")
    return Finding(f"{which} holds numbers such as '{example}'; {hint}", True, settings)


def _may_be_written_otherwise(facts: Facts) -> bool:
    """Return whether a column is text that nobody declared, or should be numbers and is none."""
    if facts.kind == "number":
        return bool(facts.counts[np.isnan(facts.values)].sum() > facts.filled / 2)
    return facts.kind == "category" and not facts.declared


def _marks(cells: Mapping[str, TextColumn], spec: DatasetSpec) -> list[Finding]:
    found = []
    for name, what in ((spec.unit_id, "unit"), (spec.image, "image"), (spec.text, "text")):
        if name in cells and (rows := np.flatnonzero(cells[name].missing)).size:
            found.append(
                Finding(
                    f"{len(rows)} rows have no {what} in column '{name}', the first is row {rows[0] + 1}; "
                    "fill it in or take them out",
                    stops=True,
                )
            )
    return found


def _leaves_out(found: Mapping[str, list[Finding]], twin: Finding) -> bool:
    """Return whether the columns that a finding leaves out are left out already."""
    names = dict(twin.settings.get("columns", ()))
    return set(names) <= _left_out([each for several in found.values() for each in several])


def _left_out(findings: list[Finding]) -> set[str]:
    """Return the columns that findings leave out."""
    return {
        name
        for each in findings
        for name, kind in each.settings.get("columns", ())
        if kind in ("id", "ignore")
    }


def _missing(features: list[Facts], spec: DatasetSpec, findings: list[Finding]) -> list[Finding]:
    """Say which columns lack values, in one line, where nobody has said to fill them."""
    out = _left_out(findings)
    lacking = [each for each in features if each.missing and each.filled and each.name not in out]
    if not lacking or spec.missing == "fill":
        return []
    counts = ", ".join(f"{toml_key(each.name)} {each.missing}" for each in lacking[:8])
    more = f" and {len(lacking) - 8} more columns" if len(lacking) > 8 else ""
    return [
        Finding(
            f'values are missing ({counts}{more}, of {len(lacking[0].cells)} rows); set missing = "fill", '
            "or fill them in",
            stops=True,
            settings={"missing": "fill"},
        )
    ]


def _rare(
    features: list[Facts], spec: DatasetSpec, findings: list[Finding], sample: int
) -> list[Finding]:
    """Say which columns have categories that a trainer's own rows may lack, which other rows then have."""
    # A column that is to be a date, or left out, has no categories.
    named = {name for each in findings for name, _ in each.settings.get("columns", ())}
    rare = [
        each.name
        for each in features
        if each.kind == "category"
        and each.filled
        and each.name not in named
        and float(each.counts[each.counts > 0].min()) * sample < FEW * each.filled
    ]
    if not rare or spec.unseen == "ignore":
        return []
    more = f" and {len(rare) - 4} more columns" if len(rare) > 4 else ""
    return [
        Finding(
            f"{', '.join(rare[:4])}{more}: some categories have so few rows that the trainer's may lack "
            'them; set unseen = "ignore", by which they count as none',
            settings={"unseen": "ignore"},
        )
    ]


def _only_text(
    features: list[Facts], label: Facts | None, rows: int, sample: int
) -> Finding | None:
    """Say which column of free text is what the rows are about: without it they hardly differ."""
    texts = [each for each in features if is_free_text(each, sample)]
    if label is None or len(texts) != 1:
        return None
    others = [
        each
        for each in features
        if each is not texts[0] and (each.kind == "number" or each.distinct <= rows / 2)
    ]
    if not _are_too_few(row_ids(others, rows), label):
        return None
    return Finding(
        f"column '{texts[0].name}' holds free text, {words_of(texts[0]):.0f} words in the mean, and hardly "
        f'anything else tells rows apart; set text = "{texts[0].name}" for a model that reads texts',
        stops=True,
        settings={"text": texts[0].name},
    )


def _are_too_few(ids: np.ndarray, label: Facts) -> bool:
    return len(np.unique(ids)) < min(LEAST_DIFFERENT * label.distinct, len(ids))


def _too_few_left(ids: np.ndarray, label: Facts) -> list[Finding]:
    if not _are_too_few(ids, label):
        return []
    return [
        Finding(
            f"{len(np.unique(ids))} of {len(ids)} rows differ in what a model would see, and there are "
            f"{label.distinct} classes; give it more columns",
            stops=True,
        )
    ]


def _counted(label: TextColumn, spec: DatasetSpec) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name, count in zip(label.names, label.counts.tolist(), strict=True):
        called = spec.renamed(name)
        counts[called] = counts.get(called, 0) + count
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))
