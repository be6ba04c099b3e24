"""A trainer's names in an owner's terminal and on its page: text, whatever stands in them."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from mycroft_fl.cli.main import cli

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


def test_the_owners_commands_and_its_page_show_foreign_names_as_text(
    make_hospital: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from clients.owner.load import records_of
    from clients.serving.approval_page import release_page
    from clients.serving.approvals import Approvals, Entry, now
    from mycroft_fl.privacy.spending.ledger import PrivacyLedger
    from mycroft_fl.tasks import description as task_description

    monkeypatch.setattr(task_description, "_check_names", lambda *_: None)
    hospital = make_hospital(policy={"approval": True})
    path = hospital.folder / "task.json"
    content = json.loads(path.read_text())
    ill = content["classes"].index("ill")
    content["classes"][ill] = EVIL
    path.write_text(json.dumps(content))
    owner = hospital.folder / "owner.toml"
    labels = json.dumps({"ill": EVIL, "well": "well"}).replace("{", "{ ").replace('": ', '" = ')
    text = owner.read_text().replace("[dataset]\n", f"[dataset]\nlabels = {labels}\n")
    owner.write_text(text.replace('name = "lab"', f"name = {json.dumps('lab' + EVIL)}"))
    entry = Entry("abc", "lab" + EVIL, EVIL, 1, 3, now(), "0")
    Approvals(hospital.folder)._write(hospital.folder / "approvals" / "abc", entry, "page")
    PrivacyLedger(hospital.file.ledger)
    for verb in ("check", "pending", "ledger", "approve"):
        arguments = ["owner", verb, str(hospital.folder), *(["abc"] if verb == "approve" else [])]
        printed = CliRunner().invoke(cli, arguments)
        assert printed.exit_code == 0, printed
        assert is_plain(printed.output), verb
        assert FORGED not in printed.output
        assert "lab" in printed.output
    task = task_description.read_task(path)
    examples = records_of(hospital.file, hospital.task).examples[np.arange(3)]
    page = release_page(examples, task, EVIL, [EVIL])
    assert is_plain(page)
    assert FORGED not in page
