"""Budgets follow a trainer through all its names and keys, and a ledger cannot forget who it was."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mycroft_fl.errors import InputError, Refused
from mycroft_fl.privacy.noise.accounting import Spend
from mycroft_fl.privacy.spending.budget import Budget, Limits
from mycroft_fl.privacy.spending.identities import TABLE, enter_identity, peers_of
from mycroft_fl.privacy.spending.ledger import Key, PrivacyLedger

FIVE = Limits(Budget(records=100), Budget(records=5))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def charge(ledger: PrivacyLedger, peer: str, digest: str, records: int) -> None:
    ledger.charge(Key("d", peer, digest), "raw", Spend(records=records), FIVE)


def test_a_new_key_of_the_same_trainer_has_no_new_budget(path: Path) -> None:
    ledger = PrivacyLedger(path)
    ledger.note_identities([("lab", "old")])
    charge(ledger, "old", "1", 4)
    ledger.note_identities([("lab", "new")])
    with pytest.raises(Refused, match="limit of 5 for this trainer"):
        charge(ledger, "new", "2", 2)
    charge(ledger, "new", "2", 1)
    assert ledger.peers_of("new") == {"old", "new"}


def test_a_key_under_another_name_has_no_new_budget_nor_a_new_key_of_that_name(path: Path) -> None:
    ledger = PrivacyLedger(path)
    ledger.note_identities([("lab", "a"), ("other", "a"), ("other", "b")])
    charge(ledger, "a", "1", 5)
    with pytest.raises(Refused):
        charge(ledger, "b", "2", 1)
    charge(ledger, "somebody", "3", 5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("LMNOP"), st.sampled_from("abcdefg")), max_size=12))
def test_an_identity_is_a_connected_component_of_names_and_keys(pairs: list) -> None:
    graph = networkx.Graph([(("name", n), ("key", k)) for n, k in pairs])
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in TABLE:
            connection.execute(statement)
        for name, peer in pairs:
            enter_identity(connection, name, peer)
        for peer in "abcdefg":
            node = ("key", peer)
            joined = networkx.node_connected_component(graph, node) if node in graph else {node}
            assert peers_of(connection, peer) == sorted(k for kind, k in joined if kind == "key")


def as_version_3(path: Path) -> None:
    """What an earlier version left: no identities, and a head that says nothing of them."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE identity")
        connection.execute("PRAGMA user_version = 3")
        connection.commit()
    head = path.with_suffix(".head")
    head.write_text(" ".join(head.read_text().split()[:4]) + "\n")


def test_a_ledger_of_version_3_is_brought_on_with_all_that_was_spent(path: Path) -> None:
    charge(PrivacyLedger(path), "old", "1", 4)
    as_version_3(path)
    ledger = PrivacyLedger(path)
    assert [row.records for row in ledger.rows()] == [4]
    assert ledger.problems() == []
    ledger.note_identities([("lab", "old"), ("lab", "new")])
    with pytest.raises(Refused, match="limit of 5"):
        charge(PrivacyLedger(path), "new", "2", 2)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 4
        with pytest.raises(sqlite3.IntegrityError, match="cannot be taken back"):
            connection.execute("DELETE FROM identity")


def test_a_version_3_ledger_that_cannot_be_brought_on_stays_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    charge(PrivacyLedger(path), "old", "1", 4)
    as_version_3(path)
    monkeypatch.setattr(
        "mycroft_fl.privacy.spending.ledger.IDENTITIES", (*TABLE, "CREATE TABLE nonsense (")
    )
    with pytest.raises(InputError, match="cannot be read as a ledger"):
        PrivacyLedger(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 3
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert ("identity",) not in tables
    monkeypatch.undo()
    assert len(PrivacyLedger(path).rows()) == 1


def test_an_older_copy_that_lacks_a_key_does_not_pass(path: Path, tmp_path: Path) -> None:
    ledger = PrivacyLedger(path)
    charge(ledger, "old", "1", 4)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(path, tmp_path / "copy")
    ledger.note_identities([("lab", "old"), ("other", "old")])
    for each in tmp_path.glob("ledger.sqlite-*"):
        each.unlink()
    shutil.copy(tmp_path / "copy", path)
    with pytest.raises(InputError, match="reached identity 2"):
        PrivacyLedger(path)


def test_a_changed_identity_is_seen(path: Path) -> None:
    PrivacyLedger(path).note_identities([("lab", "a"), ("lab", "b"), ("lab", "c")])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER identity_is_final")
        connection.execute("UPDATE identity SET name = 'other' WHERE seq = 1")
        connection.commit()
    with pytest.raises(InputError, match="identity 1 was changed"):
        PrivacyLedger(path)


def test_what_was_asked_since_counts_all_keys_and_these_modes(path: Path) -> None:
    ledger = PrivacyLedger(path)
    ledger.note_identities([("lab", "a"), ("lab", "b")])
    for number, peer in enumerate("aabc"):
        charge(ledger, peer, str(number), 1)
    ledger.charge(Key("d", "a", "s"), "score", Spend(), FIVE)
    assert ledger.asked_since("b", {"raw", "raw-gumbel"}, "2020-01-01") == 3
    assert ledger.asked_since("b", {"raw"}, "9999-01-01") == 0
