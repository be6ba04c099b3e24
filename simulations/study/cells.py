"""The cells of a study: each a run, named by all that its result depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from mycroft_fl.data.formats.located import located
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.errors import InputError, StudyError
from mycroft_fl.files import digest_of
from mycroft_fl.metrics.names import COST, cost_file
from mycroft_fl.settings.run_config import RunConfig
from simulations.population.scenario_file import Scenario
from simulations.population.world_cache import definition, sharing
from simulations.setup.simulation import Simulation
from simulations.study.file import ENGINE, SCENARIO, Grid, StudyFile

NOWHERE = Path("/nowhere")  # the folder of what is only looked at
IN_PROCESS = "in-process"


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    `asked_for` names the scenario and `given` are the settings laid over it, the seed among them.
    `keys` are what its row holds: part, a value for every axis of the study, seed. Cells of equal
    `digest` are the same run, cells of equal `world` share who holds what.
    """

    keys: Mapping[str, Any]
    asked_for: str
    given: Mapping[str, Any]
    engine: str
    digest: str
    world: str

    @property
    def seed(self) -> int:
        """The run's random seed; equal seeds give equal results."""
        return int(self.given["seed"])

    def __str__(self) -> str:
        shown = {key: value for key, value in self.keys.items() if value not in (None, "")}
        return ", ".join(f"{key} = {value}" for key, value in shown.items())


def planned(study: StudyFile) -> list[Cell]:
    """Return the study's cells, those of one world side by side.

    Every combination is read and checked as a run of its first seed would be, as far as that is
    cheap. Raises `StudyError` that names the first combination at fault.
    """
    cells: dict[tuple[str, str], Cell] = {}
    with sharing():
        for grid in study.grids:
            for combination in grid.combinations():
                for cell in _of_seeds(study, grid, combination):
                    cells.setdefault((grid.part, cell.digest), cell)
    return sorted(cells.values(), key=lambda cell: (cell.seed, cell.world))


def _of_seeds(study: StudyFile, grid: Grid, combination: Mapping[str, Any]) -> Iterator[Cell]:
    settings = dict(combination)
    name, engine = settings.pop(SCENARIO), settings.pop(ENGINE, IN_PROCESS)
    beside = study.base / Path(name).expanduser()
    asked_for = str(beside) if beside.suffix == ".toml" and beside.is_file() else name
    try:
        first = Simulation.load(
            asked_for, {**settings, "seed": study.seeds[0]}, NOWHERE, engine=engine
        )
        first.check()
    except InputError as error:
        axes = {axis.key: combination[axis.key] for axis in grid.axes}
        where = ", ".join(f"{key} = {value}" for key, value in axes.items())
        raise StudyError(f"{study.name}: with {where}: {error}") from error
    effective = {**first.settings(), SCENARIO: name, ENGINE: engine, **combination}
    axes = {axis.key: effective.get(axis.key) for axis in study.axes}
    held, defaults = _holdings(first.scenario), RunConfig().settings()
    # A setting at its default counts for nothing, so that a later version with one more finds its cells.
    told_apart = {
        key: value for key, value in first.settings().items() if value != defaults.get(key)
    }
    costs = cost_file(first.config.metric)
    if costs is not None:
        told_apart["metric"] = f"{COST}:{_content(costs)}"
    for seed in study.seeds:
        depends = [held, engine, {**told_apart, "seed": seed}]
        yield Cell(
            keys={"part": grid.part, **axes, "seed": seed},
            asked_for=asked_for,
            given={**settings, "seed": seed},
            engine=engine,
            digest=_digest(json.dumps(depends, sort_keys=True)),
            world=_digest(held, str(seed)),
        )


def _holdings(scenario: Scenario) -> str:
    """Return who holds what, with the content of the scenario's own files in place of where they lie."""
    anywhere = replace(scenario, base=NOWHERE, weights=None, model="", dataset="")
    specs = [DatasetSpec.of(scenario.dataset)]
    specs += [DatasetSpec.of(g.dataset) for g in scenario.groups if g.dataset is not None]
    specs += [owner.dataset for owner in scenario.owners if owner.dataset is not None]
    files = [path for spec in specs for path in (spec.path, spec.test_path) if path]
    content = [_content(located(file, scenario.base)) for file in files]
    weights = _content(scenario.weights) if scenario.weights else ""
    return _digest(definition(anywhere), *content, weights)


def _content(path: Path) -> str:
    """Name a file's bytes, or a folder's files by name and size; what is no file has its name."""
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.is_file())
        listed = [f"{each.relative_to(path)} {each.stat().st_size}" for each in files]
        return _digest("\n".join(listed))
    if not path.is_file():
        return path.name
    return _bytes(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1024)
def _bytes(path: Path, changed: int) -> str:
    return digest_of(path)


def _digest(*texts: str) -> str:
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=8).hexdigest()


def once(cells: Iterable[Cell]) -> list[Cell]:
    """Return each run once: two parts of a study may ask for the same."""
    return list({cell.digest: cell for cell in cells}.values())
