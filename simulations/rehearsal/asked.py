"""A rehearsal as it was asked for: a task, owners' files and settings, checked before any data are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mycroft_fl.errors import DataError, Problems, SettingError, suggestion
from mycroft_fl.foreign_text import SAFE_NAME
from mycroft_fl.settings.run_config import RunConfig
from mycroft_fl.settings.toml_table import TomlTable
from strategies.runs.folder import RunFolder

OWNER_FILE = "owner.toml"
POLICY = "policy."


def is_task(path: str) -> bool:
    """Return whether a name is that of a task's file: it names train and no groups."""
    try:
        table = TomlTable.read(Path(path), DataError) if Path(path).is_file() else None
    except DataError:
        return False
    return table is not None and "train" in table.values and "groups" not in table.values


def named_owners(assignments: Iterable[str]) -> dict[str, Path]:
    """Read NAME=FILE for each owner. `InputError` with a line for each that is wrong.

    Args:
        assignments: as they were typed.
    """
    owners, problems = dict[str, Path](), Problems()
    for each in assignments:
        with problems.noted():
            name, equals, file = each.partition("=")
            if not equals or not name or not file:
                raise SettingError(f"--owner {each}: give NAME=FILE, such as a=a.csv")
            if not SAFE_NAME.fullmatch(name):
                raise SettingError(
                    f"--owner {each}: a name has letters, digits, '-', '_' and '.', a letter or digit first"
                )
            if name.casefold() in {other.casefold() for other in owners}:
                raise SettingError(
                    f"--owner {each}: there is an owner '{name}' already; rename one"
                )
            path = Path(file).expanduser().absolute()
            if not path.exists():
                raise SettingError(
                    f"--owner {each}: there is nothing at {path}; give a data file, or the folder of an "
                    "owner with its owner.toml"
                )
            owners[name] = path
    problems.check()
    return owners


def look_first(
    task: Path, owners: Iterable[str], settings: Mapping[str, Any], folder: Path, *,
    force: bool, resume: bool,
) -> dict[str, Path]:  # fmt: skip
    """Return the owners' files, or raise `InputError` for whatever is wrong that a quick look can find.

    Args:
        task: a task's file.
        owners: NAME=FILE of each.
        settings: run settings and `policy.*`.
        folder: the run's.
        force: an earlier run there may be replaced.
        resume: an earlier run there goes on.
    """
    problems, found = Problems(), dict[str, Path]()
    with problems.noted():
        if resume:
            RunFolder.check_reopens(folder)
        else:
            RunFolder.is_taken(folder, force=force)
    with problems.noted():
        found = named_owners(owners)
        if not found:
            raise SettingError(
                f"{task.name} is a task: name the owners whose files it is to be rehearsed over, such as "
                "--owner a=a.csv --owner b=b.csv; over real owners, use `mycroft-fl trainer run`"
            )
    with problems.noted():
        config_of(task, settings)
    problems.check()
    return found


def config_of(task: Path, settings: Mapping[str, Any]) -> RunConfig:
    """Return a rehearsal's settings: the task's own, and those that were set. `InputError`."""
    if not task.is_file():
        raise DataError(
            f"there is no task's file {task}; give a TOML file with train and validation"
        )
    given, known = TomlTable.read(task, DataError).table("run").flat(), list(RunConfig().settings())
    problems = Problems()
    for key in settings:
        with problems.noted():
            if key not in known and not key.startswith(POLICY):
                raise SettingError(
                    f"unknown setting '{key}'{suggestion(key, known)}; a rehearsal takes run settings and "
                    "policy.*"
                )
    problems.check()
    run = {key: value for key, value in settings.items() if not key.startswith(POLICY)}
    return RunConfig.from_settings(given, run)
