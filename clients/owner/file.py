"""An owner's file, owner.toml: its data, its policy, who may ask, its vault. Read by the vault alone."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clients.answering.policy import Policy
from clients.answering.trainer_limits import TrainerLimits
from clients.owner.quotas import Quotas
from clients.owner.revocations import FILE as REVOKED_FILE
from clients.owner.revocations import Revocation, read_revocations
from mycroft_fl.data.formats.spec import DatasetSpec, read_spec
from mycroft_fl.errors import InputError, Problems
from mycroft_fl.protocol.keys import PublicKey
from mycroft_fl.settings.toml_table import TomlTable

KEYS = ("name", "dataset", "task", "policy", "trainers", "ledger", "ledger-head", "vault")
TRAINER_KEYS = ("name", "key", "max-records", "max-requests", "epsilon", "epsilon-minus")
QUOTA_KEYS = {
    "requests": int, "connections": int, "seconds-per-hour": float, "waiting": int,
    "waiting-days": int,
}  # fmt: skip
DEVICES = ("auto", "cpu", "cuda")
VAULT_KEYS = (
    "socket", "group", "key", "max-megabytes", "seconds", "device", "threads", *QUOTA_KEYS,
)  # fmt: skip
WITNESS = "ledger-witness"


@dataclass(frozen=True)
class VaultSettings:
    """How an owner's vault runs as a server.

    Whoever is of `group` may ask at `socket`; without one, the vault's own user alone. `key` is
    what it signs its answers with. A request has up to `max_megabytes` and is computed for up to
    `seconds`, on `device` by that many `threads`. `quotas` are each trainer's.
    """

    socket: Path
    key: Path
    group: str = ""
    max_megabytes: int = 256
    seconds: float = 600.0
    device: str = "cpu"
    threads: int = 1
    quotas: Quotas = field(default_factory=Quotas)


@dataclass(frozen=True)
class OwnerFile:
    """An owner's file, checked. Relative paths are taken from its folder.

    `revoked` are the trainers that are out, whatever the file lists; `sources` are the files in
    which all of it stood.
    """

    name: str
    folder: Path
    data: DatasetSpec | None
    task: Path | None
    policy: Policy
    ledger: Path
    ledger_head: Path | None
    vault: VaultSettings
    revoked: tuple[Revocation, ...] = ()
    sources: tuple[Path, ...] = ()

    @property
    def admitted(self) -> tuple[TrainerLimits, ...]:
        """The trainers that are listed with a key and not revoked."""
        return tuple(
            each
            for each in self.policy.trainers
            if each.key is not None
            and not any(out.concerns(each.name, each.peer) for out in self.revoked)
        )

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
    """Read the owner's file at `path`. `InputError` on whatever is wrong with it."""
    path = path.absolute()
    table, base = TomlTable.read(path, InputError), path.parent
    problems = Problems()
    with problems.noted():
        table.check_keys(KEYS)
    trainers = _trainers(table, base, problems)
    data, policy, vault = None, Policy(), None
    with problems.noted():
        data = read_spec(table) if "dataset" in table.values else None
    with problems.noted():
        policy = Policy.from_table(table.table("policy").flat(), trainers)
    with problems.noted():
        vault = _vault(table.table("vault"), base)
    problems.check()
    assert vault is not None  # or it would be among the problems
    listed = table.tables("trainers")
    keys = [_below(base, each.one("key", str)) for each in listed if "key" in each.values]
    head, task = table.one("ledger-head", str, ""), table.one("task", str, "")
    return OwnerFile(
        name=table.one("name", str, base.name),
        folder=base,
        data=data,
        task=_below(base, task) if task else None,
        policy=policy,
        ledger=_below(base, table.one("ledger", str, "ledger.sqlite")),
        ledger_head=_below(base, head) if head else None,
        vault=vault,
        revoked=read_revocations(base),
        sources=(path, base / REVOKED_FILE, *keys),
    )


def owner_file_text(name: str, policy: Policy) -> str:
    """Write an owner's file for a simulated owner, which has its data from the scenario."""
    import tomli_w

    return tomli_w.dumps({"name": name, "policy": policy.as_table()})


def _below(base: Path, name: str) -> Path:
    return base / Path(name).expanduser()


def _trainers(table: TomlTable, base: Path, problems: Problems) -> tuple[TrainerLimits, ...]:
    """Read who may ask; what is wrong with one hides nothing of what is wrong with another."""
    found: list[TrainerLimits] = []
    with problems.noted():
        for each in table.tables("trainers"):
            with problems.noted():
                found.append(_trainer(each, base))
        _check_told_apart(tuple(found))
    return tuple(found)


def _vault(table: TomlTable, base: Path) -> VaultSettings:
    problems = Problems()
    with problems.noted():
        table.check_keys(VAULT_KEYS)
    settings = VaultSettings(
        socket=_below(base, table.one("socket", str, "vault.sock")),
        key=_below(base, table.one("key", str, "vault.key")),
        group=table.one("group", str, ""),
        max_megabytes=table.one("max-megabytes", int, 256),
        seconds=table.one("seconds", float, 600.0),
        device=table.one("device", str, "cpu"),
        threads=table.one("threads", int, 1),
        quotas=_quotas(table),
    )
    for key, fits, problem in (
        (
            "device",
            settings.device in DEVICES,
            f"is '{settings.device}'; choose from {list(DEVICES)}",
        ),
        ("max-megabytes", 1 <= settings.max_megabytes <= 1024, "give 1 to 1024"),
        ("seconds", 1 <= settings.seconds <= 86400, "give 1 to 86400"),
        ("threads", settings.threads >= 1, "give a whole number of at least 1"),
    ):
        with problems.noted():
            if not fits:
                value = getattr(settings, key.replace("-", "_"))
                said = problem if key == "device" else f"is {value:g}; {problem}"
                raise table.wrong(key, said)
    problems.check()
    return settings


def _quotas(table: TomlTable) -> Quotas:
    given: dict[str, Any] = {
        key.replace("-", "_"): table.one(key, kind)
        for key, kind in QUOTA_KEYS.items()
        if key in table.values
    }
    for key, value in given.items():
        if not 1 <= value <= 1_000_000:
            raise table.wrong(key.replace("_", "-"), f"is {value:g}; give 1 to 1000000")
    return Quotas(**given)


def _check_told_apart(trainers: tuple[TrainerLimits, ...]) -> None:
    """Raise `InputError` where two entries are of one trainer: they would have a budget each."""
    for place, each in enumerate(trainers):
        for other in trainers[:place]:
            if each.key is not None and each.key == other.key:
                raise InputError(
                    f"trainers '{other.name}' and '{each.name}' have one key; keep one of the two: a "
                    "key is one trainer, whatever it is called, and has one budget"
                )
            if each.name == other.name:
                raise InputError(
                    f"trainer '{each.name}' is listed twice; keep one, and give it a new key by "
                    "`mycroft-fl owner rotate`"
                )


def _trainer(table: TomlTable, base: Path) -> TrainerLimits:
    table.check_keys(TRAINER_KEYS)
    records, requests = (
        table.one(name, int) if name in table.values else None
        for name in ("max-records", "max-requests")
    )
    key = PublicKey.load(_below(base, table.one("key", str))) if "key" in table.values else None
    numbers = {
        name.replace("-", "_"): table.one(name, float)
        for name in ("epsilon", "epsilon-minus")
        if name in table.values
    }
    return TrainerLimits(table.one("name", str), records, **numbers, key=key, max_requests=requests)
