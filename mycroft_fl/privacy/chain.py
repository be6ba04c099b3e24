"""The ledger's hash chain: each row names the one before it, and the last is known elsewhere too."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np

from mycroft_fl.errors import InputError
from mycroft_fl.privacy.accounting import SgdRun, Spend

BEGINNING = "0" * 64


@dataclass(frozen=True)
class Row:
    """One charge, as its table holds it. `sgd` is JSON, or empty."""

    seq: int
    at: str
    dataset: str
    peer: str
    digest: str
    mode: str
    records: int
    rho: float
    epsilon_minus: float
    sgd: str
    previous: str
    hash: str = ""

    @classmethod
    def after(
        cls, last: tuple[int, str] | None, names: tuple[str, str, str, str, str], spend: Spend
    ) -> Row:
        """The row that follows `last`; `names` are when, dataset, peer, digest, mode."""
        seq, previous = (last[0] + 1, last[1]) if last else (1, BEGINNING)
        sgd = json.dumps(astuple(spend.sgd)) if spend.sgd else ""
        costs = (spend.records, float(spend.rho), float(spend.epsilon_minus), sgd)
        row = cls(seq, *names, *costs, previous)
        return replace(row, hash=row.computed_hash())

    @property
    def spend(self) -> Spend:
        """What this row charged."""
        return spend_of(self.records, self.rho, self.epsilon_minus, self.sgd)

    def computed_hash(self) -> str:
        """SHA-256 of all the row says, the hash before it included."""
        content = json.dumps([*self.values()[:7], self.rho.hex(), self.epsilon_minus.hex()])
        rest = json.dumps([self.sgd, self.previous])
        return hashlib.sha256(f"{content}{rest}".encode()).hexdigest()

    def values(self) -> tuple:
        """The columns in order."""
        return tuple(vars(self).values())


def spend_of(records: int, rho: float, epsilon_minus: float, sgd: str) -> Spend:
    """A spend from the columns that hold it."""
    return Spend(records, rho, epsilon_minus, sgd_of(sgd) if sgd else None)


def sgd_of(text: str) -> SgdRun:
    """A run of DP-SGD from its column."""
    return SgdRun(*json.loads(text))


def answer_hash(spend_hash: str, content: bytes) -> str:
    """Ties an answer to the charge that paid for it."""
    return hashlib.sha256(spend_hash.encode() + content).hexdigest()


def problems_of(connection: sqlite3.Connection) -> list[str]:
    """What does not add up in a ledger: rows changed, missing or out of order, answers likewise."""
    problems, previous = [], BEGINNING
    rows = [Row(*row) for row in connection.execute("SELECT * FROM spend ORDER BY seq")]
    for place, row in enumerate(rows, start=1):
        if row.seq != place or row.previous != previous:
            problems.append(f"entry {row.seq} does not follow the one before it")
        if row.hash != row.computed_hash():
            problems.append(f"entry {row.seq} was changed after it was made")
        previous = row.hash
    by_seq = {row.seq: row for row in rows}
    answers = connection.execute("SELECT spend, content, hash FROM answer").fetchall()
    for seq, content, claimed in answers:
        row_of = by_seq.get(seq)
        if row_of is None or claimed != answer_hash(row_of.hash, content):
            problems.append(f"the answer to entry {seq} was changed after it was made")
    return problems + _problems_of_disclosures(connection, {a[0]: a[1] for a in answers})


def _problems_of_disclosures(
    connection: sqlite3.Connection, answers: dict[int, bytes]
) -> list[str]:
    """Where the examples entered as handed over are not those of the answer they went out with."""
    entered: dict[int, list[int]] = {}
    for seq, example in connection.execute(
        "SELECT spend, example FROM disclosure ORDER BY spend, position"
    ):
        entered.setdefault(seq, []).append(example)
    raw = connection.execute("SELECT seq FROM spend WHERE records > 0").fetchall()
    return [
        f"the examples of entry {seq} are not those of its answer"
        for seq in sorted({*entered, *(row[0] for row in raw)})
        if entered.get(seq, []) != np.frombuffer(answers.get(seq, b""), "<i8").tolist()
    ]


class Head:
    """The chain's last link in a file of its own: a ledger that lacks it is an older copy."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time."""
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def check(self, connection: sqlite3.Connection, ledger: Path) -> None:
        """`InputError` where the ledger does not hold the link that was written down last."""
        seq, hash_ = self._read()
        if seq == 0:
            return
        found = connection.execute("SELECT hash FROM spend WHERE seq = ?", (seq,)).fetchone()
        if found is None or found[0] != hash_:
            raise InputError(
                f"{ledger} is not the ledger that reached entry {seq} by {self._path}: an older copy "
                "was put in its place, or it was changed; bring the latest one back"
            )

    def advance(self, seq: int, hash_: str) -> None:
        """Write the link down unless a later one already is; durable when this returns."""
        with self.locked():
            if self._read()[0] >= seq:
                return
            whole = self._path.with_suffix(".head.part")
            with whole.open("w") as file:
                file.write(f"{seq} {hash_}\n")
                file.flush()
                os.fsync(file.fileno())
            whole.rename(self._path)

    def _read(self) -> tuple[int, str]:
        if not self._path.exists():
            return 0, BEGINNING
        seq, _, hash_ = self._path.read_text().strip().partition(" ")
        if not seq.isdigit():
            raise InputError(f"{self._path} is no ledger's head; bring the right one back")
        return int(seq), hash_
