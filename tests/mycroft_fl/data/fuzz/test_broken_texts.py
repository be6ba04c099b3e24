"""Two thousand folders of texts in odd encodings: one line, or the texts that were written."""

from __future__ import annotations

import codecs
import random
import shutil
from pathlib import Path

import pytest

from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.errors import DataError
from mycroft_fl.texts import as_texts
from tests.mycroft_fl.data.fuzz.mutations import mutated

TEXTS = [
    "my card is gone", "Grüße aus Zürich 🙂", "日本語のテキスト", "NA", "line one\r\nline two", "a\0b",
    "tab\there", "\u2028sep", "e\u0301", "x" * 3000, "عربي", "\ufeffmark", 'quote "x"', "end \x1a",
    " padded ", "a\0", "\0", "=1+1", "../a/1.txt", "",
]  # fmt: skip
ENCODINGS = [
    "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "latin-1",
    "cp1252", "shift_jis", "gb18030", "koi8-r", "mac-roman",
]  # fmt: skip
MARKS = [
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
]  # fmt: skip


def _by_python(raw: bytes, declared: str) -> str | None:
    """Return a file's text by its mark, what is declared, or UTF-8; None where it is no text."""
    named = [name for mark, name in MARKS if raw.startswith(mark)]
    try:
        text = raw.decode((named or [declared or "utf-8"])[0])
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text.strip()


def _written(folder: Path, rng: random.Random) -> tuple[str, dict[tuple[str, str], bytes]]:
    """Write up to four texts in one encoding; return what a data set declares of it, and all bytes."""
    encoding, files = rng.choice(ENCODINGS), {}
    for place in range(rng.randint(1, 4)):
        raw = rng.choice(TEXTS).encode(encoding, "ignore")
        raw = mutated(raw, rng) if rng.random() < 0.2 else raw
        name = (rng.choice("ab"), f"{place}.txt")
        (folder / name[0]).mkdir(parents=True, exist_ok=True)
        (folder / name[0] / name[1]).write_bytes(raw)
        files[name] = raw
    return rng.choice(["", encoding, "latin-1"]), files


@pytest.mark.parametrize(
    "seeds", [range(150), pytest.param(range(150, 2150), marks=pytest.mark.slow)], ids=["some", "all"]
)  # fmt: skip
def test_a_folder_of_texts_ends_in_one_line_or_in_the_texts_that_were_written(
    seeds: range, tmp_path: Path
) -> None:
    read = 0
    for seed in seeds:
        folder, rng = tmp_path / f"set{seed}", random.Random(seed)
        declared, files = _written(folder, rng)
        wanted = {name: _by_python(raw, declared) for name, raw in files.items()}
        said, found = "", None
        try:
            found = load_dataset(
                DatasetSpec(folder.name, encoding=declared, longest=20_000), tmp_path
            )
        except DataError as error:
            said = str(error)
        assert {each.name for each in folder.rglob("*.*")} == {name for _, name in files}
        if found is None:
            flawed = [name for (_, name), text in wanted.items() if text is None]
            empty = not any(text for text in wanted.values())
            link = any(text == "../a/1.txt" for text in wanted.values())
            assert empty or link or any(name in said for name in flawed), f"seed {seed}: {said}"
            assert folder.name in said
        else:
            read += 1
            whole = {text for text in wanted.values() if text}
            assert None not in wanted.values(), f"seed {seed}"
            assert set(as_texts(found.take(slice(None)).x)) == whole, f"seed {seed}"
        shutil.rmtree(folder)
    assert read > len(seeds) / 4
