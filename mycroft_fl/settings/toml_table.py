"""Tables of a TOML file, read strictly: an unknown key or a wrong type is an error."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mycroft_fl.claims import MOST_TOML, content_of
from mycroft_fl.errors import InputError, Problems, suggestion

Kind = TypeVar("Kind")
NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
DEEP = re.compile(r"""(?:(?:(?<![\w-])[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){32}""")
"""A key of more than 32 parts: Python reads one in the square of their number, for hours."""
PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
SIGNED = range(-(2**63), 2**63)
"""Whole numbers that TOML must know. Python prints none of above 4,300 digits, and reads it."""


def _parsed(text: str) -> dict[str, Any]:
    """Raise `ValueError` where it is no TOML, or one that takes a reader without end."""
    if DEEP.search(text):
        raise ValueError("a key in it has more than 32 parts")
    found = tomllib.loads(text)
    waiting: list[Any] = [found]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, int) and value not in SIGNED:
            raise ValueError("a number in it has more than 64 bits")
    return found


@dataclass(frozen=True)
class TomlTable:
    """One table of a file. `at` is its dotted name, empty for the file itself.

    `source` is the file's name, empty for settings that came from a command line.
    """

    values: Mapping[str, Any]
    source: str
    at: str
    error: type[InputError]

    @classmethod
    def read(cls, path: Path, error: type[InputError]) -> TomlTable:
        """Read the whole file; `error` is what is raised for whatever is wrong with it."""
        try:
            text = content_of(path, MOST_TOML).decode("utf-8-sig")
            return cls(_parsed(text.replace("\r\n", "\n")), path.name, "", error)
        except (OSError, ValueError, RecursionError) as reason:
            raise error(
                f"{path} cannot be read as TOML: {' '.join(str(reason).split())}"
            ) from reason

    def wrong(self, key: str, problem: str) -> InputError:
        """Make the error that names file and key."""
        return self.error(f"{self._where}{self._name(key)} {problem}")

    def check_keys(self, known: Iterable[str]) -> None:
        """Raise if there is any other key: one line for each."""
        names, problems, before = list(known), Problems(), self._name("")
        for key in self.values:
            with problems.noted():
                if key not in names:
                    raise self.error(
                        f"{self._where}unknown key '{before}{key}'{suggestion(key, names, before)}"
                    )
        problems.check()

    def one(self, key: str, kind: type[Kind], default: Kind | None = None) -> Kind:
        """Read a value of that kind; without a default it must be there."""
        value = self.values.get(key, default)
        if value is None:
            raise self.wrong(key, f"is missing; give {NAMES[kind]}")
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise self.wrong(key, f"is {value!r}; give {NAMES[kind]}")
        return value

    def choice(self, key: str, known: Iterable[str]) -> str | None:
        """Read one of the known names, or None where the key is left out."""
        if key not in self.values:
            return None
        value, names = self.one(key, str), list(known)
        if value not in names:
            raise self.wrong(key, f"is '{value}'{suggestion(value, names)}")
        return value

    def share(self, key: str, default: float | None = None) -> float:
        """Read a number from 0 to 1."""
        value = self.one(key, float, default)
        if not 0 <= value <= 1:
            raise self.wrong(key, f"is {value}; give a number from 0 to 1")
        return value

    def table(self, key: str) -> TomlTable:
        """Read the table of that name; an empty one where it is left out."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, f"is {value!r}; give a table")
        return TomlTable(value, self.source, self._name(key), self.error)

    def tables(self, key: str) -> list[TomlTable]:
        """Read the tables of an array `[[key]]`; none where it is left out."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            raise self.wrong(key, f"is {value!r}; write one table [[{self._name(key)}]] for each")
        return [
            TomlTable(each, self.source, f"{self._name(key)}[{place}]", self.error)
            for place, each in enumerate(value, start=1)
        ]

    def flat(self) -> dict[str, Any]:
        """Give the values under dotted keys: {a = {b = 1}} and a.b = 1 both give {"a.b": 1}."""
        flat: dict[str, Any] = {}
        for key, value in self.values.items():
            found = {key: value}
            if isinstance(value, dict):
                found = {f"{key}.{inner}": each for inner, each in self.table(key).flat().items()}
            for name, each in found.items():
                if name in flat:
                    raise self.wrong(name, "stands there twice; keep one of them")
                flat[name] = each
        return flat

    @property
    def _where(self) -> str:
        """What errors begin with: the file, where there is one."""
        return f"{self.source}: " if self.source else ""

    def _name(self, key: str) -> str:
        return f"{self.at}.{key}" if self.at else key


def toml_key(name: str) -> str:
    """Return a name as a key of TOML, in quotes where it needs them."""
    return name if PLAIN_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)
