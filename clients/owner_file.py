"""An owner's file, owner.toml: its data, its policy, who may ask, its vault. Read by the vault alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from clients.policy import Policy, TrainerLimits
from mycroft_fl.data.spec import DatasetSpec, read_spec
from mycroft_fl.errors import InputError
from mycroft_fl.keys import PublicKey
from mycroft_fl.strict_toml import Table

KEYS = ("name", "dataset", "task", "policy", "trainers", "ledger", "ledger-head", "vault")
TRAINER_KEYS = ("name", "key", "max-records", "epsilon", "epsilon-minus")
WITNESS = "ledger-witness"
VAULT_KEYS = ("socket", "group", "key", "max-megabytes", "seconds", "device", "threads")


@dataclass(frozen=True)
class VaultSettings:
    """How an owner's vault runs as a server.

    Whoever is of `group` may ask at `socket`; without one, the vault's own user alone. `key` is
    what it signs its answers with. A request has up to `max_megabytes` and is computed for up to
    `seconds`, on `device` by that many `threads`.
    """

    socket: Path
    key: Path
    group: str = ""
    max_megabytes: int = 256
    seconds: float = 600.0
    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class OwnerFile:
    """An owner's file, checked. Relative paths are taken from its folder."""

    name: str
    folder: Path
    data: DatasetSpec | None
    task: Path | None
    policy: Policy
    ledger: Path
    ledger_head: Path | None
    vault: VaultSettings

    @property
    def witnesses(self) -> tuple[Path, ...]:
        """Where else the ledger's last links are known: beside this file, and beside the vault's key."""
        places = [self.folder / WITNESS]
        beside_key = self.vault.key.with_name(f"{self.vault.key.name}.{WITNESS}")
        apart = beside_key.parent.resolve() != self.folder.resolve()
        if apart and os.access(beside_key.parent, os.W_OK):  # keys may be where nothing is written
            places.append(beside_key)
        return tuple(places)


def load_owner_file(path: Path) -> OwnerFile:
    """The owner's file at `path`. `InputError` on whatever is wrong with it."""
    path = path.absolute()
    table, base = Table.read(path, InputError), path.parent
    table.check_keys(KEYS)
    trainers = tuple(_trainer(each, base) for each in table.tables("trainers"))
    head, task = table.one("ledger-head", str, ""), table.one("task", str, "")
    return OwnerFile(
        name=table.one("name", str, base.name),
        folder=base,
        data=read_spec(table) if "dataset" in table.values else None,
        task=_below(base, task) if task else None,
        policy=Policy.from_table(table.table("policy").flat(), trainers),
        ledger=_below(base, table.one("ledger", str, "ledger.sqlite")),
        ledger_head=_below(base, head) if head else None,
        vault=_vault(table.table("vault"), base),
    )


def owner_file_text(name: str, policy: Policy) -> str:
    """An owner's file for a simulated owner, which has its data from the scenario."""
    import tomli_w

    return tomli_w.dumps({"name": name, "policy": policy.as_table()})


def _below(base: Path, name: str) -> Path:
    return base / Path(name).expanduser()


def _vault(table: Table, base: Path) -> VaultSettings:
    table.check_keys(VAULT_KEYS)
    settings = VaultSettings(
        socket=_below(base, table.one("socket", str, "vault.sock")),
        key=_below(base, table.one("key", str, "vault.key")),
        group=table.one("group", str, ""),
        max_megabytes=table.one("max-megabytes", int, 256),
        seconds=table.one("seconds", float, 600.0),
        device=table.one("device", str, "cpu"),
        threads=table.one("threads", int, 1),
    )
    if not 1 <= settings.max_megabytes <= 1024:
        raise table.wrong("max-megabytes", f"is {settings.max_megabytes}; give 1 to 1024")
    if not 1 <= settings.seconds <= 86400:
        raise table.wrong("seconds", f"is {settings.seconds:g}; give 1 to 86400")
    if settings.threads < 1:
        raise table.wrong("threads", f"is {settings.threads}; give a whole number of at least 1")
    return settings


def _trainer(table: Table, base: Path) -> TrainerLimits:
    table.check_keys(TRAINER_KEYS)
    records = table.one("max-records", int) if "max-records" in table.values else None
    key = PublicKey.load(_below(base, table.one("key", str))) if "key" in table.values else None
    numbers = {
        name.replace("-", "_"): table.one(name, float)
        for name in ("epsilon", "epsilon-minus")
        if name in table.values
    }
    return TrainerLimits(table.one("name", str), records, **numbers, key=key)
