"""The ledger: what an owner has given away and what it cost, charged before anything leaves.

One SQLite file an owner, safe for several processes at once. A charge is durable when it returns;
the noise is drawn after it, the answer's bytes are kept, and asking the same again returns them and
costs nothing. Nothing is ever refunded. Rows are append-only and chained by hash; the chain's head
is kept in a file elsewhere, so that an older copy of the ledger does not pass for the latest.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from mycroft_fl.errors import InputError, Refused
from mycroft_fl.privacy.accounting import Spend
from mycroft_fl.privacy.budget import Limits
from mycroft_fl.privacy.chain import Head, Row, answer_hash, problems_of, sgd_of, spend_of
from mycroft_fl.privacy.tables import SCHEMA, VERSION

Ids = Int64[np.ndarray, " n"]


@dataclass(frozen=True)
class Key:
    """Names one answer: the data it is from, the trainer it went to, the request's whole content."""

    dataset: str
    peer: str
    digest: str


class PrivacyLedger:
    """One owner's ledger. `head` is where the chain's head is kept; else beside the file.

    `InputError` where the file is no ledger, or is behind its head.
    """

    def __init__(self, path: Path, head: Path | None = None) -> None:
        self._path = path
        self._head = Head(head or path.with_suffix(".head"))
        with self._head.locked():
            self._create()
        with self._reading() as connection:
            self._head.check(connection, self._path)

    def disclosed(self) -> Ids:
        """The ids of all examples that were ever handed over."""
        with self._reading() as connection:
            return _disclosed(connection)

    def recall(self, key: Key) -> bytes | None:
        """What answered this request; None if it is new, or was charged and never answered."""
        with self._reading() as connection:
            return _answer(connection, key)

    def recall_ids(self, key: Key) -> Ids | None:
        """The ids of the examples that answered this request, in order; None as in `recall`."""
        content = self.recall(key)
        return None if content is None else _ids(content)

    def charge(self, key: Key, mode: str, spend: Spend, limits: Limits) -> None:
        """Enter what an answer costs, once for each key; durable when this returns.

        `Refused` where it would pass a limit: nothing is charged then.
        """
        with self._writing() as connection:
            if _seq(connection, key) is None:
                _enter(connection, key, mode, spend, limits)

    def store(self, key: Key, content: bytes) -> bytes:
        """Keep the answer to a charged request; what this returns may leave, and nothing else.

        If another process stored one first, that is the answer.
        """
        with self._writing() as connection:
            earlier = _answer(connection, key)
            return _keep(connection, key, content) if earlier is None else earlier

    def disclose(self, key: Key, ids: Ids, limits: Limits, *, mode: str = "raw") -> Ids:
        """Charge examples that were already chosen; what this returns may leave, and nothing else.

        If another process answered the same request first, its answer is returned and nothing is
        charged. `Refused` above a limit, or for an example that was handed over before.
        """
        with self._writing() as connection:
            earlier = _answer(connection, key)
            if earlier is not None:
                return _ids(earlier)
            listed = [int(each) for each in ids]
            _enter(connection, key, mode, Spend(records=len(listed)), limits)
            return _hand_over(connection, key, listed)

    def draw(self, key: Key, choose: Callable[[Ids], Ids]) -> Ids:
        """Choose examples for a charged request, knowing the ids that were ever handed over.

        No more than were charged; the choice and its entry are one transaction.
        """
        with self._writing() as connection:
            earlier = _answer(connection, key)
            if earlier is not None:
                return _ids(earlier)
            listed = [int(each) for each in choose(_disclosed(connection))]
            paid = connection.execute(
                "SELECT records FROM spend WHERE seq = ?", (_charged(connection, key),)
            ).fetchone()[0]
            if len(listed) > paid:
                raise Refused(f"{len(listed)} records were drawn, {paid} are paid for")
            return _hand_over(connection, key, listed)

    def note_limits(self, content: str) -> None:
        """Remember the limits in force, as JSON, for whoever reads the ledger later."""
        with self._writing() as connection:
            last = connection.execute("SELECT content FROM limits ORDER BY seq DESC").fetchone()
            if last is None or last[0] != content:
                connection.execute("INSERT INTO limits (content) VALUES (?)", (content,))

    def rows(self) -> list[Row]:
        """All that was ever charged, in order."""
        with self._reading() as connection:
            return [Row(*row) for row in connection.execute("SELECT * FROM spend ORDER BY seq")]

    def row(self, key: Key) -> Row | None:
        """The charge for one answer; None where there was none."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT * FROM spend WHERE seq = ?", (_seq(connection, key),)
            ).fetchone()
        return None if found is None else Row(*found)

    def limits(self) -> str | None:
        """The limits noted last."""
        with self._reading() as connection:
            last = connection.execute("SELECT content FROM limits ORDER BY seq DESC").fetchone()
        return None if last is None else str(last[0])

    def problems(self) -> list[str]:
        """What is wrong with the chain and with what hangs on it; nothing where all is well."""
        with self._reading() as connection:
            return problems_of(connection)

    def _create(self) -> None:
        try:
            with closing(self._connect()) as connection:
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
                if version == 0 and not tables:
                    _create_tables(connection)
                elif version != VERSION:
                    raise InputError(
                        f"{self._path} is not a ledger of this version; move it away to begin a new "
                        "one, which forgets what was spent"
                    )
        except sqlite3.DatabaseError as error:
            raise InputError(f"{self._path} cannot be read as a ledger: {error}") from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=60, isolation_level=None)
        connection.execute("PRAGMA synchronous = FULL")
        # Else INSERT OR REPLACE would delete a row without its trigger being asked.
        connection.execute("PRAGMA recursive_triggers = ON")
        return connection

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with closing(self._connect()) as connection:
            connection.execute("BEGIN")
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One connection for one transaction: committed and durable, or rolled back."""
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._head.check(connection, self._path)
                yield connection
                last = connection.execute("SELECT max(seq), hash FROM spend").fetchone()
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        # After the commit: a head that is behind is caught up, one that is ahead is an alarm.
        if last[0] is not None:
            self._head.advance(*last)


def _create_tables(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    for statement in SCHEMA:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _seq(connection: sqlite3.Connection, key: Key) -> int | None:
    found = connection.execute(
        "SELECT seq FROM spend WHERE dataset = ? AND peer = ? AND digest = ?",
        (key.dataset, key.peer, key.digest),
    ).fetchone()
    return None if found is None else int(found[0])


def _charged(connection: sqlite3.Connection, key: Key) -> int:
    seq = _seq(connection, key)
    if seq is None:
        raise Refused("this request was never charged, so nothing may leave for it")
    return seq


def _answer(connection: sqlite3.Connection, key: Key) -> bytes | None:
    seq = _seq(connection, key)
    found = connection.execute("SELECT content FROM answer WHERE spend = ?", (seq,)).fetchone()
    return None if found is None else bytes(found[0])


def _enter(
    connection: sqlite3.Connection, key: Key, mode: str, spend: Spend, limits: Limits
) -> None:
    limits.overall.check(_earlier(connection), spend, "over all trainers")
    if limits.peer is not None:
        limits.peer.check(_earlier(connection, key.peer), spend, "for this trainer")
    last = connection.execute("SELECT seq, hash FROM spend ORDER BY seq DESC LIMIT 1").fetchone()
    at = connection.execute("SELECT strftime('%Y-%m-%dT%H:%M:%fZ')").fetchone()[0]
    row = Row.after(last, (at, key.dataset, key.peer, key.digest, mode), spend)
    marks = ", ".join("?" * len(row.values()))
    connection.execute(f"INSERT INTO spend VALUES ({marks})", row.values())


def _earlier(connection: sqlite3.Connection, peer: str | None = None) -> Sequence[Spend]:
    """What was spent so far, by one peer or by all: a total, and each run of DP-SGD."""
    where, values = ("WHERE peer = ?", (peer,)) if peer is not None else ("", ())
    records, rho, epsilon_minus = connection.execute(
        f"SELECT total(records), total(rho), total(epsilon_minus) FROM spend {where}", values
    ).fetchone()
    runs = connection.execute(f"SELECT sgd FROM spend {where}", values).fetchall()
    total = spend_of(int(records), rho, epsilon_minus, "")
    return [total, *(Spend(sgd=sgd_of(run)) for (run,) in runs if run)]


def _hand_over(connection: sqlite3.Connection, key: Key, listed: list[int]) -> Ids:
    seq = _charged(connection, key)
    rows = [(example, position, seq) for position, example in enumerate(listed)]
    try:
        connection.executemany("INSERT INTO disclosure VALUES (?, ?, ?)", rows)
    except sqlite3.IntegrityError as error:
        raise Refused("an example of this answer was handed over before") from error
    return _ids(_keep(connection, key, np.array(listed, "<i8").tobytes()))


def _keep(connection: sqlite3.Connection, key: Key, content: bytes) -> bytes:
    seq = _charged(connection, key)
    (chained,) = connection.execute("SELECT hash FROM spend WHERE seq = ?", (seq,)).fetchone()
    connection.execute(
        "INSERT INTO answer VALUES (?, ?, ?)", (seq, content, answer_hash(chained, content))
    )
    return content


def _disclosed(connection: sqlite3.Connection) -> Ids:
    rows = connection.execute("SELECT example FROM disclosure").fetchall()
    return np.array([row[0] for row in rows], dtype=np.int64)


def _ids(content: bytes) -> Ids:
    return np.frombuffer(content, "<i8").astype(np.int64)
