"""A trainer's folder: its keys, its SuperLink's certificates, the owners it has admitted, its runs.

trainer.toml                name, and where the SuperLink listens
trainer.key, trainer.pub    the trainer's own key: owners list the public half
certs/                      ca.crt is for owners; ca.key, server.crt, server.key stay here
owners/NAME/                vault.pub, supernode.pub, node.json: who may take part
flower/                     FLWR_HOME of Flower's commands, and the commands themselves
superlink/                  the SuperLink's database, log and private socket
task.json                   what owners fit their data to
look/                       what owners showed of their data when they were looked at last
runs/                       a folder each
"""

from __future__ import annotations

import json
import shutil
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from mycroft_fl.errors import InputError
from mycroft_fl.files import folder_whole, remove_parts
from mycroft_fl.foreign_text import SAFE_NAME
from mycroft_fl.protocol.keys import KeyPair, PublicKey
from mycroft_fl.settings.toml_table import TomlTable
from strategies.deployment.certificates import certify, make_authority
from strategies.link.private import connection

FILE, KEY, PUBLIC = "trainer.toml", "trainer.key", "trainer.pub"
TASK = "task.json"
CONNECTION = "owners"  # the SuperLink's name in Flower's own configuration
DEFAULT_PORT = 9092


@dataclass(frozen=True)
class AdmittedOwner:
    """An owner that may take part: its vault's key, and the id of its SuperNode."""

    name: str
    vault: PublicKey
    node: int


@dataclass(frozen=True)
class TrainerFolder:
    """A trainer's folder. `host` is by what owners reach the SuperLink, which listens at `listen`."""

    path: Path
    name: str
    host: str
    port: int
    listen: str

    @classmethod
    def load(cls, path: Path) -> TrainerFolder:
        """Load the folder at `path`. `InputError` where it is none."""
        path = path.expanduser().absolute()
        if not (path / FILE).is_file():
            raise InputError(f"{path} is no trainer's folder; `mycroft-fl trainer init` makes one")
        table = TomlTable.read(path / FILE, InputError)
        table.check_keys(("name", "host", "port", "listen"))
        port = table.one("port", int, DEFAULT_PORT)
        if not 1 <= port <= 65535:
            raise table.wrong("port", f"is {port}; give 1 to 65535")
        return cls(
            path, table.one("name", str), table.one("host", str), port,
            table.one("listen", str, "127.0.0.1"),
        )  # fmt: skip

    @property
    def certs(self) -> Path:
        """The certificates."""
        return self.path / "certs"

    @property
    def flower_home(self) -> Path:
        """FLWR_HOME of Flower's commands."""
        return self.path / "flower"

    @property
    def superlink(self) -> Path:
        """The SuperLink's own files."""
        return self.path / "superlink"

    @property
    def door(self) -> Path:
        """Where the SuperLink serves its own user, see strategies/link."""
        return self.superlink / "api.sock"

    @property
    def runs(self) -> Path:
        """The runs, a folder each."""
        return self.path / "runs"

    @property
    def key(self) -> KeyPair:
        """The trainer's private key."""
        return KeyPair.load(self.path / KEY)

    def owners(self) -> dict[str, AdmittedOwner]:
        """List everybody who may take part, by name. `InputError` on a file that is damaged."""
        admitted = {}
        # A folder whose name begins with a dot was never finished.
        for folder in sorted((self.path / "owners").glob("[!.]*")):
            try:
                node = int(json.loads((folder / "node.json").read_text())["node"])
            except (OSError, ValueError, LookupError, TypeError) as error:
                raise InputError(f"{folder} is no admitted owner; admit it again") from error
            vault = PublicKey.load(folder / "vault.pub")
            admitted[folder.name] = AdmittedOwner(folder.name, vault, node)
        return admitted

    def add_owner(self, owner: AdmittedOwner, supernode: Path) -> None:
        """Remember an owner; of one that is there already, the new keys."""
        folder = self.path / "owners" / owner.name
        remove_parts(folder)
        with folder_whole(folder, replace=True) as part:
            (part / "vault.pub").write_text(owner.vault.text(owner.name) + "\n", encoding="ascii")
            shutil.copyfile(supernode, part / "supernode.pub")
            (part / "node.json").write_text(json.dumps({"node": str(owner.node)}))

    def remove_owner(self, name: str) -> None:
        """Forget an owner."""
        shutil.rmtree(self.path / "owners" / name, ignore_errors=True)


def address_of(host: str) -> str:
    """Find this machine's address by which `host` reaches it. `InputError` where it has none of these."""
    try:
        found = {each[4][0] for each in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise InputError(f"no address is known of the host {host}; give `--listen` one") from error
    for address in sorted(map(str, found), key=lambda each: ":" in each):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe, suppress(OSError):
            probe.bind((address, 0))
            return address
    raise InputError(
        f"{host} is at {', '.join(sorted(map(str, found)))}, which is not this machine; give `--listen` the "
        "address of this machine at which what is sent there arrives"
    )


def make_trainer(path: Path, name: str, host: str, *, port: int, listen: str) -> TrainerFolder:
    """Make a trainer's folder, for its user alone. `InputError` on what is wrong; nothing is left then."""
    path = path.expanduser().absolute()
    if not SAFE_NAME.fullmatch(name):
        raise InputError(f"name is '{name}'; use 1 to 100 letters, digits, '-', '_' and '.'")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path} is there already; give a new or an empty folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_parts(path)
    with folder_whole(path) as part:
        _fill(part, {"name": name, "host": host, "port": port, "listen": listen})
    return TrainerFolder.load(path)


def _fill(part: Path, content: dict[str, Any]) -> None:
    """Write what a trainer's folder holds into `part`."""
    for each in ("certs", "owners", "flower", "superlink", "runs"):
        (part / each).mkdir()
    (part / FILE).write_text(tomli_w.dumps(content), encoding="utf-8")
    TrainerFolder.load(part)
    key = KeyPair.generate()
    key.save(part / KEY)
    (part / PUBLIC).write_text(key.public.text(content["name"]) + "\n", encoding="ascii")
    make_authority(part / "certs", content["name"])
    certify(part / "certs", [content["host"]])
    (part / "flower" / "config.toml").write_text(connection(CONNECTION), encoding="utf-8")
