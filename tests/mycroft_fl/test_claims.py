"""Files that claim more than they hold, or than fits: one line, before room is made for it."""

from __future__ import annotations

import csv
import gzip
import io
import os
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mycroft_fl import claims
from mycroft_fl.claims import MOST_LINE
from mycroft_fl.data.formats.arrays import read_arrays
from mycroft_fl.data.formats.cache import _find
from mycroft_fl.data.formats.files import read_mapped, read_npz
from mycroft_fl.data.formats.images import read_images
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.tables.csv_files import _LONG_FIELDS
from mycroft_fl.data.tables.encode import read_table
from mycroft_fl.errors import DataError, InputError
from mycroft_fl.selection.arrays import _num_classes
from mycroft_fl.settings.toml_table import TomlTable
from mycroft_fl.tasks.description import read_task

SMALL = 64 << 20


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file may take more than 64 MiB here."""
    monkeypatch.setenv(claims.SETTING, str(SMALL / claims.GIB))


def refused(read: Callable[[], object], said: str, kind: type[Exception] = DataError) -> None:
    """Reading ends in one line, and in no more memory than a file may take."""
    tracemalloc.start()
    try:
        with pytest.raises(kind, match=said) as output:
            read()
        assert tracemalloc.get_traced_memory()[1] < 4 * SMALL
    finally:
        tracemalloc.stop()
    assert len(str(output.value).splitlines()) == 1


def header(shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    out = io.BytesIO()
    output = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, output)
    return out.getvalue()


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


LABELS = npy(np.arange(3))
ZEROS = header((1 << 26, 4)) + bytes(1 << 30)  # what it claims is there: it only packs well


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (header((2**40, 4)), "header and content disagree"),
        (header((2**62, 2**62)), "header and content disagree"),
        (header((0, 2**62)), "cannot be decoded|cannot be read|give one label"),
        (ZEROS, r"claims 1.0 GiB of content, above the 64.0 MiB .* set MYCROFT_MOST_GIB"),
        (header((3, 2), "|O") + bytes(48), "Object arrays cannot be loaded"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, "header cannot be read"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "header beyond all reason"),
        (b"\x93NUMPY\x09\x09", "npy format"),
        (b"junk", "no array"),
    ],
)
def test_arrays_that_claim_too_much_are_refused(x: bytes, said: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", x=x, y=LABELS)
    refused(lambda: read_npz(path), said)
    refused(lambda: read_arrays(path), said)
    assert _find(path) is None


def test_what_is_not_asked_for_is_not_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", x=npy(np.ones((3, 2), np.float32)), y=LABELS, more=ZEROS)
    assert read_npz(path).x.shape == (3, 2)


def test_an_array_that_stays_on_disk_may_be_larger_but_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "y.npy").write_bytes(LABELS)
    (tmp_path / "x.npy").write_bytes(header((3, 2**40)))
    refused(lambda: read_mapped(tmp_path), "header and content disagree")
    with (tmp_path / "x.npy").open("wb") as file:
        file.write(header((3, 1 << 23)))
        file.truncate(file.tell() + 3 * 4 * (1 << 23))
    assert read_mapped(tmp_path).x.shape == (3, 1 << 23)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 2**32 - 1))
def test_an_archive_broken_at_random_is_read_or_refused(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole = archive(tmp_path / "whole.npz", x=npy(np.ones((3, 2), np.float32)), y=LABELS)
    content = bytearray(whole.read_bytes())
    for at in rng.integers(0, len(content), rng.integers(1, 6)):
        content[at] = rng.integers(0, 256)
    path = tmp_path / "broken.npz"
    path.write_bytes(bytes(content))
    try:
        assert len(read_npz(path).x) == 3
    except InputError as error:
        output = str(error)
    else:
        return
    assert "broken.npz" in output


def png(width: int, height: int, rows: bytes = b"") -> bytes:
    """A grey image that claims a size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        code = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", code)

    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + data + chunk(b"IEND", b"")


@pytest.mark.parametrize("kept_in", ["folder", "zip"])
def test_an_image_of_3600_million_pixels_is_refused(kept_in: str, tmp_path: Path) -> None:
    path = pictures(tmp_path, kept_in, {"a/1.png": png(60_000, 60_000)})
    refused(
        lambda: read_images(path), "a/1.png cannot be read .*(decompression bomb|exceeds limit)"
    )


@pytest.mark.parametrize("kept_in", ["folder", "zip"])
def test_images_that_do_not_fit_into_memory_together_are_refused(
    kept_in: str, tmp_path: Path
) -> None:
    row = b"\0" + bytes(5000)
    black = png(5000, 5000, row * 5000)
    assert len(black) < 30_000
    path = pictures(tmp_path, kept_in, {f"a/{n}.png": black for n in range(8)})
    refused(lambda: read_images(path), "together claims .* give the data set a size")
    assert read_images(path, size=8).x.shape == (8, 1, 8, 8)


def test_a_member_that_unpacks_to_gigabytes_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mycroft_fl.data.formats.folders.MOST_PICTURE", 1 << 20)
    path = pictures(tmp_path, "zip", {"a/1.png": bytes(1 << 28)})
    refused(
        lambda: read_images(path), r"a/1.png cannot be read \(it claims 256.0 MiB, above 1.0 MiB"
    )
    path = pictures(tmp_path, "folder", {"a/1.png": bytes(1 << 21)})
    refused(lambda: read_images(path), "it is larger than 1.0 MiB")


def test_an_image_is_read_by_a_reader_of_images_alone(tmp_path: Path) -> None:
    # PostScript under an image's name would be handed to a program that runs it.
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    path = pictures(tmp_path, "folder", {"a/1.png": eps})
    refused(lambda: read_images(path), "a/1.png cannot be read .not an image")


def test_of_an_image_with_many_frames_the_first_is_read(tmp_path: Path) -> None:
    out = io.BytesIO()
    frames = [Image.new("L", (8, 8), n) for n in range(50)]
    frames[0].save(out, "TIFF", save_all=True, append_images=frames[1:])
    path = pictures(tmp_path, "folder", {"a/1.tiff": out.getvalue()})
    assert read_images(path).x.shape == (1, 1, 8, 8)


def test_a_pipe_in_a_folder_of_images_does_not_hold_the_reader(tmp_path: Path) -> None:
    path = pictures(tmp_path, "folder", {"a/1.png": png(1, 1, b"\0\0")})
    os.mkfifo(path / "a" / "2.png")
    refused(lambda: read_images(path), "a/2.png cannot be read .it is no plain file")


def pictures(base: Path, kept_in: str, files: dict[str, bytes]) -> Path:
    if kept_in == "zip":
        with zipfile.ZipFile(base / "pictures.zip", "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in files.items():
                file.writestr(name, content)
        return base / "pictures.zip"
    for name, content in files.items():
        (base / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        (base / "pictures" / name).write_bytes(content)
    return base / "pictures"


def table(path: Path) -> object:
    return read_table(path, DatasetSpec(path=str(path), label="y"))


def test_a_table_that_unpacks_to_a_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    with gzip.open(path, "wb") as file:
        file.write(b"a,y\n")
        for _ in range(80):
            file.write((b"1" * 4092 + b",2\n") * (1 << 8))
    refused(lambda: table(path), "t.csv.gz cannot be read as a table .*64.0 MiB")


def test_a_table_of_more_cells_than_memory_holds_is_refused(tmp_path: Path) -> None:
    path, columns = tmp_path / "t.csv.gz", 1000
    with gzip.open(path, "wb") as file:
        file.write(b",".join(b"c%d" % place for place in range(columns - 1)) + b",y\n")
        file.write((b",".join([b"1"] * columns) + b"\n") * 10_000)
    refused(lambda: table(path), "a table of so many cells .*64.0 MiB")


def test_a_table_with_more_columns_than_any_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a," * 200_000 + b"y\n" + b"1," * 200_000 + b"2\n")
    refused(lambda: table(path), "it has 200001 columns, above 100000")


WIDE = b",".join([b"b"] * 200_000)


@pytest.mark.parametrize(
    "content",
    [
        b"\n" + WIDE,
        b"   \r\n" + WIDE,
        b"\r" + WIDE,
        b'"a\n",' + WIDE,
        b'a"b,"c\n",' + WIDE,
        b'\xef\xbb\xbf"c\n",' + WIDE,
        b"a,y\n" + WIDE,
        b"," * 200_000 + b"\n1,2",
    ],
    ids=["empty", "blank", "old-mac", "quoted", "half-quoted", "marked", "row-below", "nameless"],
)
def test_a_table_whose_width_is_not_in_its_first_line_is_refused_as_soon(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content + b"\n")
    refused(lambda: table(path), r"it has 20000\d columns, above 100000")


def test_a_header_over_two_lines_below_an_empty_one_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'\n"a\n(cm)",y\n1,2\n3,4\n')
    assert list(read_table(path, DatasetSpec(path=str(path), label="y")).features) == ["a\n(cm)"]


def test_a_table_of_one_endless_line_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mycroft_fl.data.tables.csv_files.MOST_LINE", 1 << 20)
    path = tmp_path / "t.csv"
    path.write_bytes(b"a," * (1 << 21))
    refused(lambda: table(path), "its header is longer than 1.0 MiB")
    path.write_bytes(b"a" * (1 << 22))
    refused(lambda: table(path), "its header is longer than 1.0 MiB")
    # A field may be as long as a line, beyond what Python's reader takes by itself.
    before = csv.field_size_limit()
    path.write_bytes(b"a" * (1 << 18) + b",y\n" + b"w" * (1 << 18) + b",2\nv,3\n")
    assert table(path).features["a" * (1 << 18)].names == ("w" * (1 << 18), "v")
    assert csv.field_size_limit() == before  # the limit is the whole process's


def test_threads_that_read_at_once_keep_long_fields_until_the_last_is_done() -> None:
    before = csv.field_size_limit()
    with _LONG_FIELDS:
        with _LONG_FIELDS:
            assert csv.field_size_limit() == MOST_LINE
        assert csv.field_size_limit() == MOST_LINE
    assert csv.field_size_limit() == before


def test_a_parquet_file_of_one_value_a_billion_times_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": np.zeros(8_000_000), "y": 0}).to_parquet(path)
    assert path.stat().st_size < 1 << 20
    refused(lambda: table(path), "a table of 8000000 rows and 2 columns claims")
    path.write_bytes(path.read_bytes()[:-9] + b"nonsense!")
    refused(lambda: table(path), "t.parquet cannot be read as a table")


def test_weights_of_a_shape_that_holds_nothing_make_no_room(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "w.safetensors"
    for shape in [(10**12, 0), (0,), ()]:
        save_file({"head.bias": np.zeros(shape, np.float32)}, path)
        refused(lambda: _num_classes(path), "does not hold a model's weights")


def test_files_of_settings_that_nest_without_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("a = " + "[" * 100_000)
    refused(lambda: TomlTable.read(path, InputError), "cannot be read as TOML", InputError)
    path.write_bytes(b"#" * (claims.MOST_TOML + 1))
    refused(lambda: TomlTable.read(path, InputError), "larger than 4.0 MiB", InputError)
    path = tmp_path / "task.json"
    path.write_text("[" * 100_000)
    refused(lambda: read_task(path), "cannot be read as a task's description")
    os.mkfifo(tmp_path / "pipe.json")
    refused(lambda: read_task(tmp_path / "pipe.json"), "cannot be read as a task's description")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a." * 2_000 + "a = 1", "a key in it has more than 32 parts"),
        ("[" + "a . " * 2_000 + "a]", "a key in it has more than 32 parts"),
        ("x = {" + "'a'.\"b\"." * 1_000 + "a = 1}", "a key in it has more than 32 parts"),
        ("n = 0x" + "f" * 100_000, "a number in it has more than 64 bits"),
        ("n = [[{n = -9223372036854775809}]]", "a number in it has more than 64 bits"),
    ],
    ids=["dots", "table", "inline", "hexadecimal", "nested"],
)
def test_a_file_of_settings_that_holds_its_reader_is_refused(
    content: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.toml"
    path.write_text(content)
    refused(lambda: TomlTable.read(path, InputError), f"cannot be read as TOML: {said}", InputError)


def test_keys_of_many_parts_and_long_lists_of_numbers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(f"{'a.' * 30}a = {[0.5] * 1000}\nb = {2**63 - 1}\n# {'word ' * 1000}\n")
    assert TomlTable.read(path, InputError).values["b"] == 2**63 - 1


def test_who_means_to_read_more_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(
        tmp_path / "a.npz", x=npy(np.ones((1 << 20, 20), np.float32)), y=npy(np.zeros(1 << 20, int))
    )
    refused(lambda: read_npz(path), "MYCROFT_MOST_GIB")
    monkeypatch.setenv(claims.SETTING, "1")
    assert read_npz(path).x.shape == (1 << 20, 20)
    for wrong in ("nan", "-1", "inf", "much"):
        monkeypatch.setenv(claims.SETTING, wrong)
        assert 0 < claims.most_bytes() <= claims.MOST_GIB * claims.GIB
