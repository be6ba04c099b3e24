"""Steps inside one transaction of a ledger: look up, check, enter, hand over."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from mycroft_fl.errors import Refused
from mycroft_fl.privacy.noise.accounting import Spend
from mycroft_fl.privacy.spending.budget import Limits
from mycroft_fl.privacy.spending.chain import Links, Row, answer_hash, sgd_of
from mycroft_fl.privacy.spending.identities import peers_of

Ids = Int64[np.ndarray, " n"]


@dataclass(frozen=True)
class Key:
    """Names one answer: the data it is from, the trainer it went to, the request's whole content."""

    dataset: str
    peer: str
    digest: str


def seq_of(connection: sqlite3.Connection, key: Key) -> int | None:
    """Return the number of the charge for this answer; None if nothing was charged."""
    found = connection.execute(
        "SELECT seq FROM spend WHERE dataset = ? AND peer = ? AND digest = ?",
        (key.dataset, key.peer, key.digest),
    ).fetchone()
    return None if found is None else int(found[0])


def row_of(connection: sqlite3.Connection, seq: int) -> Row:
    """Return a charge by its number."""
    return Row(*connection.execute("SELECT * FROM spend WHERE seq = ?", (seq,)).fetchone())


def charged(connection: sqlite3.Connection, key: Key) -> int:
    """Return the number of the charge; `Refused` if nothing was charged."""
    seq = seq_of(connection, key)
    if seq is None:
        raise Refused("this request was never charged, so nothing may leave for it")
    return seq


def answer_of(connection: sqlite3.Connection, key: Key) -> bytes | None:
    """Return what answered; None where it is new, or was charged and never answered."""
    seq = seq_of(connection, key)
    found = connection.execute("SELECT content FROM answer WHERE spend = ?", (seq,)).fetchone()
    return None if found is None else bytes(found[0])


def enter(
    connection: sqlite3.Connection, key: Key, mode: str, spend: Spend, limits: Limits
) -> None:
    """Check every budget and enter the spend; `Refused` where one would be passed.

    Args:
        connection: inside a transaction.
        key: which answer is paid for.
        mode: of the answer.
        spend: its price.
        limits: the budgets in force.
    """
    limits.check(earlier_spends(connection), spends_of(connection, key.peer), spend)
    last = connection.execute("SELECT seq, hash FROM spend ORDER BY seq DESC LIMIT 1").fetchone()
    at = connection.execute("SELECT strftime('%Y-%m-%dT%H:%M:%fZ')").fetchone()[0]
    row = Row.after(last, (at, key.dataset, key.peer, key.digest, mode), spend)
    marks = ", ".join("?" * len(row.values()))
    connection.execute(f"INSERT INTO spend VALUES ({marks})", row.values())


def spends_of(connection: sqlite3.Connection, peer: str) -> Sequence[Spend]:
    """Return what a trainer has spent so far, by all the keys that it ever had."""
    return earlier_spends(connection, peers_of(connection, peer))


def earlier_spends(
    connection: sqlite3.Connection, peers: Sequence[str] | None = None
) -> Sequence[Spend]:
    """Return what was spent so far, by some keys or by all: a total, and each run of DP-SGD."""
    values = tuple(peers or ())
    where = "TRUE" if peers is None else f"peer IN ({', '.join('?' * len(values))})"
    requests, records, rho, epsilon_minus = connection.execute(
        "SELECT count(*), total(records), total(rho), total(epsilon_minus) FROM spend "
        f"WHERE {where}",
        values,
    ).fetchone()
    runs = connection.execute(
        f"SELECT sgd FROM spend WHERE {where} AND sgd != ''", values
    ).fetchall()
    total = Spend(int(records), rho, epsilon_minus, requests=requests)
    return [total, *(Spend(sgd=sgd_of(run), requests=0) for (run,) in runs)]


def hand_over(connection: sqlite3.Connection, key: Key, listed: list[int]) -> Ids:
    """Enter each example as disclosed, and keep their ids as the answer."""
    seq = charged(connection, key)
    rows = [(example, position, seq) for position, example in enumerate(listed)]
    try:
        connection.executemany("INSERT INTO disclosure VALUES (?, ?, ?)", rows)
    except sqlite3.IntegrityError as error:
        raise Refused("an example of this answer was handed over before") from error
    return ids_of(keep(connection, key, np.array(listed, "<i8").tobytes()))


def keep(connection: sqlite3.Connection, key: Key, content: bytes) -> bytes:
    """Keep the answer to a charged request, chained to the one before it."""
    seq = charged(connection, key)
    last = Links.of(connection)
    hash_ = answer_hash(last.answer_hash, row_of(connection, seq).hash, content)
    row = (last.answers + 1, seq, content, last.answer_hash, hash_)
    connection.execute("INSERT INTO answer VALUES (?, ?, ?, ?, ?)", row)
    return content


def handed_over_to(connection: sqlite3.Connection, peer: str) -> int:
    """Return how many examples were handed over to one trainer, by all the keys that it ever had."""
    peers = peers_of(connection, peer)
    counted = connection.execute(
        "SELECT count(*) FROM disclosure JOIN spend ON spend.seq = disclosure.spend "
        f"WHERE peer IN ({', '.join('?' * len(peers))})",
        peers,
    ).fetchone()
    return int(counted[0])


def disclosed_ids(connection: sqlite3.Connection) -> Ids:
    """Return the ids of all examples that were ever handed over."""
    rows = connection.execute("SELECT example FROM disclosure").fetchall()
    return np.array([row[0] for row in rows], dtype=np.int64)


def ids_of(content: bytes) -> Ids:
    """Return the ids that an answer of examples holds."""
    return np.frombuffer(content, "<i8").astype(np.int64)
