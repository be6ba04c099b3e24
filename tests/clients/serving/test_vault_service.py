"""What a person must look at is bounded, nothing is told by what waits, and the file of now counts."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from clients.answering.selecting import Selector
from clients.owner.revoking import revoke, rotate
from clients.serving.approvals import Approvals
from clients.serving.process import SILENT
from clients.serving.service import VaultService
from clients.serving.socket_protocol import ANSWERED, FAILED, REFUSED
from mycroft_fl.errors import InputError
from mycroft_fl.protocol.envelope import open_request
from mycroft_fl.protocol.keys import KeyPair

Hospital = Any
NOTHING = np.array([], dtype=np.int64)


def asked(
    vault: VaultService, hospital: Hospital, key: KeyPair | None = None, **request: Any
) -> int:
    key = key or hospital.trainer
    envelope = hospital.envelope(hospital.request(**request), hospital.terms(), key)
    return vault.answer(open_request(envelope, "hospital", [key.public]))[0]


@pytest.fixture
def careful(make_hospital: Callable[..., Hospital]) -> Hospital:
    return make_hospital(policy={"approval": True, "max-records": 100}, waiting=3)


def test_three_hundred_requests_that_choose_nothing_make_no_queue(
    careful: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Selector, "choose", lambda *_: NOTHING)
    vault = VaultService(careful.file)
    statuses = [asked(vault, careful, seed=seed) for seed in range(300)]
    assert statuses == [SILENT] * 3 + [REFUSED] * 297
    assert Approvals(careful.folder).entries() == []
    assert len(careful.ledger_rows()) == 3


def test_an_empty_answer_cannot_be_told_from_one_that_waits(
    make_hospital: Callable[..., Hospital], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by what comes, nor by when the queue is full, nor by what a person decides."""
    said = []
    for empty in (False, True):
        hospital = make_hospital(policy={"approval": True}, waiting=3)
        with monkeypatch.context() as changed:
            if empty:
                changed.setattr(Selector, "choose", lambda *_: NOTHING)
            vault = VaultService(hospital.file)
            statuses = [asked(vault, hospital, seed=seed) for seed in (1, 2, 1, 3, 4, 5)]
            for each in Approvals(hospital.folder).pending():
                Approvals(hospital.folder).decide(each.id, "refused")
            said.append(statuses + [asked(vault, hospital, seed=seed) for seed in (1, 6)])
    assert said[0] == said[1] == [SILENT] * 4 + [REFUSED] * 2 + [SILENT, REFUSED]


def test_a_full_queue_refuses_before_anything_is_computed_or_charged(
    careful: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = VaultService(careful.file)
    for seed in range(3):
        assert asked(vault, careful, seed=seed) == SILENT
    assert len(Approvals(careful.folder).pending()) == 3
    monkeypatch.setattr(Selector, "choose", lambda *_: pytest.fail("it was computed"))
    rows = careful.ledger_rows()
    assert asked(vault, careful, seed=4) == REFUSED
    assert careful.ledger_rows() == rows
    # Another key of the same trainer has no queue of its own.
    new = KeyPair.generate()
    rotate(careful.file, "lab", new.public)
    assert asked(vault, careful, new, seed=5) == REFUSED


def test_what_waits_too_long_lapses_for_good(careful: Hospital) -> None:
    vault = VaultService(careful.file)
    assert asked(vault, careful) == SILENT
    [entry] = Approvals(careful.folder).pending()
    path = careful.folder / "approvals" / entry.id / "entry.json"
    earlier = (datetime.now(UTC) - timedelta(days=15)).isoformat(timespec="seconds")
    path.write_text(json.dumps({**dataclasses.asdict(entry), "at": earlier}))
    assert Approvals(careful.folder).pending() == []
    with pytest.raises(InputError, match="more than 14 days and has lapsed"):
        Approvals(careful.folder).decide(entry.id, "approved")
    assert asked(vault, careful) == SILENT
    assert "has lapsed" in careful.log


# The file as it is now


def test_a_revoked_trainer_gets_no_answer_from_a_vault_that_runs(
    make_hospital: Callable[..., Hospital],
) -> None:
    hospital = make_hospital()
    vault = VaultService(hospital.file)
    assert asked(vault, hospital) == ANSWERED
    revoke(hospital.file, "lab")
    # With nobody listed: a policy that names nobody lets anybody ask, and this must not.
    assert asked(vault, hospital) == REFUSED
    assert asked(vault, hospital, KeyPair.generate(), seed=1) == REFUSED


@pytest.mark.parametrize(
    ("edit", "status"),
    [
        (lambda text: re.sub(r"trainers = \[.*?\n\]", "", text, flags=re.S), REFUSED),
        (lambda text: text.replace("[policy]", "[policy]\nexpires = 2020-01-01"), REFUSED),
        (lambda text: text.replace("[policy]", "[policy"), FAILED),
    ],
    ids=["revoked", "ended", "broken"],
)
def test_what_changes_while_an_answer_is_computed_holds_for_that_answer(
    make_hospital: Callable[..., Hospital],
    monkeypatch: pytest.MonkeyPatch,
    edit: Callable[[str], str],
    status: int,
) -> None:
    hospital = make_hospital()
    vault, path, choose = (
        VaultService(hospital.file),
        hospital.folder / "owner.toml",
        Selector.choose,
    )

    def meanwhile(*arguments: Any) -> Any:
        path.write_text(edit(path.read_text()))
        return choose(*arguments)

    monkeypatch.setattr(Selector, "choose", meanwhile)
    assert asked(vault, hospital) == status


def test_a_changed_policy_holds_from_the_next_answer_on(
    make_hospital: Callable[..., Hospital],
) -> None:
    hospital = make_hospital()
    vault, path = VaultService(hospital.file), hospital.folder / "owner.toml"
    assert asked(vault, hospital, k=4) == ANSWERED
    whole = path.read_text()
    path.write_text(whole.replace("max-records = 60", "max-records = 4"))
    assert asked(vault, hospital, k=4, seed=1) == REFUSED
    path.write_text(whole.replace('"raw"', '"score"').replace('"score", "score"', '"score"'))
    assert asked(vault, hospital, k=4) == REFUSED
    path.write_text(whole)
    assert asked(vault, hospital, k=4, seed=1) == ANSWERED


def test_a_rotated_key_goes_on_with_the_budget_of_its_trainer(
    make_hospital: Callable[..., Hospital],
) -> None:
    hospital = make_hospital()
    path = hospital.folder / "owner.toml"
    path.write_text(
        path.read_text().replace('"trainer-lab.pub"', '"trainer-lab.pub", max-records = 5')
    )
    vault, new = VaultService(hospital.file), KeyPair.generate()
    assert asked(vault, hospital, k=4) == ANSWERED
    rotate(hospital.file, "lab", new.public)
    assert asked(vault, hospital, k=4, seed=1) == REFUSED
    # One record is left of the five, whatever the key is that asks for more.
    assert asked(vault, hospital, new, k=4, seed=1) == ANSWERED
    assert sum(row.records for row in hospital.ledger_rows()) == 5
    assert asked(vault, hospital, new, k=4, seed=2) == REFUSED
