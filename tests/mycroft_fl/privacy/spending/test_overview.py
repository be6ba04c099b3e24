"""The commands `ledger` and `audit`: what an owner reads, and the exit code when it does not add up."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from mycroft_fl.cli.main import main
from mycroft_fl.privacy.attacks import findings
from mycroft_fl.privacy.audits import catalogue as audits
from mycroft_fl.privacy.audits import seeded_bugs
from mycroft_fl.privacy.audits.bounds import Finding
from mycroft_fl.privacy.noise.accounting import Spend
from mycroft_fl.privacy.spending.budget import Budget, Limits
from mycroft_fl.privacy.spending.ledger import Key, PrivacyLedger


def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, *words: str) -> tuple:
    """Exit code, output and error output of the command line."""
    monkeypatch.setattr("sys.argv", ["mycroft-fl", *words])
    code = 0
    try:
        main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite"
    budget = Budget.of(records=10, epsilon=1.0, delta=1e-5)
    ledger = PrivacyLedger(path)
    ledger.note_limits(json.dumps(budget.as_json()))
    assert budget.privacy is not None
    half = Spend(rho=budget.privacy.rho / 2)
    ledger.charge(Key("d", "lab", "abc"), "score", half, Limits(budget))
    ledger.store(Key("d", "lab", "abc"), b"answer")
    ledger.disclose(Key("d", "clinic", "def"), np.array([1, 2, 3]), Limits(budget))
    return path


def test_the_ledger_says_what_was_released_to_whom_and_what_is_left(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    code, out, _ = said(monkeypatch, capsys, "ledger", str(path))
    assert code == 0
    assert "lab" in out
    assert "clinic" in out
    assert "records charged: 3 of 10 (3 handed over)" in out
    assert "requests answered: 2 of any number" in out
    assert "1 at most, at delta 1e-05, add or remove one unit; 50% of the budget is left" in out
    assert "of the others, too, something is known" in out
    assert "the chain is whole" in out


def test_a_ledger_that_does_not_add_up_ends_with_1(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER spend_is_final")
        connection.execute("UPDATE spend SET rho = 0 WHERE seq = 1")
    code, _, err = said(monkeypatch, capsys, "ledger", str(path))
    assert code == 1
    assert "entry 1 was changed after it was made" in err


def test_no_ledger_is_bad_input_and_none_is_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    code, _, err = said(monkeypatch, capsys, "ledger", str(tmp_path / "none.sqlite"))
    assert code == 2
    assert "there is no ledger at" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("found", "code"), [(0.9, 0), (1.2, 1), (0.1, 1)])
def test_an_audit_fails_above_its_claim_and_where_it_is_blind(
    found: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    finding = Finding("score", "one record", "mu at least", found, 1.0, 0.8)
    monkeypatch.setattr(audits, "findings", lambda mode: [finding])
    output = said(monkeypatch, capsys, "audit", "--mode", "score")
    assert output[0] == code
    assert "one record" in output[1]


@pytest.mark.parametrize(("words", "what"), [((), "audit"), (("--attacks",), "attack")])
def test_a_mode_without_audit_or_attack_is_bad_input(
    words: tuple[str, ...],
    what: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    code, _, err = said(monkeypatch, capsys, "audit", "--mode", "rw", *words)
    assert code == 2
    assert f"mode 'rw' has no {what}; choose from ['" in err
    assert "'gradient'" in err


def test_attacks_are_shown_beside_what_is_possible(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    finding = Finding("raw-gumbel", "half of a record known", "records got", 0.3, 0.28)
    monkeypatch.setattr(findings, "attacked", lambda mode: [finding])
    code, out, err = said(monkeypatch, capsys, "audit", "--attacks")
    assert code == 1
    assert "half of a record known" in out
    assert "does not keep its claim" in err


def test_a_bug_that_is_missed_fails_the_audit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(seeded_bugs, "caught", lambda name: name != "sigma halved")
    code, out, err = said(monkeypatch, capsys, "audit", "--bugs")
    assert code == 1
    assert "MISSED" in out
    assert "the audits are blind to: sigma halved" in err
