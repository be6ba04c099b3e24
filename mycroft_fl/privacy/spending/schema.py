"""The ledger's tables, and the triggers that keep them append-only."""

from __future__ import annotations

from mycroft_fl.privacy.spending.identities import TABLE as IDENTITY

VERSION = 4
BEFORE_IDENTITIES = 3


def _append_only(table: str) -> tuple[str, ...]:
    return (
        f"""CREATE TRIGGER {table}_stays BEFORE DELETE ON {table}
            BEGIN SELECT RAISE (ABORT, 'what was entered cannot be taken back'); END""",
        f"""CREATE TRIGGER {table}_is_final BEFORE UPDATE ON {table}
            BEGIN SELECT RAISE (ABORT, 'what was entered cannot be changed'); END""",
    )


IDENTITIES = (*IDENTITY, *_append_only("identity"))
"""The tables that a ledger of version 3 lacks."""

SCHEMA = (
    """CREATE TABLE spend (
        seq INTEGER PRIMARY KEY, at TEXT NOT NULL,
        dataset TEXT NOT NULL, peer TEXT NOT NULL, digest TEXT NOT NULL, mode TEXT NOT NULL,
        records INTEGER NOT NULL CHECK (records >= 0), rho REAL NOT NULL CHECK (rho >= 0),
        epsilon_minus REAL NOT NULL CHECK (epsilon_minus >= 0), sgd TEXT NOT NULL,
        previous TEXT NOT NULL, hash TEXT NOT NULL,
        UNIQUE (dataset, peer, digest)
    ) STRICT""",
    # OR REPLACE deletes without asking the trigger above, unless a connection says otherwise.
    """CREATE TRIGGER spend_is_new BEFORE INSERT ON spend
        WHEN EXISTS (SELECT 1 FROM spend WHERE seq = NEW.seq
            OR (dataset = NEW.dataset AND peer = NEW.peer AND digest = NEW.digest))
        BEGIN SELECT RAISE (ABORT, 'what was entered cannot be changed'); END""",
    # Chained as well: an answer that vanished would be drawn anew, with other noise, for nothing.
    """CREATE TABLE answer (
        seq INTEGER PRIMARY KEY, spend INTEGER NOT NULL UNIQUE REFERENCES spend (seq),
        content BLOB NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL
    ) STRICT""",
    """CREATE TRIGGER answer_is_new BEFORE INSERT ON answer
        WHEN EXISTS (SELECT 1 FROM answer WHERE seq = NEW.seq OR spend = NEW.spend)
        BEGIN SELECT RAISE (ABORT, 'what was entered cannot be changed'); END""",
    """CREATE TABLE disclosure (
        example INTEGER PRIMARY KEY, position INTEGER NOT NULL,
        spend INTEGER NOT NULL REFERENCES spend (seq)
    ) STRICT""",
    """CREATE TRIGGER disclosure_is_new BEFORE INSERT ON disclosure
        WHEN EXISTS (SELECT 1 FROM disclosure WHERE example = NEW.example)
        BEGIN SELECT RAISE (ABORT, 'what was entered cannot be changed'); END""",
    """CREATE TABLE limits (
        seq INTEGER PRIMARY KEY, content TEXT NOT NULL,
        at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))
    ) STRICT""",
    *_append_only("spend"),
    *_append_only("answer"),
    *_append_only("disclosure"),
    *_append_only("limits"),
    *IDENTITIES,
)
