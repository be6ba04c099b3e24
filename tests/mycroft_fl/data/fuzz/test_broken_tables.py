"""Two thousand broken tables of ten kinds: one line, or the values that another reader finds."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import json
import lzma
import random
import resource
import sqlite3
import time
import warnings
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from mycroft_fl.data.formats.spec import spec_from_setting
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.tables.files import read_columns
from mycroft_fl.data.tables.row_files import database_of
from mycroft_fl.errors import InputError, SettingError
from tests.mycroft_fl.data.fuzz.mutations import PACKERS, mutated, mutated_inside

pytestmark = pytest.mark.filterwarnings("ignore")  # of pandas and openpyxl, as of what is broken
HEADER = ["n", "c", "seen", "y"]
BODY = [
    [f"{place}.5", f"a{place % 2} ü", f"2024-01-0{place + 1}", ["no", "yes"][place % 2]]
    for place in range(9)
]
LONGEST = 2.0  # seconds of one file
Table = dict[str, list[str | None]]


def _csv(delimiter: str = ",") -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows([HEADER, *BODY])
    return out.getvalue().encode()


def _written(folder: Path) -> dict[str, bytes]:
    frame = pd.read_csv(io.BytesIO(_csv()))
    parquet, feather, excel = io.BytesIO(), io.BytesIO(), io.BytesIO()
    frame.to_parquet(parquet)
    frame.to_feather(feather)
    frame.to_excel(excel, index=False)
    with closing(sqlite3.connect(folder / "made.db")) as made:
        frame.to_sql("t", made, index=False)
        made.commit()
    lines = "\n".join(json.dumps(row) for row in frame.to_dict("records"))
    return {
        "csv": _csv(), "tsv": _csv("\t"), "csv.gz": gzip.compress(_csv()), "csv.bz2": bz2.compress(_csv()),
        "csv.xz": lzma.compress(_csv()), "parquet": parquet.getvalue(), "feather": feather.getvalue(),
        "xlsx": excel.getvalue(), "jsonl": lines.encode(), "db": (folder / "made.db").read_bytes(),
    }  # fmt: skip


def by_csv(content: bytes, delimiter: str) -> Table:
    """Read a CSV by Python's own module; fields stripped, empty lines left out."""
    marks = [(codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
             (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")]  # fmt: skip
    encoding = next((name for mark, name in marks if content.startswith(mark)), "utf-8")
    text = io.StringIO(content.decode(encoding), newline="")
    rows = csv.reader(text, delimiter=delimiter, strict=True, skipinitialspace=True)
    filled = [row for row in rows if len(row) > 1 or "".join(row).strip()]
    head, *body = [[field.strip() for field in row] for row in filled]
    named = {name: [row[place] for row in body] for place, name in enumerate(head)}
    return {name: texts for name, texts in named.items() if name}


def by_pandas(frame: pd.DataFrame) -> Table:
    return {str(name).strip(): [_text(each) for each in frame[name]] for name in frame}


def _text(value: Any) -> str | None:
    if value is None or value != value:
        return None
    return ("true" if value else "false") if isinstance(value, bool) else str(value).strip()


def by_json(content: bytes) -> Table:
    rows = [
        json.loads(line, parse_float=str, parse_int=str)
        for line in content.decode("utf-8-sig").split("\n") if line.strip()
    ]  # fmt: skip
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name.strip(): [_text(row.get(name)) for row in rows] for name in names}


def by_sqlite(path: Path) -> Table:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        found = database.execute("SELECT * FROM t")
        rows = found.fetchall()
        return {
            each[0]: [_text(row[place]) for row in rows]
            for place, each in enumerate(found.description)
        }


OTHERS: dict[str, Callable[[Path], Table]] = {
    "csv": lambda path: by_csv(path.read_bytes(), ","),
    "tsv": lambda path: by_csv(path.read_bytes(), "\t"),
    "csv.gz": lambda path: by_csv(gzip.decompress(path.read_bytes()), ","),
    "csv.bz2": lambda path: by_csv(bz2.decompress(path.read_bytes()), ","),
    "csv.xz": lambda path: by_csv(lzma.decompress(path.read_bytes()), ","),
    "parquet": lambda path: by_pandas(pd.read_parquet(path)),
    "feather": lambda path: by_pandas(pd.read_feather(path)),
    "xlsx": lambda path: by_pandas(pd.read_excel(path, keep_default_na=False, na_values=[""])),
    "jsonl": lambda path: by_json(path.read_bytes()),
    "db": by_sqlite,
}  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return _written(tmp_path_factory.mktemp("written"))


def _setting(kind: str) -> dict[str, object]:
    if kind == "db":
        return {"path": "sqlite:///t.db", "query": "SELECT * FROM t", "label": "y"}
    given = {"delimiter": "\t" if kind == "tsv" else ","} if kind in ("csv", "tsv") else {}
    return {"path": f"t.{kind}", "label": "y", **given}


def _read(kind: str, folder: Path) -> Table:
    """Read a file by the package: its columns as text, once the whole of it has been loaded."""
    spec = spec_from_setting(_setting(kind), SettingError)
    if kind == "db":
        load_dataset(spec, folder)
        columns = read_columns(*reversed(database_of(spec, folder)))
        return {name: column.texts.tolist() for name, column in columns.items()}
    columns = read_columns(folder / f"t.{kind}", spec)
    filled = spec_from_setting(
        {**_setting(kind), "missing": "fill", "columns": {"seen": "date"}}, SettingError
    )
    load_dataset(filled, folder)
    return {name: column.texts.tolist() for name, column in columns.items()}


def _checked(kind: str, folder: Path) -> bool:
    """Read a broken file, and check all that must hold whatever is in it; return whether it was read."""
    path, since, found, said = folder / f"t.{kind}", time.monotonic(), None, ""
    try:
        found = _read(kind, folder)
    except InputError as error:
        said = str(error)
    assert time.monotonic() - since < LONGEST
    assert [each.name for each in folder.iterdir()] == [path.name]
    if found is None:
        assert kind == "db" or path.name in said.split("\n")[0], said
        assert len(said) < 20_000
        assert len(said.split("\n")) <= 3
        return False
    try:
        wanted = OTHERS[kind](path)
    except (pa.ArrowException, zipfile.BadZipFile, ValueError):
        # Pandas wants the mark at a file's beginning, we that at its end.
        if kind in ("feather", "xlsx"):
            return True
        raise
    for name, texts in found.items():
        # Pandas counts doubled names, and calls a nameless column otherwise.
        if name in wanted:
            assert texts == wanted[name], name
    return True


def _broken(kind: str, content: bytes, rng: random.Random) -> bytes:
    packed = kind.rpartition(".")[2]
    inside = packed in PACKERS or kind == "xlsx"
    if inside and rng.random() < 0.7:
        return mutated_inside(content, packed, rng)
    return mutated(content, rng)


@pytest.mark.parametrize(
    "seeds", [range(200), pytest.param(range(200, 2200), marks=pytest.mark.slow)], ids=["some", "all"]
)  # fmt: skip
def test_a_broken_table_ends_in_one_line_or_in_what_another_reader_finds(
    seeds: range, written: dict[str, bytes], tmp_path: Path
) -> None:
    kinds, read = list(written), 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in seeds:
        rng, kind = random.Random(seed), kinds[seed % len(kinds)]
        for old in tmp_path.iterdir():
            old.unlink()
        (tmp_path / f"t.{kind}").write_bytes(_broken(kind, written[kind], rng))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read += _checked(kind, tmp_path)
            except BaseException as error:
                error.add_note(f"seed {seed}, {kind}")
                raise
    assert read > len(seeds) / 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # a GiB, in KiB
