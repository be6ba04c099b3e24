"""A new owner's folder: its file, its keys, and what its trainers gave it. There whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from clients.owner.file import OwnerFile, load_owner_file
from mycroft_fl.errors import InputError
from mycroft_fl.files import folder_whole, remove_parts
from mycroft_fl.foreign_text import SAFE_NAME
from mycroft_fl.protocol.keys import KeyPair, PublicKey
from mycroft_fl.tasks.description import read_task

SUPERNODE_KEY = "supernode-key"
HEAD = """# Read by this owner's vault alone. `mycroft-fl owner check {folder}` says what it would share.
# All keys: docs/owners.md and docs/privacy.md.
"""


@dataclass(frozen=True)
class NewOwner:
    """The answers of a new owner about itself: `trainers` by name with the files of their keys."""

    name: str
    dataset: Mapping[str, Any]
    task: Path
    trainers: Mapping[str, Path]
    policy: Mapping[str, Any]
    vault: Mapping[str, Any] = field(default_factory=dict)


def set_up(folder: Path, owner: NewOwner) -> OwnerFile:
    """Make the folder, for its user alone. `InputError` on what is wrong; nothing is left then."""
    folder = folder.expanduser().absolute()
    if not SAFE_NAME.fullmatch(owner.name):
        raise InputError(
            f"name is '{owner.name}'; use 1 to 100 letters, digits, '-', '_' and '.', a letter or "
            "digit first"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there already; give a new or an empty folder")
    missing = [each for each in folder.parents if not each.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_parts(folder)
    try:
        with folder_whole(folder) as part:
            _fill(part, folder, owner)
            load_owner_file(part / "owner.toml")
    except BaseException:
        for each in missing:  # the innermost first
            each.rmdir()
        raise
    return load_owner_file(folder / "owner.toml")


def _fill(part: Path, folder: Path, owner: NewOwner) -> None:
    read_task(owner.task)
    shutil.copyfile(owner.task, part / "task.json")
    trainers = []
    for name, file in owner.trainers.items():
        if not SAFE_NAME.fullmatch(name):
            raise InputError(f"a trainer's name is '{name}'; use letters, digits, '-', '_' and '.'")
        key = PublicKey.load(file)
        (part / f"trainer-{name}.pub").write_text(key.text(name) + "\n", encoding="ascii")
        trainers.append({"name": name, "key": f"trainer-{name}.pub"})
    content = {
        "name": owner.name,
        "dataset": dict(owner.dataset),
        "task": "task.json",
        "policy": dict(owner.policy),
        "vault": dict(owner.vault),
        "trainers": trainers,
    }
    text = HEAD.format(folder=folder) + tomli_w.dumps(content)
    (part / "owner.toml").write_text(text, encoding="utf-8")
    vault = KeyPair.generate()
    vault.save(part / "vault.key")
    public = vault.public.text(owner.name) + "\n"
    (part / "vault.pub").write_text(public, encoding="ascii")
    write_supernode_key(part / SUPERNODE_KEY, owner.name)


def write_supernode_key(path: Path, comment: str) -> None:
    """Write a new ECDSA key pair as OpenSSH writes them, in `path` and `path`.pub.

    What `flower-supernode --auth-supernode-private-key` and `flwr supernode register` take.
    """
    key = ec.generate_private_key(ec.SECP384R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    place = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(place, "wb") as file:
        file.write(private)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    path.with_name(path.name + ".pub").write_bytes(public + f" {comment}\n".encode())
