"""An owner's file, owner.toml: its data, its policy, who may ask. Read by the vault alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clients.policy import Policy, TrainerLimits
from mycroft_fl.errors import InputError
from mycroft_fl.strict_toml import Table

KEYS = ("name", "dataset", "policy", "trainers", "ledger", "ledger-head")
DATASET_KEYS = ("path", "label", "unit-id", "shareable")
TRAINER_KEYS = ("name", "max-records", "epsilon", "epsilon-minus")


@dataclass(frozen=True)
class Data:
    """Where an owner's examples are, and which columns say what of them.

    `unit_id`: whose a record is, where privacy is by person; `shareable`: which may be handed over
    as they are.
    """

    path: Path
    label: str | None = None
    unit_id: str | None = None
    shareable: str | None = None


@dataclass(frozen=True)
class OwnerFile:
    """An owner's file, checked. Relative paths are taken from its folder."""

    name: str
    data: Data | None
    policy: Policy
    ledger: Path
    ledger_head: Path | None


def load_owner_file(path: Path) -> OwnerFile:
    """The owner's file at `path`. `InputError` on whatever is wrong with it."""
    table = Table.read(path, InputError)
    table.check_keys(KEYS)
    trainers = tuple(_trainer(each) for each in table.tables("trainers"))
    head = table.one("ledger-head", str, "")
    return OwnerFile(
        name=table.one("name", str, path.parent.name),
        data=_data(table.table("dataset"), path.parent) if "dataset" in table.values else None,
        policy=Policy.from_table(table.table("policy").flat(), trainers),
        ledger=path.parent / table.one("ledger", str, "ledger.sqlite"),
        ledger_head=path.parent / Path(head).expanduser() if head else None,
    )


def owner_file_text(name: str, policy: Policy) -> str:
    """An owner's file for a simulated owner, which has its data from the scenario."""
    import tomli_w

    return tomli_w.dumps({"name": name, "policy": policy.as_table()})


def _data(table: Table, base: Path) -> Data:
    table.check_keys(DATASET_KEYS)
    columns = {
        key.replace("-", "_"): table.one(key, str)
        for key in DATASET_KEYS[1:]
        if key in table.values
    }
    return Data(base / Path(table.one("path", str)).expanduser(), **columns)


def _trainer(table: Table) -> TrainerLimits:
    table.check_keys(TRAINER_KEYS)
    records = table.one("max-records", int) if "max-records" in table.values else None
    numbers = {
        key.replace("-", "_"): table.one(key, float)
        for key in ("epsilon", "epsilon-minus")
        if key in table.values
    }
    return TrainerLimits(table.one("name", str), records, **numbers)
