"""One setting of a run: its default, its limits, what it means, and the check of a value."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from mycroft_fl.errors import SettingError

SettingValue = bool | int | float | str


def setting(
    key: str,
    default: SettingValue,
    meaning: str,
    *,
    choices: tuple[str, ...] = (),
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
) -> Any:
    """A field of a dataclass of settings, with all that is needed to check and to explain it."""
    limits = {"choices": choices, "least": least, "above": above, "most": most}
    return dataclasses.field(default=default, metadata={"key": key, "meaning": meaning, **limits})


def converted(each: dataclasses.Field, value: Any) -> Any:
    """An int where a float is wanted, and a list of names where a comma-separated text is."""
    kind = type(each.default)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is str and isinstance(value, list):
        return ",".join(str(part) for part in value)
    return value


def check(each: dataclasses.Field, value: Any) -> None:
    """`SettingError` unless the value is of the default's type and within the limits."""
    key, kind = each.metadata["key"], type(each.default)
    if type(value) is not kind:
        raise SettingError(
            f"{key} is {value!r}, of type {type(value).__name__}; give a {kind.__name__}, "
            f"such as {each.default!r}"
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
