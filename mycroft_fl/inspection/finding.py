"""The findings of a look at data, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from mycroft_fl.data.formats.spec import DatasetSpec


@dataclass(frozen=True)
class Finding:
    """One thing that is amiss, or may be: `text` says what was found and what to do.

    stops     a run would be refused because of it
    settings  keys of the data set that mend it, as `DatasetSpec` has them; empty where the file
              itself must be mended, or where a person must decide
    """

    text: str
    stops: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def needs_a_mended_file(self) -> bool:
        """Whether no setting helps."""
        return self.stops and not self.settings


def with_settings(spec: DatasetSpec, findings: Iterable[Finding]) -> DatasetSpec:
    """Return the spec with all that the findings set; of two values for one key the first counts.

    >>> spec = DatasetSpec("a.csv", label="y")
    >>> with_settings(spec, [Finding("", settings={"columns": (("day", "date"),)})]).columns
    (('day', 'date'),)

    Args:
        spec: left as it is.
        findings: later ones lay nothing over earlier ones.
    """
    known = {each.name: each.default for each in fields(DatasetSpec)}
    for finding in findings:
        for key, value in finding.settings.items():
            before = getattr(spec, key)
            if isinstance(value, tuple) and key in ("columns", "missing_values", "labels"):
                there = dict(before)
                value = before + tuple(pair for pair in value if pair[0] not in there)
            elif isinstance(value, tuple):
                value = before + tuple(each for each in value if each not in before)
            elif before != known[key]:
                continue
            spec = replace(spec, **{key: value})
    return spec
