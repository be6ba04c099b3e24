"""The ledger: what an owner has given away and what it cost, charged before anything leaves.

One SQLite file an owner, safe for several processes at once. A charge is durable when it returns;
the noise is drawn after it, the answer's bytes are kept, and asking the same again returns them and
costs nothing. Nothing is ever refunded. Rows are append-only and chained by hash; the chain's head
is kept in a file elsewhere, so that an older copy of the ledger does not pass for the latest.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from mycroft_fl.errors import InputError, Refused
from mycroft_fl.files import PRIVATE_FILE
from mycroft_fl.privacy.noise.accounting import Spend
from mycroft_fl.privacy.spending.budget import Limits
from mycroft_fl.privacy.spending.chain import Links, Row, problems_of
from mycroft_fl.privacy.spending.entries import (
    Ids,
    Key,
    answer_of,
    charged,
    disclosed_ids,
    earlier_spends,
    enter,
    hand_over,
    handed_over_to,
    ids_of,
    keep,
    row_of,
    seq_of,
    spends_of,
)
from mycroft_fl.privacy.spending.identities import enter_identity, peers_of, problems_of_identities
from mycroft_fl.privacy.spending.schema import BEFORE_IDENTITIES, IDENTITIES, SCHEMA, VERSION
from mycroft_fl.privacy.spending.witness import Heads

__all__ = ["Ids", "Key", "PrivacyLedger"]

NOTHING_FOUND = 1
"""Records that an answer without examples is charged: that nothing was chosen says something of all."""


class PrivacyLedger:
    """One owner's ledger. `head` is where the chains' head is kept; else beside the file.

    `witnesses` are files that know its last links too, wherever it and its head are said to lie.

    `InputError` where the file is no ledger, is behind its head, or does not add up: what was spent
    is read from its rows, so a changed one would buy what was sold already. `examined` False leaves
    the last to `problems`, for whoever wants to read on.
    """

    def __init__(
        self,
        path: Path,
        head: Path | None = None,
        *,
        examined: bool = True,
        witnesses: Sequence[Path] = (),
    ) -> None:
        self._path = path
        self._head = Heads(head or path.with_suffix(".head"), witnesses)
        with self._head.locked():
            self._create()
        with self._reading() as connection:
            self._head.check(connection, self._path)
            links = Links.of(connection)
        if examined and (found := self.problems()):
            raise InputError(
                f"{path} does not add up: {'; '.join(found[:3])}; bring the latest whole one back"
            )
        if examined:
            # Not of one that was only looked at: what does not add up must not pass for the latest.
            self._head.advance(links, self._path)

    def disclosed(self) -> Ids:
        """Return the ids of all examples that were ever handed over."""
        with self._reading() as connection:
            return disclosed_ids(connection)

    def recall(self, key: Key) -> bytes | None:
        """Return what answered this request; None if it is new, or was charged and never answered."""
        with self._reading() as connection:
            self._head.check(connection, self._path)
            content, links = answer_of(connection, key), Links.of(connection)
        # Whoever entered it may have died before the head knew, and now it leaves.
        self._head.advance(links, self._path)
        return content

    def recall_ids(self, key: Key) -> Ids | None:
        """Return the ids of the examples that answered this request, in order; None as in `recall`."""
        content = self.recall(key)
        return None if content is None else ids_of(content)

    def require(self, key: Key, spend: Spend, limits: Limits) -> None:
        """Raise `Refused` where `spend` would pass a limit now; enters nothing.

        For whoever is about to compute: a refusal must come before any look at the data.
        """
        with self._reading() as connection:
            if seq_of(connection, key) is None:
                by_peer = spends_of(connection, key.peer)
                limits.check(earlier_spends(connection), by_peer, spend)

    def records_left(self, peer: str, limits: Limits) -> int | None:
        """Return how many more records this trainer may be given; None: any number. `Refused` at none."""
        with self._reading() as connection:
            return limits.records_left(earlier_spends(connection), spends_of(connection, peer))

    def handed_over(self, peer: str) -> int:
        """Return how many examples this trainer was given in all."""
        with self._reading() as connection:
            return handed_over_to(connection, peer)

    def charge(self, key: Key, mode: str, spend: Spend, limits: Limits) -> None:
        """Enter what an answer costs, once for each key; durable when this returns.

        `Refused` where it would pass a limit: nothing is charged then. `Refused` as well where the
        request was charged before at another price and never answered: the owner's file has changed
        since, and the new noise is not what was paid for.

        Args:
            key: which answer is paid for.
            mode: of the answer.
            spend: its price.
            limits: the budgets in force.
        """
        with self._writing() as connection:
            seq = seq_of(connection, key)
            if seq is None:
                enter(connection, key, mode, spend, limits)
            elif row_of(connection, seq).spend != spend and answer_of(connection, key) is None:
                raise Refused("this request was charged at another price; ask anew")

    def store(self, key: Key, content: bytes) -> bytes:
        """Keep the answer to a charged request; what this returns may leave, and nothing else.

        If another process stored one first, that is the answer.
        """
        with self._writing() as connection:
            earlier = answer_of(connection, key)
            return keep(connection, key, content) if earlier is None else earlier

    def disclose(self, key: Key, ids: Ids, limits: Limits, *, mode: str = "raw") -> Ids:
        """Charge examples that were already chosen; what this returns may leave, and nothing else.

        If another process answered the same request first, its answer is returned and nothing is
        charged. `Refused` above a limit, or for an example that was handed over before. An answer
        without examples costs `NOTHING_FOUND`.

        Args:
            key: which answer is paid for.
            ids: of the examples, in order.
            limits: the budgets in force.
            mode: of the answer.
        """
        with self._writing() as connection:
            earlier = answer_of(connection, key)
            if earlier is not None:
                return ids_of(earlier)
            listed = [int(each) for each in ids]
            enter(connection, key, mode, Spend(records=len(listed) or NOTHING_FOUND), limits)
            return hand_over(connection, key, listed)

    def draw(self, key: Key, choose: Callable[[Ids], Ids]) -> Ids:
        """Choose examples for a charged request, knowing the ids that were ever handed over.

        No more than were charged; the choice and its entry are one transaction.
        """
        with self._writing() as connection:
            earlier = answer_of(connection, key)
            if earlier is not None:
                return ids_of(earlier)
            listed = [int(each) for each in choose(disclosed_ids(connection))]
            paid = connection.execute(
                "SELECT records FROM spend WHERE seq = ?", (charged(connection, key),)
            ).fetchone()[0]
            if len(listed) > paid:
                raise Refused(f"{len(listed)} records were drawn, {paid} are paid for")
            return hand_over(connection, key, listed)

    def note_limits(self, content: str) -> None:
        """Remember the limits in force, as JSON, for whoever reads the ledger later."""
        with self._writing() as connection:
            last = connection.execute("SELECT content FROM limits ORDER BY seq DESC").fetchone()
            if last is None or last[0] != content:
                connection.execute("INSERT INTO limits (content) VALUES (?)", (content,))

    def note_identities(self, trainers: Iterable[tuple[str, str]]) -> None:
        """Remember for ever that a trainer of that name has the key of that fingerprint.

        Budgets for one trainer are over all its keys and names from then on, see `peers_of`.
        """
        with self._writing() as connection:
            for name, peer in trainers:
                enter_identity(connection, name, peer)

    def peers_of(self, peer: str) -> frozenset[str]:
        """Return all keys that the trainer with this one ever had, by their fingerprints."""
        with self._reading() as connection:
            return frozenset(peers_of(connection, peer))

    def asked_since(self, peer: str, modes: Collection[str], day: str) -> int:
        """Return how many requests of these modes a trainer was charged for since `day` (UTC, ISO 8601)."""
        with self._reading() as connection:
            peers, named = peers_of(connection, peer), list(modes)
            found = connection.execute(
                f"SELECT count(*) FROM spend WHERE at >= ? AND peer IN ({_marks(peers)}) "
                f"AND mode IN ({_marks(named)})",
                (day, *peers, *named),
            ).fetchone()
        return int(found[0])

    def rows(self) -> list[Row]:
        """Return all that was ever charged, in order."""
        with self._reading() as connection:
            return [Row(*row) for row in connection.execute("SELECT * FROM spend ORDER BY seq")]

    def row(self, key: Key) -> Row | None:
        """Return the charge for one answer; None where there was none."""
        with self._reading() as connection:
            seq = seq_of(connection, key)
            return None if seq is None else row_of(connection, seq)

    def limits(self) -> str | None:
        """Return the limits noted last."""
        with self._reading() as connection:
            last = connection.execute("SELECT content FROM limits ORDER BY seq DESC").fetchone()
        return None if last is None else str(last[0])

    def problems(self) -> list[str]:
        """Return what is wrong with the chain and with what hangs on it; nothing where all is well."""
        with self._reading() as connection:
            return problems_of(connection) + problems_of_identities(connection)

    def _create(self) -> None:
        if not self._path.exists():
            self._head.begin(self._path)
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT, PRIVATE_FILE))
        try:
            with closing(self._connect()) as connection:
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
                if version == 0 and not tables:
                    _make(connection, ("PRAGMA journal_mode = WAL",), SCHEMA)
                elif version == BEFORE_IDENTITIES:
                    _make(connection, (), IDENTITIES)
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
        """Yield a connection for one transaction: committed and durable, or rolled back."""
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._head.check(connection, self._path)
                yield connection
                links = Links.of(connection)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        # After the commit: a head that is behind is caught up, one that is ahead is an alarm.
        self._head.advance(links, self._path)


def _make(connection: sqlite3.Connection, before: Iterable[str], statements: Iterable[str]) -> None:
    """Make tables, all or none of them; what makes a ledger of this version of an older one."""
    for statement in before:
        connection.execute(statement)
    connection.execute("BEGIN IMMEDIATE")
    for statement in statements:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _marks(values: Collection[str]) -> str:
    return ", ".join("?" * len(values))
