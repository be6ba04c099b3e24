"""Nothing that somebody else wrote reaches a terminal, a log or a page as anything but plain text."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycroft_fl.cli.main import main
from mycroft_fl.errors import DataError
from mycroft_fl.foreign_text import LONGEST_NAME, CleanFormatter, cleaned, cleaned_lines, is_clean
from mycroft_fl.progress_lines import PACKAGES

EVIL = (
    "ill\x1b[2J\x1b]0;title\x07\r\ndata: 9 records fit\u202egnol\u2028line\x9b1m\x00"
    + "é\u0301" * 3
)
FORGED = "\ndata: 9 records fit"


def is_plain(text: str) -> bool:
    """Line feeds apart, nothing but characters that are seen, and plain spaces."""
    return all(
        each == "\n" or each == " " or unicodedata.category(each)[0] in "LMNPS" for each in text
    )


@given(st.text())
def test_what_is_cleaned_is_one_line_of_plain_characters(text: str) -> None:
    assert is_plain(cleaned(text))
    assert "\n" not in cleaned(text)
    assert cleaned(cleaned(text)) == cleaned(text)
    assert is_plain(cleaned_lines(text))
    assert cleaned_lines(text).count("\n") == text.count("\n")


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"]), max_size=100))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert cleaned(text) == text
    assert is_clean(text)


def test_length_and_marks_upon_a_letter_are_bounded() -> None:
    assert cleaned("x" * 10_000, 10) == "x" * 10 + "..."
    assert len(cleaned("a" + "\u0301" * 1000)) == 5
    assert not is_clean("x" * (LONGEST_NAME + 1))
    assert is_clean("caf\u00e9\u00a0noir")


def test_a_logs_message_is_one_clean_line_and_its_error_is_set_in() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(CleanFormatter("%(message)s"))
    log = logging.Logger("test")
    log.addHandler(handler)
    try:
        raise ValueError(EVIL)
    except ValueError:
        log.exception("the answer of %s", EVIL)
    output = stream.getvalue()
    assert is_plain(output)
    message, *error = output.rstrip("\n").split("\n")
    assert message == f"the answer of {cleaned(EVIL)}"
    assert len(error) > 3
    assert all(line.startswith("    ") for line in error)


def task_json(folder: Path, **changed: Any) -> Path:
    column = {"kind": "categories", "name": "ward", "fill": "a", "known": ["a", "b"]}
    content: dict[str, Any] = {
        "version": 1, "classes": ["ill", "well"], "shape": [2], "dtype": "float32", "model": "mlp",
        "table": {"columns": [{**column, **changed.pop("column", {})}], "fills": False, "ignores": True},
    }  # fmt: skip
    path = folder / "task.json"
    path.write_text(json.dumps({**content, **changed}))
    return path


@pytest.mark.parametrize(
    "changed",
    [
        {"classes": [EVIL, "well"]}, {"classes": ["x" * 201, "well"]}, {"model": EVIL},
        {"column": {"name": EVIL}}, {"column": {"known": ["a", EVIL]}}, {"column": {"fill": EVIL}},
    ],
    ids=["class", "long", "model", "column", "category", "fill"],
)  # fmt: skip
def test_a_task_with_such_names_is_refused_where_it_is_read_and_where_it_is_made(
    tmp_path: Path, changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mycroft_fl.tasks import description as task_description

    path = task_json(tmp_path, **changed)
    with pytest.raises(DataError, match="has control characters, or more than 200") as error:
        task_description.read_task(path)
    assert is_plain(str(error.value))
    with monkeypatch.context() as unchecked:
        unchecked.setattr(task_description, "_check_names", lambda *_: None)
        task = task_description.read_task(path)
    with pytest.raises(DataError, match="has control characters"):
        task_description.write_task(task, tmp_path / "again.json")


# Where it is shown. Names that pass what is refused above, to see that each place holds by itself.


def test_errors_tables_progress_and_pages_show_foreign_names_as_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from mycroft_fl.cli.common import print_rows, say
    from mycroft_fl.progress_lines import show_progress
    from mycroft_fl.report.layout.page import _environment
    from mycroft_fl.report.run.terminal import console_for

    monkeypatch.setattr(
        sys, "argv", ["mycroft-fl", "owner", "check", str(tmp_path / EVIL.replace("\0", ""))]
    )
    with pytest.raises(SystemExit):
        main()
    say(EVIL)
    print_rows(["owner", "status"], [[EVIL, EVIL]])
    console_for(sys.stdout).print(EVIL, markup=False)
    log = logging.getLogger("strategies")
    # As in a fresh program: another test may have left handlers of its own behind.
    monkeypatch.setattr(log, "handlers", [])
    monkeypatch.setattr(log, "propagate", False)
    show_progress(sys.stderr)
    assert len(log.handlers) == 1
    log.warning("the answer of %s", EVIL)
    output = capsys.readouterr()
    assert is_plain(output.out + output.err)
    assert FORGED not in output.err
    page = _environment().from_string("<p>{{ name }}</p>").render(name=EVIL)
    assert is_plain(page)
    assert "data: 9 records fit" in page


def test_commands_print_by_the_one_function_that_cleans() -> None:
    folder = Path(__file__).parents[2] / "mycroft_fl" / "cli"
    found = [
        f"{path.name}: {line.strip()}"
        for path in sorted(folder.glob("*.py"))
        for line in path.read_text().splitlines()
        # JSON escapes what is no plain character itself.
        if re.search(r"\bclick\.s?echo\(|^\s*print\(", line) and "json.dumps(" not in line
    ]
    assert found == [
        "common.py: click.echo(cleaned(line), err=err)",
        "common.py: click.echo(cleaned_lines(text), err=err)",
    ]


def test_a_note_on_data_is_shown_once_and_progress_as_often_as_it_comes() -> None:
    from io import StringIO

    from mycroft_fl.progress_lines import show_progress

    loggers = {name: logging.getLogger(name) for name in PACKAGES}
    before = {name: (log.handlers, log.level, log.propagate) for name, log in loggers.items()}
    shown = StringIO()
    try:
        for log in loggers.values():
            log.handlers = []
        show_progress(shown)
        for _ in range(3):
            logging.getLogger("mycroft_fl.data").warning("t.csv: 2 rows are left out")
            logging.getLogger("strategies").info("round")
    finally:
        for name, log in loggers.items():
            log.handlers, log.level, log.propagate = before[name]
    assert shown.getvalue().split("\n") == [
        "t.csv: 2 rows are left out",
        "round",
        "round",
        "round",
        "",
    ]
