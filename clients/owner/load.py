"""The task, the records and the vault that an owner's file names."""

from __future__ import annotations

import grp
import os
from typing import TYPE_CHECKING

from clients.owner.file import OwnerFile
from mycroft_fl.errors import InputError
from mycroft_fl.files import socket_path
from mycroft_fl.inspection.misfits import all_misfits_told
from mycroft_fl.tasks.description import read_task

if TYPE_CHECKING:
    from clients.answering.private_records import PrivateRecords
    from clients.answering.vault import Vault
    from mycroft_fl.data.task import Task


def task_of(file: OwnerFile) -> Task:
    """Read the task that the owner's file names. `InputError` where it names none."""
    if file.task is None:
        raise InputError(
            'the owner\'s file names no task; add task = "task.json", from the trainer'
        )
    return read_task(file.task)


def records_of(file: OwnerFile, task: Task) -> PrivateRecords:
    """Read the owner's records, as the task's models take them. `InputError` on whatever does not fit."""
    from clients.answering.private_records import PrivateRecords
    from mycroft_fl.data.fitted import task_records

    if file.data is None:
        raise InputError(
            'the owner\'s file names no data; add dataset = { path = "...", label = "..." }'
        )
    with all_misfits_told(file.data, file.folder, task):
        return PrivateRecords.of(task_records(file.data, file.folder, task))


def check_trainers(file: OwnerFile) -> None:
    """Raise `InputError` unless somebody may ask, everybody who may has a key, and nobody is revoked."""
    if not file.policy.trainers:
        raise InputError(
            'nobody may ask; add [[trainers]] with name = "lab" and key = "trainer-lab.pub"'
        )
    nameless = [each.name for each in file.policy.trainers if each.key is None]
    if nameless:
        raise InputError(
            f"trainer '{nameless[0]}' has no key, so anybody could pass for it; "
            'add key = "trainer.pub", the file that it gave you'
        )
    admitted = file.admitted
    out = [each.name for each in file.policy.trainers if each not in admitted]
    if out:
        raise InputError(
            f"trainer '{out[0]}' is revoked, by its name or its key; take it out of owner.toml, or let "
            f"it ask again by `mycroft-fl owner readmit {file.folder} {out[0]}`"
        )


def check_socket(file: OwnerFile) -> int | None:
    """Check where the vault is to listen. Returns the group that may ask; None: its user alone.

    `InputError` on a path that no socket can have, or a group that the user is no member of.
    """
    socket_path(file.vault.socket)
    group = file.vault.group
    if not group:
        return None
    try:
        number = grp.getgrnam(group).gr_gid
    except KeyError:
        number = -1
    if number < 0 or not (os.geteuid() == 0 or number in {os.getegid(), *os.getgroups()}):
        raise InputError(
            f"vault.group is '{group}', of which the vault's user is no member; add it to the group, "
            "or leave group out"
        )
    return number


def open_vault(file: OwnerFile) -> Vault:
    """Open the owner's vault, with its records in memory. `InputError` on what is wrong with the file."""
    from clients.answering.vault import Vault, VaultStorage

    task = task_of(file)
    records = records_of(file, task)
    storage = VaultStorage(
        file.folder, file.ledger_head, str(file.ledger), witnesses=file.witnesses
    )
    return Vault(file.name, records, file.policy, storage, file.vault.device, task)
