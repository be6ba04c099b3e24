"""The entry points by which an installed package adds methods, models, data sets and modes by name.

    [project.entry-points."mycroft_fl.methods"]
    furthest = "my_package.methods:furthest"

A built-in name is never replaced. Nothing is imported before it is used, but for modes.
"""

from __future__ import annotations

import functools
import importlib.metadata
from typing import Any

from mycroft_fl.errors import SettingError, one_line

METHODS, MODELS, DATASETS, MODES = (
    f"mycroft_fl.{each}" for each in ("methods", "models", "datasets", "modes")
)


@functools.lru_cache(maxsize=8)
def added(group: str) -> dict[str, str]:
    """Return what installed packages add to a group: import paths by name. Imports nothing.

    Example:
        >>> added("mycroft_fl.no-such-group")
        {}
    """
    return {each.name: each.value for each in importlib.metadata.entry_points(group=group)}


def loaded(group: str, name: str) -> Any:
    """Import what a package added by that name. `SettingError` where it cannot be imported.

    Example:
        >>> loaded("mycroft_fl.methods", "no-such-name")
        Traceback (most recent call last):
        mycroft_fl.errors.SettingError: no installed package adds 'no-such-name' to mycroft_fl.methods
    """
    found = [each for each in importlib.metadata.entry_points(group=group) if each.name == name]
    if not found:
        raise SettingError(f"no installed package adds '{name}' to {group}")
    try:
        return found[0].load()
    except (Exception, SystemExit) as error:  # a package of somebody's own may raise anything
        raise SettingError(
            f"'{name}' of {group} cannot be imported from {found[0].value} ({one_line(error)}); mend or "
            "remove that package"
        ) from error
