"""The ledger's hash chain: each row names the one before it, and the last is known elsewhere too."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np

from mycroft_fl.claims import content_of
from mycroft_fl.errors import InputError
from mycroft_fl.files import locked, write_whole
from mycroft_fl.privacy.noise.accounting import SgdRun, Spend

BEGINNING = "0" * 64
MOST_HEAD = 1024
"""Bytes of a head: three numbers and three hashes."""


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
        """Return the row that follows `last`; `names` are when, dataset, peer, digest, mode."""
        seq, previous = (last[0] + 1, last[1]) if last else (1, BEGINNING)
        sgd = json.dumps(astuple(spend.sgd)) if spend.sgd else ""
        costs = (spend.records, float(spend.rho), float(spend.epsilon_minus), sgd)
        row = cls(seq, *names, *costs, previous)
        return replace(row, hash=row.computed_hash())

    @property
    def spend(self) -> Spend:
        """The spend that this row charged."""
        return spend_of(self.records, self.rho, self.epsilon_minus, self.sgd)

    def computed_hash(self) -> str:
        """Return SHA-256 of all the row says, the hash before it included."""
        content = json.dumps([*self.values()[:7], self.rho.hex(), self.epsilon_minus.hex()])
        rest = json.dumps([self.sgd, self.previous])
        return hashlib.sha256(f"{content}{rest}".encode()).hexdigest()

    def values(self) -> tuple:
        """Return the columns in order."""
        return tuple(vars(self).values())


def spend_of(records: int, rho: float, epsilon_minus: float, sgd: str) -> Spend:
    """Return a spend from the columns that hold it.

    Args:
        records: handed over as they are.
        rho: of zCDP.
        epsilon_minus: of drawn records.
        sgd: a run of DP-SGD as JSON, or empty.
    """
    return Spend(records, rho, epsilon_minus, sgd_of(sgd) if sgd else None)


def sgd_of(text: str) -> SgdRun:
    """Return a run of DP-SGD from its column."""
    return SgdRun(*json.loads(text))


def answer_hash(previous: str, spend_hash: str, content: bytes) -> str:
    """Tie an answer to the charge that paid for it and to the answer before it."""
    return hashlib.sha256(f"{previous}{spend_hash}".encode() + content).hexdigest()


def problems_of(connection: sqlite3.Connection) -> list[str]:
    """Find what does not add up in a ledger: rows changed, missing or out of order, answers likewise."""
    problems, previous = [], BEGINNING
    rows = [Row(*row) for row in connection.execute("SELECT * FROM spend ORDER BY seq")]
    for place, row in enumerate(rows, start=1):
        if row.seq != place or row.previous != previous:
            problems.append(f"entry {row.seq} does not follow the one before it")
        if row.hash != row.computed_hash():
            problems.append(f"entry {row.seq} was changed after it was made")
        previous = row.hash
    found, answers = _problems_of_answers(connection, {row.seq: row.hash for row in rows})
    return problems + found + _problems_of_disclosures(connection, answers)


def _problems_of_answers(
    connection: sqlite3.Connection, charged: dict[int, str]
) -> tuple[list[str], dict[int, bytes]]:
    """Find what is wrong with the chain of answers; and the answers, by the charge that paid for each."""
    problems, answers, last = [], {}, BEGINNING
    stored_answers = connection.execute(
        "SELECT seq, spend, content, previous, hash FROM answer ORDER BY seq"
    )
    for place, (seq, spend, content, previous, hash_) in enumerate(stored_answers, start=1):
        if seq != place or previous != last:
            problems.append(f"an answer before that to entry {spend} is missing")
        if hash_ != answer_hash(previous, charged.get(spend, ""), content):
            problems.append(f"the answer to entry {spend} was changed after it was made")
        answers[spend], last = content, hash_
    return problems, answers


def _problems_of_disclosures(
    connection: sqlite3.Connection, answers: dict[int, bytes]
) -> list[str]:
    """Find where the examples entered as handed over are not those of the answer they went out with."""
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


@dataclass(frozen=True, order=True)
class Links:
    """The last link of each chain: of charges, of answers, of who has which key. They only grow."""

    charges: int = 0
    answers: int = 0
    charge_hash: str = BEGINNING
    answer_hash: str = BEGINNING
    identities: int = 0
    identity_hash: str = BEGINNING

    @classmethod
    def of(cls, connection: sqlite3.Connection) -> Links:
        """Read the links of a ledger."""
        charges, charge_hash = connection.execute("SELECT max(seq), hash FROM spend").fetchone()
        answers, hash_ = connection.execute("SELECT max(seq), hash FROM answer").fetchone()
        known, last = connection.execute("SELECT max(seq), hash FROM identity").fetchone()
        return cls(
            charges or 0, answers or 0, charge_hash or BEGINNING, hash_ or BEGINNING,
            known or 0, last or BEGINNING,
        )  # fmt: skip


class Head:
    """The chains' last links in a file of its own: a ledger that lacks them is an older copy."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def locked(self) -> IO[str]:
        """Lock the file for one process at a time, until what this returns is closed."""
        return locked(self._path.with_suffix(".lock"))

    def check_never_begun(self, ledger: Path) -> None:
        """Raise `InputError` where entries are written down of a ledger that is not there."""
        if not self._path.exists():
            return
        links = self._read(ledger)
        if links > Links():
            raise InputError(
                f"{ledger} is not there, but {self._path} says that it has reached entry "
                f"{links.charges}: it was moved or taken away\nbring it back, or name it in owner.toml "
                "(ledger = ...); docs/owners.md says how a person begins a budget anew"
            )

    def begin(self) -> None:
        """Write down that nothing was entered yet, unless something is written already.

        Before the ledger is made, so that a head that is missing later was taken away. Call it
        locked.
        """
        if not self._path.exists():
            self._write(Links())

    def check(self, connection: sqlite3.Connection, ledger: Path) -> None:
        """Raise `InputError` where the ledger does not hold the links that were written down last."""
        links = self._read(ledger)
        for table, seq, hash_ in (
            ("spend", links.charges, links.charge_hash),
            ("answer", links.answers, links.answer_hash),
            ("identity", links.identities, links.identity_hash),
        ):
            found = connection.execute(f"SELECT hash FROM {table} WHERE seq = ?", (seq,)).fetchone()
            if seq and (found is None or found[0] != hash_):
                what = "entry" if table == "spend" else table
                raise InputError(
                    f"{ledger} is not the ledger that reached {what} {seq} by {self._path}: an older "
                    "copy was put in its place, or it was changed; bring the latest one back"
                )

    def advance(self, links: Links, ledger: Path) -> None:
        """Write the links down unless later ones already are; durable when this returns."""
        if self._read(ledger) >= links:
            return
        with self.locked():
            if self._read(ledger) < links:
                self._write(links)

    def _write(self, links: Links) -> None:
        write_whole(self._path, " ".join(map(str, astuple(links))) + "\n")

    def _read(self, ledger: Path) -> Links:
        if not self._path.exists():
            raise InputError(
                f"{self._path}, where the head of {ledger} is kept, is not there; name the right "
                "file (ledger-head, or --head), or bring it back: without it an older copy passes"
            )
        try:
            words = content_of(self._path, MOST_HEAD).decode("ascii").split()
        except (OSError, ValueError):
            words = []
        # Four of a ledger that knew no identities yet.
        numbers = [*words[:2], *words[4:5]]
        if len(words) not in (4, 6) or not all(each.isdigit() for each in numbers):
            raise InputError(f"{self._path} is no ledger's head; bring the right one back")
        known = (int(words[4]), words[5]) if len(words) == 6 else ()
        return Links(int(words[0]), int(words[1]), words[2], words[3], *known)
