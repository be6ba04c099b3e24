"""The disclosure ledger: which of its examples an owner has handed over, on its own disk.

A simulation's workers serve any owner and a deployed client process lives for one message, so
memory in a process would forget. Every example is charged before it leaves; asking the same
thing again returns the same examples and charges nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from mycroft_fl.errors import Refused

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS request (
        digest TEXT PRIMARY KEY, at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS disclosure (
        example INTEGER PRIMARY KEY, position INTEGER NOT NULL,
        request TEXT NOT NULL REFERENCES request (digest)
    ) STRICT""",
    """CREATE TRIGGER IF NOT EXISTS disclosures_stay BEFORE DELETE ON disclosure
        BEGIN SELECT RAISE (ABORT, 'a disclosure cannot be taken back'); END""",
    """CREATE TRIGGER IF NOT EXISTS disclosures_are_final BEFORE UPDATE ON disclosure
        BEGIN SELECT RAISE (ABORT, 'a disclosure cannot be changed'); END""",
)


class DisclosureLedger:
    """One owner's ledger in a SQLite file, safe for several processes at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._transaction() as connection:
            for statement in _SCHEMA:
                connection.execute(statement)

    def disclosed(self) -> Int64[np.ndarray, " n"]:
        """The ids of all examples that were ever handed over."""
        with self._transaction() as connection:
            rows = connection.execute("SELECT example FROM disclosure").fetchall()
        return np.array([row[0] for row in rows], dtype=np.int64)

    def recall(self, digest: str) -> Int64[np.ndarray, " n"] | None:
        """The ids that answered the request with this digest, in order; None if it is new."""
        with self._transaction() as connection:
            return self._recall(connection, digest)

    def charge(
        self, digest: str, ids: Int64[np.ndarray, " n"], *, max_records: int | None
    ) -> Int64[np.ndarray, " n"]:
        """Record that `ids` answer a request; what it returns may leave, and nothing else.

        Durable when it returns. If another process answered the same request first, its answer
        is returned and nothing is charged. `Refused` above `max_records` or for an example that
        was handed over before.
        """
        with self._transaction() as connection:
            earlier = self._recall(connection, digest)
            if earlier is not None:
                return earlier
            spent = connection.execute("SELECT count(*) FROM disclosure").fetchone()[0]
            if max_records is not None and spent + len(ids) > max_records:
                raise Refused(f"{len(ids)} more records would pass the limit of {max_records}")
            connection.execute("INSERT INTO request (digest) VALUES (?)", (digest,))
            rows = [(int(example), position, digest) for position, example in enumerate(ids)]
            try:
                connection.executemany("INSERT INTO disclosure VALUES (?, ?, ?)", rows)
            except sqlite3.IntegrityError as error:
                raise Refused("an example of this answer was handed over before") from error
        return ids

    @staticmethod
    def _recall(connection: sqlite3.Connection, digest: str) -> Int64[np.ndarray, " n"] | None:
        known = connection.execute("SELECT 1 FROM request WHERE digest = ?", (digest,)).fetchone()
        if known is None:
            return None
        rows = connection.execute(
            "SELECT example FROM disclosure WHERE request = ? ORDER BY position", (digest,)
        ).fetchall()
        return np.array([row[0] for row in rows], dtype=np.int64)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One connection for one transaction: committed and durable, or rolled back."""
        with closing(sqlite3.connect(self._path, timeout=60, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
