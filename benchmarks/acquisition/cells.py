"""The cells of the tables of acquisition: every run that one of them needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mycroft_fl.settings.run_config import RunConfig

METHODS = ("hard-features", "features", "omp", "random")
SWEPT = ("hard-features", "random")
FAIR = {"stop-early": False, "scoring.repeats": 1, "train-on-validation": False}
Settings = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Cell:
    """One run: what it is called in its table, its settings and its seed."""

    row: str
    settings: Settings
    seed: int

    @property
    def key(self) -> str:
        """Names the cell by its settings, whatever table it stands in."""
        defaults = RunConfig().settings()
        output = {key: value for key, value in self.settings if value != defaults.get(key)}
        return json.dumps([sorted(output.items()), self.seed])


def method_cells(seeds: int, given: Settings) -> Iterator[Cell]:
    """All methods."""
    for seed in range(seeds):
        for method in METHODS:
            yield Cell(method, _settings(given, method=method), seed)


def main_cells(seeds: int, given: Settings) -> Iterator[Cell]:
    """All methods and full information; equal shares; and the paper's protocol."""
    yield from method_cells(seeds, given)
    for seed in range(seeds):
        yield Cell("full", _settings(given, method="full"), seed)
        for method in METHODS:
            equal = _settings(given, method=method, allocation="equal")
            yield Cell(f"{method}, equal shares", equal, seed)
        for method in ("hard-features", "random"):
            paper = (("train-on-hard-set", False),)
            yield Cell(
                f"{method}, hard set not trained on", _settings(given, method=method) + paper, seed
            )


def allocation_cells(seeds: int, given: Settings) -> Iterator[Cell]:
    """The best method by score and in equal shares, whose difference is small: give more seeds."""
    for seed in range(seeds):
        for suffix, allocation in (("", "score"), (", equal shares", "equal")):
            settings = _settings(given, method=METHODS[0], allocation=allocation)
            yield Cell(METHODS[0] + suffix, settings, seed)


def budget_cells(seeds: int, given: Settings) -> Iterator[Cell]:
    """Budgets from 30 to 400; pilots never take more than 60 % of eight owners' budget."""
    for seed in range(seeds):
        for budget in (30, 100, 200, 400):
            pilot = max(1, min(15, budget * 6 // 80))
            sizes = (("budget", budget), ("pilot-per-owner", pilot))
            for method in SWEPT:
                yield Cell(f"{method}|{budget}", _settings(given, method=method) + sizes, seed)


def hard_set_cells(seeds: int, given: Settings) -> Iterator[Cell]:
    """Hard sets of 4 to 64."""
    for seed in range(seeds):
        for sent in (4, 8, 16, 32, 64):
            for method in SWEPT:
                size = (("hard-set.sent", sent),)
                yield Cell(f"{method}|{sent}", _settings(given, method=method) + size, seed)


CELLS = {
    "main": main_cells,
    "methods": method_cells,
    "allocation": allocation_cells,
    "budgets": budget_cells,
    "hard-sets": hard_set_cells,
}


def _settings(given: Settings, **own: Any) -> Settings:
    return (*FAIR.items(), *own.items(), *given)
