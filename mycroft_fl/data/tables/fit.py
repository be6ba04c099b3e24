"""The schema of a trainer's table, fitted on its own training rows by scikit-learn's preprocessing."""

from __future__ import annotations

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mycroft_fl.data.formats.said import say
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.tables.cells import TextColumn
from mycroft_fl.data.tables.columns import MOST_CATEGORIES, Categories, Column, Numbers, logged
from mycroft_fl.data.tables.encode import DataTable
from mycroft_fl.data.tables.kinds import counts_rows, no_category, no_number
from mycroft_fl.data.tables.schema import TableSchema
from mycroft_fl.data.tables.values import PARTS
from mycroft_fl.errors import DataError
from mycroft_fl.settings.toml_table import toml_key

MOST_PROBLEMS = 3
"""Lines of one error."""


def fit_schema(table: DataTable, spec: DatasetSpec) -> TableSchema:
    """Return the schema of a trainer's training rows.

    Raises `DataError` where a column is empty, has a logarithm without holding numbers, or holds what
    no model should see and nobody declared: identifiers, dates, numbers in another spelling. Values
    that are missing are left out here; `encode` refuses or fills them.
    """
    for name in spec.log:
        table.column(name)
        if table.kinds.get(name) != "number":
            raise DataError(f"{table.source}: log names column '{name}', which holds no numbers")
    problems = [
        problem
        for name, column in table.features.items()
        if (problem := _problem(table, name, column, spec))
    ]
    if problems:
        more = len(problems) - MOST_PROBLEMS
        shown = [f"{table.source}: {each}" for each in problems[:MOST_PROBLEMS]]
        raise DataError(
            "\n".join(shown) + (f"; {more} further columns are alike" if more > 0 else "")
        )
    columns = [each for name in table.features for each in _fitted(table, name, name in spec.log)]
    if len({each.name for each in columns}) < len(columns):
        raise DataError(
            f"{table.source}: a part of a date is called as another column; rename that one"
        )
    return TableSchema(
        tuple(columns), spec.missing == "fill", spec.unseen == "ignore", label=spec.label
    )


def _problem(table: DataTable, name: str, column: TextColumn, spec: DatasetSpec) -> str | None:
    if column.missing.all():
        return f"column '{name}' is empty in the trainer's rows; drop it"
    used = column.used()
    if name in spec.kinds:
        if table.kinds[name] == "category" and len(used.names) > MOST_CATEGORIES:
            return f"column '{name}' has {len(used.names)} categories, above {MOST_CATEGORIES}; leave it out"
        return None
    if table.kinds[name] == "category":
        return no_category(used, name)
    if counts_rows(used):
        say(
            f"{table.source}: column '{name}' counts the rows, and a model will see it; set "
            f'columns.{toml_key(name)} = "ignore" if it is an index'
        )
    return no_number(used, name)


def _fitted(table: DataTable, name: str, log: bool) -> list[Column]:
    kind = table.kinds[name]
    if kind == "category":
        return [_categories(name, table.features[name])]
    if kind == "number":
        return [_numbers(table, name, table.number(name), log)]
    return [
        _numbers(table, f"{name} ({part})", table.date(name, part), False, (name, part))
        for part in PARTS
    ]


def _numbers(
    table: DataTable, name: str, numbers: np.ndarray, log: bool, date: tuple[str, str] = ("", "")
) -> Numbers:
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    if np.isnan(numbers).all():
        raise DataError(
            f"{table.source}: column '{name}' holds no {'date' if date[0] else 'number'} in the trainer's "
            "rows; say what else it holds by columns"
        )
    median = SimpleImputer(strategy="median").fit(numbers[:, None])
    filled = median.transform(numbers[:, None])
    with np.errstate(over="ignore", invalid="ignore"):  # said just below
        scaler = StandardScaler().fit(logged(filled) if log else filled)
    fill, mean, scale = median.statistics_[0], scaler.mean_[0], scaler.scale_[0]
    if not np.isfinite([fill, mean, scale, scaler.var_[0]]).all():
        raise DataError(
            f"{table.source}: column '{name}' holds numbers as large as {np.nanmax(np.abs(numbers)):g}, too "
            f'large to be scaled; set log = ["{name}"], or leave it out'
        )
    return Numbers(name, float(fill), float(mean), float(scale), log, *date)


def _categories(name: str, column: TextColumn) -> Categories:
    texts = column.texts[:, None]
    mode = SimpleImputer(strategy="most_frequent", missing_values=None).fit(texts)
    onehot = OneHotEncoder().fit(mode.transform(texts))
    return Categories(name, str(mode.statistics_[0]), tuple(map(str, onehot.categories_[0])))
