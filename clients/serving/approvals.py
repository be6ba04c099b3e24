"""The answers that wait for a person's consent, and what was decided, in files of the owner's own.

    approvals/ID/entry.json   who asked for what, when, and a digest of what would leave
    approvals/ID/page.html    exactly what would leave, to look at
    approvals/ID/decision     "approved" or "refused", written once

An entry is there whole or not at all, and a decision is final: what was approved may have left.
Where nobody decides for some days the entry lapses, which is final as well: no queue grows for ever.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np

from mycroft_fl.errors import InputError, Withheld
from mycroft_fl.examples import Examples
from mycroft_fl.files import folder_whole, private_folder, write_once
from mycroft_fl.privacy.spending.ledger import Key

Decision = Literal["approved", "refused"]
FOLDER = "approvals"
ID_LENGTH = 12


@dataclass(frozen=True)
class Entry:
    """A request that waits: `content` is the digest of the examples that would leave."""

    id: str
    trainer: str
    mode: str
    server_round: int
    count: int
    at: str
    content: str


class Approvals:
    """The folder of what waits and what was decided. What waits lapses after so many `days`."""

    def __init__(self, owner_folder: Path, days: int = 14) -> None:
        self.folder, self._days = owner_folder / FOLDER, days

    def require(
        self,
        key: Key,
        entry: Callable[[str, str], Entry],
        examples: Examples,
        page: Callable[[], str],
    ) -> None:
        """Let `examples` pass if a person agreed to exactly them; else `Withheld`.

        What is asked for the first time is written down with its `page`, by `entry(id, content)`.
        """
        at, content = self.folder / entry_id(key), content_digest(examples)
        if not at.is_dir():
            self._write(at, entry(at.name, content), page())
        decision = self.decision(at.name)
        if decision is None:
            lapsed = self._has_lapsed(self._entry(at))
            raise Withheld(f"{at.name} {'has lapsed' if lapsed else 'waits for consent'}")
        if decision == "refused":
            raise Withheld(f"a person refused {at.name}")
        if self._entry(at).content != content:
            raise Withheld(f"the data has changed since a person agreed to {at.name}")

    def pending(self) -> list[Entry]:
        """List what waits for a decision, oldest first."""
        return [
            each
            for each in self.entries()
            if self.decision(each.id) is None and not self._has_lapsed(each)
        ]

    def entries(self) -> list[Entry]:
        """List all that ever waited, oldest first."""
        # A folder whose name begins with a dot was never finished.
        folders = self.folder.glob("[!.]*/entry.json") if self.folder.is_dir() else ()
        return sorted((self._entry(each.parent) for each in folders), key=lambda each: each.at)

    def decision(self, id: str) -> Decision | None:
        """Say what was decided; None as long as nothing was."""
        try:
            said = (self.folder / id / "decision").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        # Half of "approved" is no consent.
        return "approved" if said == "approved" else "refused"

    def decide(self, id: str, decision: Decision) -> Entry:
        """Decide what waits under that id, or under the only one that begins so. `InputError` else."""
        found = [each for each in self.entries() if each.id.startswith(id)]
        if len(found) != 1:
            known = ", ".join(each.id for each in self.pending()) or "nothing"
            raise InputError(f"'{id}' names {len(found)} requests; waiting: {known}")
        if self.decision(found[0].id) is None and self._has_lapsed(found[0]):
            raise InputError(
                f"{found[0].id} has waited for more than {self._days} days and has lapsed; that is final"
            )
        path = self.folder / found[0].id / "decision"
        try:
            write_once(path, decision)
        except FileExistsError as error:
            raise InputError(
                f"{found[0].id} was {self.decision(found[0].id)} before; that is final"
            ) from error
        return found[0]

    def page(self, id: str) -> Path:
        """Make the page that shows exactly what would leave."""
        return self.folder / id / "page.html"

    def _has_lapsed(self, entry: Entry) -> bool:
        return datetime.fromisoformat(entry.at) + timedelta(days=self._days) < datetime.now(UTC)

    def _write(self, at: Path, entry: Entry, page: str) -> None:
        private_folder(self.folder)
        try:
            with folder_whole(at) as part:
                (part / "page.html").write_text(page, encoding="utf-8")
                (part / "entry.json").write_text(json.dumps(asdict(entry)), encoding="utf-8")
        except OSError:
            # Another process may have written the same meanwhile.
            if not at.is_dir():
                raise

    @staticmethod
    def _entry(at: Path) -> Entry:
        return Entry(**json.loads((at / "entry.json").read_text(encoding="utf-8")))


def entry_id(key: Key) -> str:
    """Name a request to people: short, and the same whenever it is asked again."""
    whole = "\n".join((key.dataset, key.peer, key.digest))
    return hashlib.sha256(whole.encode()).hexdigest()[:ID_LENGTH]


def content_digest(examples: Examples) -> str:
    """Digest exactly these examples, labels and order included."""
    hasher = hashlib.sha256(f"{examples.x.dtype.str}{examples.x.shape}".encode())
    hasher.update(np.ascontiguousarray(examples.x).tobytes())
    hasher.update(np.ascontiguousarray(examples.y).tobytes())
    return hasher.hexdigest()


def now() -> str:
    """Give the time as it stands in an entry."""
    return datetime.now(UTC).isoformat(timespec="seconds")
