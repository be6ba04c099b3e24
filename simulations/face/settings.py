"""Settings as keyword arguments: `num_rounds=2` for `num-rounds`, a function for its import path."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from mycroft_fl.errors import SettingError, suggestion
from mycroft_fl.settings.run_config import RunConfig


def as_settings(
    keywords: Mapping[str, Any], settings: Mapping[str, Any] | None, besides: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return run settings by their keys. `SettingError` for a keyword that is none.

    Args:
        keywords: settings by the name of a Python argument.
        settings: others by their keys, such as "policy.epsilon"; None for none.
        besides: keys that are allowed as keywords beside run settings.

    Example:
        >>> as_settings({"num_rounds": 2, "fit_epochs": 5}, {"policy.epsilon": 1.0})
        {'policy.epsilon': 1.0, 'num-rounds': 2, 'fit.epochs': 5}
    """
    keys = {each.name: each.metadata["key"] for each in dataclasses.fields(RunConfig)}
    keys |= {name.replace("-", "_"): name for name in besides}
    found = dict(settings or {})
    for name, value in keywords.items():
        if name not in keys:
            raise SettingError(f"there is no setting '{name}'{suggestion(name, list(keys))}")
        found[keys[name]] = value
    return found


def method_name(method: str | Callable[..., Any]) -> str:
    """Return a method's name: a function's own is its import path.

    `SettingError` for one that no import would find, such as a lambda.
    """
    if isinstance(method, str):
        return method
    name = f"{getattr(method, '__module__', '')}:{getattr(method, '__qualname__', '<none>')}"
    if "<" in name:
        raise SettingError(
            f"method {name} is inside a function; define it at the top of a module or notebook"
        )
    return name
