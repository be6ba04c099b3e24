"""An owner's word on its trainers: revoked, let in again, or known by another key from now on."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from clients.answering.trainer_limits import TrainerLimits
from clients.owner.file import OwnerFile
from clients.owner.lock import leaving
from clients.owner.revocations import REPLACED, REVOKED, Revocation, write_revocations
from mycroft_fl.errors import InputError
from mycroft_fl.files import write_whole
from mycroft_fl.privacy.spending.ledger import PrivacyLedger
from mycroft_fl.protocol.keys import PublicKey


def revoke(file: OwnerFile, name: str) -> bool:
    """Answer a trainer no more, from the moment that this returns; whether owner.toml names it not.

    What is queued or being computed for it does not leave either. `InputError` where nobody is
    called so. Its entry is taken out of owner.toml, if that can be done without touching the rest.
    """
    listed = _listed(file, name)
    with leaving(file.folder, shut=True):
        write_revocations(file.folder, (*file.revoked, _out(listed, REVOKED)))
    return _taken_out(file.folder / "owner.toml", name)


def readmit(file: OwnerFile, name: str) -> list[str]:
    """Let a revoked trainer ask again, once owner.toml lists it; the fingerprints of its keys.

    A key that was replaced stays out. `InputError` where nobody of that name is revoked.
    """
    found = [each for each in file.revoked if each.trainer == name and each.why == REVOKED]
    if not found:
        names = sorted({each.trainer for each in file.revoked if each.why == REVOKED})
        raise InputError(f"no trainer '{name}' is revoked; revoked: {', '.join(names) or 'nobody'}")
    write_revocations(file.folder, [each for each in file.revoked if each not in found])
    return [each.key for each in found]


def rotate(file: OwnerFile, name: str, key: PublicKey) -> None:
    """Know a trainer by another key from now on; the earlier one is out, the budget goes on.

    `InputError` where the key is in use, was replaced or revoked, or the trainer's own stands in no
    file that can be written.
    """
    listed = _listed(file, name)
    for each in file.policy.trainers:
        if each.key == key:
            raise InputError(f"this is the key of '{each.name}' already; give the new one")
    if any(each.key == key.fingerprint for each in file.revoked):
        raise InputError(
            f"the key {key.fingerprint} is revoked or was replaced before; ask for a new one"
        )
    if file.ledger.is_file():
        book = PrivacyLedger(file.ledger, file.ledger_head)
        book.note_identities([(name, listed.peer), (name, key.fingerprint)])
    place = _key_file(file, name)
    with leaving(file.folder, shut=True):
        write_revocations(file.folder, (*file.revoked, _out(listed, REPLACED)))
        _replace(place, (key.text(name) + "\n").encode("ascii"))


def _listed(file: OwnerFile, name: str) -> TrainerLimits:
    found = next((each for each in file.policy.trainers if each.name == name), None)
    if found is None or found.key is None:
        names = ", ".join(each.name for each in file.policy.trainers) or "nobody"
        raise InputError(f"no trainer '{name}' with a key is listed; listed: {names}")
    return found


def _out(listed: TrainerLimits, why: str) -> Revocation:
    return Revocation(
        listed.name, listed.peer, why, datetime.now(UTC).isoformat(timespec="seconds")
    )


def _key_file(file: OwnerFile, name: str) -> Path:
    listed = tomllib.loads((file.folder / "owner.toml").read_text(encoding="utf-8"))["trainers"]
    named = next(each["key"] for each in listed if each["name"] == name)
    return file.folder / Path(named).expanduser()


def _taken_out(path: Path, name: str) -> bool:
    """Take a trainer's table out of owner.toml, all else left as it stands; whether that was done.

    Checked by what the file says before and after: where a trainer is written otherwise than as a
    table [[trainers]] or on a line of its own, a person has to do it.
    """
    text = path.read_text(encoding="utf-8")
    before = tomllib.loads(text)
    wanted = {**before, "trainers": [t for t in before["trainers"] if t["name"] != name]}
    for start, end in (*_tables(text), *_lines(text)):
        shorter = text[:start] + text[end:]
        try:
            after = tomllib.loads(shorter)
        except tomllib.TOMLDecodeError:
            continue
        if {**after, "trainers": after.get("trainers", [])} == wanted:
            _replace(path, shorter.encode("utf-8"))
            return True
    return False


def _tables(text: str) -> Iterator[tuple[int, int]]:
    """Find from where to where each [[trainers]] stands, with what follows up to the next table."""
    place, begins = 0, None
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith("["):
            if begins is not None:
                yield begins, place
            begins = place if line.split("#")[0].split() == ["[[trainers]]"] else None
        place += len(line)
    if begins is not None:
        yield begins, place


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Find from where to where each line stands: of `trainers = [...]`, one trainer to a line."""
    place = 0
    for line in text.splitlines(keepends=True):
        yield place, place + len(line)
        place += len(line)


def _replace(path: Path, content: bytes) -> None:
    """Put another content in the file's place, whole or not at all, with the mode that it had."""
    mode = path.stat().st_mode & 0o777
    write_whole(path, content)
    path.chmod(mode)
