"""A setting: its default, its limits, what it means; and settings that are checked together."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

from mycroft_fl.errors import Problems, SettingError, suggestion
from mycroft_fl.settings.value_words import value_in_words, wanted_in_words

SettingValue = bool | int | float | str


def setting(
    key: str,
    default: SettingValue,
    meaning: str,
    *,
    choices: Collection[str] = (),
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    after: str = "",
) -> Any:
    """Declare a field of a dataclass of settings, with all that is needed to check and explain it.

    Args:
        key: its name in files and on the command line.
        default: what holds where it is left out; its type is the field's.
        meaning: a line for people.
        choices: what it may be; empty: anything of its type.
        least: no number is smaller.
        above: every number is larger.
        most: no number is larger.
        after: the key that it is listed behind, where that is declared elsewhere.
    """
    limits = {"choices": choices, "least": least, "above": above, "most": most, "after": after}
    return dataclasses.field(default=default, metadata={"key": key, "meaning": meaning, **limits})


@dataclass(frozen=True)
class Settings:
    """Settings that are checked once, where they enter; each field is a `setting`.

    A field's key is what files and the command line call it.
    """

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            _check(each, getattr(self, each.name))

    @classmethod
    def from_settings(cls, *layers: Mapping[str, Any]) -> Self:
        """Read settings from `{key: value}` layers, the later over the earlier, over the defaults.

        Raises `SettingError` with a line for each key that is unknown and each value that no run can
        have.
        """
        by_key, values, problems = cls._by_key(), dict[str, Any](), Problems()
        for layer in layers:
            for key, value in layer.items():
                with problems.noted():
                    if key not in by_key:
                        raise SettingError(
                            f"unknown setting '{key}'{suggestion(key, list(by_key))}"
                        )
                    values[by_key[key].name] = _converted(by_key[key], value)
        for each in by_key.values():
            with problems.noted():
                _check(each, values.get(each.name, each.default))
        problems.check()
        return cls(**values)

    def settings(self) -> dict[str, SettingValue]:
        """Give the settings as `{key: value}`, ready for a TOML or JSON file."""
        return {key: getattr(self, each.name) for key, each in self._by_key().items()}

    @classmethod
    def rows(cls) -> list[tuple[str, SettingValue, str]]:
        """Give key, default and meaning of every setting, in order."""
        rows: list[tuple[str, Any, str]] = []
        for key, each in cls._by_key().items():
            choices = each.metadata["choices"]
            meaning = each.metadata["meaning"] + (f" ({' | '.join(choices)})" if choices else "")
            rows.append((key, each.default, meaning))
        return rows

    @classmethod
    def check_one(cls, key: str, value: Any) -> None:
        """Raise `SettingError` where the setting `key` can never have this value, whatever the others are."""
        each = cls._by_key()[key]
        _check(each, _converted(each, value))

    @classmethod
    def _by_key(cls) -> dict[str, dataclasses.Field]:
        by_key = {each.metadata["key"]: each for each in dataclasses.fields(cls)}
        listed = [key for key, each in by_key.items() if each.metadata["after"] not in by_key]
        for key, each in by_key.items():
            if key not in listed:
                listed.insert(listed.index(each.metadata["after"]) + 1, key)
        return {key: by_key[key] for key in listed}


def _converted(each: dataclasses.Field, value: Any) -> Any:
    """Take an int where a float is wanted, and a list of names where a comma-separated text is."""
    kind = type(each.default)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is str and isinstance(value, list):
        return ",".join(str(part) for part in value)
    return value


def _check(each: dataclasses.Field, value: Any) -> None:
    """Raise `SettingError` unless the value is of the default's type and within the limits."""
    key, kind = each.metadata["key"], type(each.default)
    if type(value) is not kind:
        raise SettingError(
            f"{key} is {value_in_words(value)}; give {wanted_in_words(kind, each.default)}"
        )
    choices = each.metadata["choices"]
    if choices and value not in choices:
        raise SettingError(f"{key} is '{value}'; choose from {list(choices)}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    least, above, most = (each.metadata[limit] for limit in ("least", "above", "most"))
    if not (math.isfinite(value) and least <= value <= most and value > above):
        low = f"more than {above}" if above > -math.inf else f"at least {least}"
        high = f" and at most {most}" if most < math.inf else ""
        raise SettingError(f"{key} is {value}; it must be {low}{high}")
