"""Files that are small and claim much: each is refused in one line, before it fills the memory."""

from __future__ import annotations

import gzip
import io
import lzma
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.errors import DataError

MOST = 8 << 20  # bytes that one file may take
CONTENT = 24 << 20  # bytes that each bomb unpacks to, about


def _packed(pack: Callable[[bytes], bytes], begins: bytes, filler: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(pack(begins + filler * (CONTENT // len(filler))))

    return write


def _black(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        out = io.BytesIO()
        Image.new("L", (3000, 3000)).save(out, "PNG")
        for place in range(20):
            archive.writestr(f"a/{place}.png", out.getvalue())


def _wide_workbook(path: Path) -> None:
    out = io.BytesIO()
    pd.DataFrame({"a": [1], "y": ["no"]}).to_excel(out, index=False)
    with zipfile.ZipFile(out) as archive, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in archive.namelist():
            content = archive.read(name)
            if name.endswith("sheet1.xml"):
                cell = b'<row r="3"><c r="A3" t="inlineStr"><is><t>' + b"x" * CONTENT
                content = content.replace(
                    b"</sheetData>", cell + b"</t></is></c></row></sheetData>"
                )
            new.writestr(name, content)


BOMBS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "rows": ("t.csv.gz", _packed(gzip.compress, b"a,y\n", b"1" * 200 + b",no\n")),
    "one field": ("t.csv.gz", _packed(gzip.compress, b"a,y\n1,", b"x" * 1000)),
    "zero bytes": ("t.csv.gz", _packed(gzip.compress, b"", b"\0" * 1000)),
    "a header without end": ("t.csv.gz", _packed(gzip.compress, b"", b"a,")),
    "a quote without end": ("t.csv.xz", _packed(lzma.compress, b'a,y\n"', b"x" * 200 + b",no\n")),
    "an object without end": ("t.jsonl", _packed(bytes, b'{"y": "', b"x" * 1000)),
    "black images": ("t.zip", _black),
    "a cell of a workbook": ("t.xlsx", _wide_workbook),
}


LINES = ("rows", "a quote without end")  # many short ones, which take long where each is counted


@pytest.mark.parametrize(
    "name",
    [pytest.param(each, marks=pytest.mark.slow if each in LINES else ()) for each in sorted(BOMBS)],
)
def test_a_bomb_is_refused_before_it_fills_the_memory(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYCROFT_MOST_GIB", str(MOST / (1 << 30)))
    file, write = BOMBS[name]
    write(tmp_path / file)
    spec = DatasetSpec(file) if file.endswith(".zip") else DatasetSpec(file, label="y")
    since = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            load_dataset(spec, tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert file in str(caught.value)
    assert "\n" not in str(caught.value)
    assert peak < 8 * MOST
    assert time.monotonic() - since < 60  # under the counting of memory, which is slow


def test_fields_of_a_million_characters_are_read_whole(tmp_path: Path) -> None:
    fields = [f"{'x' * 10**6}{place}" for place in range(5)]
    lines = ["a,c,y", *(f"{place}.5,{field},no" for place, field in enumerate(fields))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    dataset = load_dataset(DatasetSpec("t.csv", label="y"), tmp_path)
    assert dataset.table is not None
    assert dataset.table.column("c").texts.tolist() == fields


def test_an_array_that_claims_terabytes_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        out, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 4)}
    )
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.writestr("x.npy", out.getvalue())
        archive.writestr("y.npy", out.getvalue())
    with pytest.raises(DataError, match=r"t\.npz is not a readable npz file"):
        load_dataset(DatasetSpec("t.npz"), tmp_path)
