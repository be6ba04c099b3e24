"""What an owner allows. Read from the owner's own file; a request has no field for any of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mycroft_fl.config import MAX_EXAMPLES, suggestion
from mycroft_fl.errors import InputError, Refused
from mycroft_fl.exchange import Request
from mycroft_fl.represent.names import encoder_within
from mycroft_fl.selection import METHODS


@dataclass(frozen=True)
class Policy:
    """`modes` that may leave at all, and `max_records` raw examples over all requests for ever.

    `own_methods` are import paths of methods that this owner trusts beside the built-in ones:
    a method is code, and a request only names it. `encoders` are those that may be opened.
    """

    modes: tuple[str, ...] = ("raw",)
    max_records: int | None = None
    own_methods: tuple[str, ...] = ()
    encoders: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not set(self.modes) <= {"raw"}:
            raise InputError(f"policy.modes is {list(self.modes)}; choose from ['raw']")
        if self.max_records is not None and self.max_records < 0:
            raise InputError(f"policy.max-records is {self.max_records}; it must be at least 0")

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Policy:
        """A policy from a `[policy]` table's keys. `InputError` on an unknown key or a wrong type."""
        kinds = {"modes": list, "max-records": int, "own-methods": list, "encoders": list}
        for key, value in table.items():
            if key not in kinds:
                raise InputError(f"unknown key 'policy.{key}'{suggestion(key, list(kinds))}")
            if type(value) is not kinds[key] or (
                isinstance(value, list) and not all(isinstance(each, str) for each in value)
            ):
                raise InputError(
                    f"policy.{key} is {value!r}; it must be of type {kinds[key].__name__}"
                )
        values: dict[str, Any] = {
            key.replace("-", "_"): tuple(map(str, value)) if isinstance(value, list) else value
            for key, value in table.items()
        }
        return dataclasses.replace(cls(), **values)

    def check(self, request: Request) -> None:
        """Refuse what is not allowed, by the request's parameters alone and never by the data."""
        if request.mode not in self.modes:
            raise Refused(f"mode '{request.mode}' is not allowed; allowed: {list(self.modes)}")
        if request.method not in METHODS and request.method not in self.own_methods:
            raise Refused(f"method '{request.method}' is not one that this owner trusts")
        for name in (request.feature_space, request.model):
            encoder = encoder_within(name)
            if encoder is not None and encoder not in self.encoders:
                raise Refused(f"encoder '{encoder}' is not one that this owner opens")

    def records_left(self, disclosed: int) -> int:
        """How many more raw examples may leave; `Refused` once there are none."""
        if self.max_records is None:
            return MAX_EXAMPLES
        if disclosed >= self.max_records:
            raise Refused(f"all {self.max_records} records that may leave have left")
        return self.max_records - disclosed
