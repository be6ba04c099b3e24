"""Owners that share one data set, as a partition divides it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clients.answering.private_records import PrivateRecords
from mycroft_fl.data.fitted import Records
from mycroft_fl.errors import SettingError
from mycroft_fl.settings.run_config import RunConfig
from mycroft_fl.settings.toml_table import TomlTable
from simulations.population.division import BY
from simulations.population.shares import KEY, OVERS, Partition, read_partition, shares


@dataclass(frozen=True)
class Sharing:
    """A partition of one data set among owners, and the seed that draws it."""

    partition: Partition
    seed: int

    @classmethod
    def read(cls, given: Mapping[str, Any] | None, seed: Any) -> Sharing | None:
        """Read what `rank` was given; None for no partition. `SettingError` where it is none."""
        if given is None:
            return None
        RunConfig.check_one("seed", seed)
        if isinstance(given, Mapping) and BY in given:
            raise SettingError(
                f"{KEY}.{BY} is for scenarios; a frame divides itself: owners=dict(list(frame.groupby("
                f"{given[BY]!r})))"
            )
        found = read_partition(TomlTable({KEY: given}, "", "", SettingError))
        if found.over != OVERS[0]:
            raise SettingError(f"{KEY}.over is '{found.over}', but these rows are of no group")
        return cls(found, seed)

    def of(self, records: Records) -> dict[str, PrivateRecords]:
        """Return each owner's records, by name. `DataError` where they cannot be divided so."""
        found = shares(self.partition, records.examples.y, self.seed, at_least=1)
        return {
            f"owner-{number}": PrivateRecords.of(records[rows])
            for number, rows in enumerate(found, start=1)
        }
