"""A trainer's identity to a ledger: every name that it had with every key, for ever.

A trainer gets a new key, or is called otherwise; what it was given stays given. Names and keys that
ever stood together are one identity, and so is whatever hangs together by them. Rows are
append-only and chained by hash, and the ledger's head knows the last: an older copy of the ledger
lacks it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3

from mycroft_fl.privacy.spending.chain import BEGINNING

TABLE = (
    """CREATE TABLE identity (
        seq INTEGER PRIMARY KEY, at TEXT NOT NULL, name TEXT NOT NULL, peer TEXT NOT NULL,
        previous TEXT NOT NULL, hash TEXT NOT NULL, UNIQUE (name, peer)
    ) STRICT""",
    """CREATE TRIGGER identity_is_new BEFORE INSERT ON identity
        WHEN EXISTS (SELECT 1 FROM identity WHERE seq = NEW.seq
            OR (name = NEW.name AND peer = NEW.peer))
        BEGIN SELECT RAISE (ABORT, 'what was entered cannot be changed'); END""",
)


def enter_identity(connection: sqlite3.Connection, name: str, peer: str) -> None:
    """Enter that the trainer of that name has that key, by its fingerprint; once."""
    known = "SELECT 1 FROM identity WHERE name = ? AND peer = ?"
    if connection.execute(known, (name, peer)).fetchone():
        return
    last = connection.execute("SELECT seq, hash FROM identity ORDER BY seq DESC LIMIT 1").fetchone()
    seq, previous = (last[0] + 1, last[1]) if last else (1, BEGINNING)
    at = connection.execute("SELECT strftime('%Y-%m-%dT%H:%M:%fZ')").fetchone()[0]
    row = (seq, at, name, peer, previous)
    connection.execute("INSERT INTO identity VALUES (?, ?, ?, ?, ?, ?)", (*row, _hash(row)))


def peers_of(connection: sqlite3.Connection, peer: str) -> list[str]:
    """Return all keys of whoever has this one: those that hang together with it by names; itself too."""
    found = connection.execute(
        """WITH RECURSIVE own (name) AS (
            SELECT name FROM identity WHERE peer = ?
            UNION
            SELECT other.name FROM own
                JOIN identity AS same ON same.name = own.name
                JOIN identity AS other ON other.peer = same.peer
        ) SELECT DISTINCT peer FROM identity WHERE name IN own""",
        (peer,),
    ).fetchall()
    return sorted({peer, *(row[0] for row in found)})


def problems_of_identities(connection: sqlite3.Connection) -> list[str]:
    """Find what was changed or is missing among them."""
    problems, last = [], BEGINNING
    rows = connection.execute("SELECT * FROM identity ORDER BY seq").fetchall()
    for place, (*row, hash_) in enumerate(rows, start=1):
        if row[0] != place or row[4] != last:
            problems.append(f"a trainer's key before identity {row[0]} is missing")
        if hash_ != _hash(tuple(row)):
            problems.append(f"identity {row[0]} was changed after it was made")
        last = hash_
    return problems


def _hash(row: tuple) -> str:
    return hashlib.sha256(json.dumps(row).encode()).hexdigest()
