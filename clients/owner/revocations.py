"""The list of revoked trainers: revoked.json in an owner's folder, which only its own commands write.

A revoked name and key stay revoked though they be listed again, until `owner readmit`. A key that
was replaced stays out as well: it may be in the wrong hands.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mycroft_fl.errors import InputError
from mycroft_fl.files import write_whole

FILE = "revoked.json"
REVOKED, REPLACED = "revoked", "replaced"


@dataclass(frozen=True)
class Revocation:
    """A trainer's name and its key's fingerprint; `why` the two stay out, since `at`.

    Where the key was replaced the name goes on with another.
    """

    trainer: str
    key: str
    why: str
    at: str

    def concerns(self, name: str, key: str) -> bool:
        """Say whether it shuts out whoever has that name and key."""
        return self.key == key or (self.why == REVOKED and self.trainer == name)


def read_revocations(folder: Path) -> tuple[Revocation, ...]:
    """Read all that are in force. `InputError` where the file is not one that `write` made."""
    try:
        listed = json.loads((folder / FILE).read_text(encoding="utf-8"))
        found = tuple(Revocation(**each) for each in listed)
        if not all(isinstance(value, str) for each in found for value in vars(each).values()):
            raise ValueError
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{folder / FILE} is not the list of revoked trainers; bring it back from a copy"
        ) from error
    return found


def write_revocations(folder: Path, revoked: Sequence[Revocation]) -> None:
    """Replace the list, whole or not at all; durable when this returns."""
    write_whole(folder / FILE, json.dumps([asdict(each) for each in revoked], indent=1))
