"""An owner's file as it stands now: whoever serves a vault asks here before each answer."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from clients.owner.file import OwnerFile, load_owner_file
from mycroft_fl.errors import InputError

FIXED = {
    "name": "name", "data": "dataset", "task": "task", "ledger": "ledger",
    "ledger_head": "ledger-head", "vault": "[vault]",
}  # fmt: skip
"""The parts that a running vault has opened already, by their keys in owner.toml."""
MOST_READINGS = 10


class LiveFile:
    """An owner's file, read again where a byte of it, of a trainer's key or of revoked.json changed.

    Policy and trainers may change while a vault runs. What may not, or cannot be read, closes it
    until that is put right.
    """

    def __init__(self, file: OwnerFile) -> None:
        self._opened = self._file = file
        self._path = file.folder / "owner.toml"
        self._digest: bytes | None = None
        self._wrong: InputError | None = None

    def current(self) -> OwnerFile:
        """Give the file as it is now: the same object as long as nothing changed.

        `InputError` where it cannot be read, or says something that takes a restart.
        """
        for _ in range(MOST_READINGS):
            # As it was before it was read: a change in between shows on the next way round.
            digest = _digest_of(self._file.sources)
            if digest == self._digest and self._wrong is None:
                return self._file
            self._digest = digest
            self._read()
            if self._wrong is not None:
                raise self._wrong
        raise InputError("owner.toml changes all the time; nothing is answered until it rests")

    def _read(self) -> None:
        self._wrong = None
        try:
            file = load_owner_file(self._path)
            changed = [
                key for field, key in FIXED.items()
                if getattr(file, field) != getattr(self._opened, field)
            ]  # fmt: skip
            if changed:
                raise InputError(f"{', '.join(changed)} changed; restart the vault, or undo it")
            self._file = file
        except InputError as error:
            self._wrong = error


def _digest_of(sources: tuple[Path, ...]) -> bytes:
    """Digest all these files, read anew: a time stamp may stay the same."""
    hasher = hashlib.sha256()
    for each in sources:
        content = b"-"
        with suppress(OSError):
            content = b"+" + each.read_bytes()
        hasher.update(len(content).to_bytes(8, "big") + content)
    return hasher.digest()
