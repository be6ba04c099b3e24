"""A look at one table: what it holds, and all that is amiss with it, in one answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.tables.cells import TextColumn
from mycroft_fl.data.tables.kinds import written_otherwise
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
from mycroft_fl.inspection.seen import SeenTable
from mycroft_fl.settings.toml_table import toml_key

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
    findings += more + _unknown_names(columns, spec)
    seen = SeenTable(columns, spec, kinds)
    for hint_of in (_other_spelling, _only_text):
        if (hint := hint_of(seen)) is not None:
            findings.append(hint)
            seen = seen.by(hint)
    findings += _of_columns(seen, findings)
    final, ids = with_settings(seen.spec, findings), np.empty(0, np.int64)
    if seen.label is not None:
        # What tells rows apart is no feature; a text that is left out would be one.
        told = [each for each in seen.features if final.kinds.get(each.name) != "id"]
        findings += of_rows(row_ids(told, seen.rows), seen.label.cells)
        shown = [each for each in told if final.kinds.get(each.name) != "ignore"]
        ids = row_ids(shown, seen.rows)
        findings += _too_few_left(ids, seen.label)
    return Look(
        path,
        final,
        seen.rows,
        (*seen.features, *seen.others),
        _counted(seen.label.cells, final) if seen.label else {},
        _counted(seen.label.cells[first_rows(ids)], final) if seen.label else {},
        tuple(findings),
        f"{seen.rows} rows, {len(columns)} columns",
    )


def _of_columns(seen: SeenTable, before: list[Finding]) -> list[Finding]:
    """Return what is amiss with columns: each by itself, twins, and what they lack."""
    findings = list(of_label(seen.label)) if seen.label else []
    findings += _marks(seen)
    alone = [each for facts in seen.features for each in of_column(facts, seen.sample)]
    findings += alone
    twins = of_twins(seen.features, seen.label)
    findings += [each for each in twins if not _leaves_out(alone, each)]
    findings += _missing(seen, before + findings)
    findings += _rare(seen, before + findings)
    if not seen.features and not seen.spec.image:
        findings.append(Finding("no column is left for a model to see; drop fewer", stops=True))
    return findings


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


def _other_spelling(seen: SeenTable) -> Finding | None:
    """Return by which spelling columns of text would be numbers; of the first such column."""
    hints = {
        facts.name: hint
        for facts in seen.features
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
    example = next(each for each in seen.features if each.name == first).cells.names[0]
    which = f"column '{first}'" + (f" and {len(hints) - 1} more" if len(hints) > 1 else "")
    return Finding(f"{which} holds numbers such as '{example}'; {hint}", True, settings)


def _may_be_written_otherwise(facts: Facts) -> bool:
    """Return whether a column is text that nobody declared, or should be numbers and is none."""
    if facts.kind == "number":
        return bool(facts.counts[np.isnan(facts.values)].sum() > facts.filled / 2)
    return facts.kind == "category" and not facts.declared


def _marks(seen: SeenTable) -> list[Finding]:
    found, spec, cells = [], seen.spec, seen.cells
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


def _leaves_out(found: list[Finding], twin: Finding) -> bool:
    """Return whether the columns that a finding leaves out are left out already."""
    return set(dict(twin.settings.get("columns", ()))) <= _left_out(found)


def _left_out(findings: list[Finding]) -> set[str]:
    """Return the columns that findings leave out."""
    return {
        name
        for each in findings
        for name, kind in each.settings.get("columns", ())
        if kind in ("id", "ignore")
    }


def _missing(seen: SeenTable, findings: list[Finding]) -> list[Finding]:
    """Say which columns lack values, in one line, where nobody has said to fill them."""
    out = _left_out(findings)
    lacking = [
        each for each in seen.features if each.missing and each.filled and each.name not in out
    ]
    if not lacking or seen.spec.missing == "fill":
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


def _rare(seen: SeenTable, findings: list[Finding]) -> list[Finding]:
    """Say which columns have categories that a trainer's own rows may lack, which other rows then have."""
    # A column that is to be a date, or left out, has no categories.
    named = {name for each in findings for name, _ in each.settings.get("columns", ())}
    rare = [
        each.name
        for each in seen.features
        if each.kind == "category"
        and each.filled
        and each.name not in named
        and float(each.counts[each.counts > 0].min()) * seen.sample < FEW * each.filled
    ]
    if not rare or seen.spec.unseen == "ignore":
        return []
    more = f" and {len(rare) - 4} more columns" if len(rare) > 4 else ""
    return [
        Finding(
            f"{', '.join(rare[:4])}{more}: some categories have so few rows that the trainer's may lack "
            'them; set unseen = "ignore", by which they count as none',
            settings={"unseen": "ignore"},
        )
    ]


def _only_text(seen: SeenTable) -> Finding | None:
    """Say which column of free text is what the rows are about: without it they hardly differ."""
    texts = [each for each in seen.features if is_free_text(each, seen.sample)]
    if seen.label is None or len(texts) != 1 or seen.spec.text:
        return None
    others = [
        each
        for each in seen.features
        if each is not texts[0] and (each.kind == "number" or each.distinct <= seen.rows / 2)
    ]
    if not _are_too_few(row_ids(others, seen.rows), seen.label):
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
