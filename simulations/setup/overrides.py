"""Settings that may be laid over a scenario beside run settings, and how they are laid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mycroft_fl.data.formats.spec import spec_from_setting
from mycroft_fl.errors import SettingError
from mycroft_fl.models.networks import is_network
from mycroft_fl.settings.space_names import from_folder
from mycroft_fl.settings.toml_table import TomlTable
from simulations.population.by_column import with_owners_named
from simulations.population.owners import read_counts, spoiled
from simulations.population.scenario_file import LABEL_NOISE, PARTS, Scenario

OVERRIDES = {
    "owners": int, "model": str, "dataset": (str, dict), "label-noise": (float, int), "attack": str,
}  # fmt: skip
OF_TRAINER = f"trainer.{LABEL_NOISE}"
TABLES = ("policy.", "corruption.", OF_TRAINER, *(f"trainer.{part}." for part in PARTS))
"""Tables any key of which may be set."""
ATTACKS = ("none", "membership")
"""Attacks on the model that a run ends with: for a simulator alone, who knows all records."""


def check_attack(attack: str, mode: str, model: str) -> None:
    """Raise `SettingError` where a run of this mode and model cannot be attacked so."""
    if attack not in ATTACKS:
        raise SettingError(f"attack is '{attack}'; choose from {list(ATTACKS)}")
    if attack == "none":
        return
    if mode == "score":
        raise SettingError(
            "attack is made on the model that owners' records have moved, and mode 'score' moves "
            "none; leave attack out, or use another mode"
        )
    if not is_network(model):
        raise SettingError(
            f"attack is made on a network, and model is '{model}'; leave attack out, or use a "
            "network such as mlp"
        )


def overridden(scenario: Scenario, overrides: Mapping[str, Any]) -> Scenario:
    """Return the scenario with these laid over it. `SettingError` for what does not fit."""
    for key, kind in OVERRIDES.items():
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if key in overrides and type(overrides[key]) not in kinds:
            names = " or ".join(each.__name__ for each in kinds)
            raise SettingError(f"{key} is {overrides[key]!r}; give a value of type {names}")
    scenario = replace(scenario, trainer=_trainer(scenario, overrides))
    if OF_TRAINER in overrides:
        given = TomlTable({LABEL_NOISE: overrides[OF_TRAINER]}, "settings", "trainer", SettingError)
        scenario = replace(scenario, label_noise=given.share(LABEL_NOISE))
    if "dataset" in overrides:
        dataset = spec_from_setting(overrides["dataset"], SettingError)
        scenario = replace(scenario, dataset=dataset)
    scenario = with_owners_named(scenario)
    if "owners" in overrides:
        scenario = scenario.with_owners(overrides["owners"])
    policy = {k.removeprefix("policy."): v for k, v in overrides.items() if k.startswith("policy.")}
    return replace(
        scenario,
        owners=spoiled(scenario.owners, overrides),
        model=from_folder(overrides.get("model", scenario.model), scenario.base),
        policy={**scenario.policy, **policy},
    )


def _trainer(scenario: Scenario, overrides: Mapping[str, Any]) -> Mapping[str, Mapping[str, int]]:
    """Return how many examples the trainer has, with each `trainer.PART.GROUP` laid over it."""
    groups = [group.name for group in scenario.groups]
    trainer = {}
    for part in PARTS:
        start = f"trainer.{part}."
        given = {k.removeprefix(start): v for k, v in overrides.items() if k.startswith(start)}
        counts = {part: {**scenario.trainer[part], **given}}
        trainer[part] = read_counts(
            TomlTable(counts, "settings", "trainer", SettingError), part, groups
        )
    return trainer
