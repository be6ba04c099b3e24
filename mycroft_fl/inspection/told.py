"""All that is amiss with the data of a run, in the place of the first thing that a reader came upon."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from mycroft_fl.data.formats.located import located
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.tables.files import is_table
from mycroft_fl.errors import DataError, one_line

COLUMN = re.compile(r"column '([^']*)'")
FEATURES = ("number", "category", "date")
Specs = Sequence[str | DatasetSpec]


@contextmanager
def all_told(specs: Specs, base: Path, kinds: Mapping[str, str] | None = None) -> Iterator[None]:
    """Turn a `DataError` inside `with` into one with a line for each thing amiss with these data.

    Data that can be used are not looked at, so this costs nothing then.

    Args:
        specs: the data sets that are read inside `with`.
        base: from which their relative paths are taken.
        kinds: what a task says that columns hold; None where the first data set says so.
    """
    try:
        yield
    except DataError as error:
        found = problems_of(specs, base, kinds)
        lines = str(error).split("\n")
        named = {name for line in found for name in COLUMN.findall(line)}
        # A look at the whole file counts the rows too: of one column its line says more.
        first = [
            line
            for line in lines
            if not set(COLUMN.findall(line)) & named and not any(line in other for other in found)
        ]
        if found:
            raise DataError("\n".join([*first, *found])) from error
        raise


def problems_of(specs: Specs, base: Path, kinds: Mapping[str, str] | None = None) -> list[str]:
    """Return a line for each thing that keeps a run from using these tables, by file.

    Args:
        specs: data sets; others than tables are left out.
        base: from which relative paths are taken.
        kinds: what a task says that columns hold, if it does.
    """
    from mycroft_fl.inspection.table import look_at_table

    found: dict[str, None] = {}
    for each in specs:
        spec = DatasetSpec.of(each)
        for name in filter(None, (spec.path, spec.test_path)):
            try:
                path = located(name, base)
                if not path.is_file() or not is_table(path) or not spec.label:
                    continue
                look = look_at_table(path, spec, kinds)
            except DataError as error:
                found |= dict.fromkeys([one_line(error)])
                continue
            found |= {_in_file(path, finding.text): None for finding in look.stops}
            if kinds is None:
                kept = {c.name: c.kind for c in look.columns if c.kind in FEATURES}
                kinds = {name: look.spec.kinds.get(name, kind) for name, kind in kept.items()}
    return list(found)


def _in_file(path: Path, text: str) -> str:
    return text if text.startswith(path.name) else f"{path.name}: {text}"
