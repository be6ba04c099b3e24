"""The content of a study's study.json: its parts and axes, and by which code it was run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mycroft_fl.errors import StudyError
from mycroft_fl.report.study.folder import PART, SCHEMA, Axis
from mycroft_fl.settings.run_config import RunConfig
from simulations.evaluation.environment import code_version
from simulations.study.cells import Cell
from simulations.study.file import Grid, StudyFile, united
from strategies.runs.environment import versions

SHOWN = 3


BEFORE = {"train-on-validation": False}
"""What settings came to in versions that did not have them yet."""


def described(study: StudyFile, cells: Sequence[Cell], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of a study now, with the environments that it names since `before`."""
    now = {**versions(), "code": code_version()}
    earlier = [each for each in before.get("environments", []) if each != now]
    return {
        "schema": SCHEMA,
        "name": study.name,
        "title": study.title,
        "seeds": list(study.seeds),
        "axes": _as_json(study.axes),
        "parts": [_part(name, grids, cells) for name, grids in study.parts.items()],
        "environments": [*earlier, now],
        "defaults": RunConfig().settings(),
    }


def check_defaults(before: Mapping[str, Any], folder: Path, ended: int) -> None:
    """Raise `StudyError` where `ended` cells in the folder were run with other defaults than today's.

    A cell's name leaves out what stands at its default, which must be the same then as now.
    """
    then, now = {**BEFORE, **before.get("defaults", {})}, RunConfig().settings()
    changed = [key for key in then if key in now and then[key] != now[key]]
    if changed and ended:
        changes = ", ".join(f"{key} from {then[key]} to {now[key]}" for key in changed[:SHOWN])
        raise StudyError(
            f"{folder} holds {ended} cells of a version with other defaults ({changes}); "
            "give another folder as `out`"
        )


def _part(name: str, grids: tuple[Grid, ...], cells: Sequence[Cell]) -> dict[str, Any]:
    return {
        "name": name,
        "title": grids[0].title,
        "axes": _as_json(united(grids)),
        "grids": [{"fixed": dict(each.fixed), "axes": _as_json(each.axes)} for each in grids],
        "cells": sum(cell.keys[PART] == name for cell in cells),
    }


def _as_json(axes: Iterable[Axis]) -> list[dict[str, Any]]:
    return [{"key": axis.key, "values": list(axis.values)} for axis in axes]
