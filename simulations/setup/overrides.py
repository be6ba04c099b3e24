"""Settings that may be laid over a scenario beside run settings, and how they are laid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mycroft_fl.data.formats.spec import spec_from_setting
from mycroft_fl.errors import Problems, SettingError, suggestion
from mycroft_fl.settings.run_config import RunConfig
from mycroft_fl.settings.space_names import from_folder
from mycroft_fl.settings.toml_table import TomlTable
from mycroft_fl.settings.value_words import value_in_words, wanted_in_words
from simulations.population.division import relaid
from simulations.population.owners import read_counts, spoiled
from simulations.population.scenario_file import LABEL_NOISE, PARTS, Scenario

OVERRIDES: dict[str, tuple[type, Any]] = {
    "owners": (int, 8), "model": (str, "mlp"), "dataset": (str, "mnist5k"),
    "label-noise": (float, 0.1), "attack": (str, "none"),
}  # fmt: skip
"""Keys that may be set beside run settings: the kind of each, and an example."""
OF_TRAINER = f"trainer.{LABEL_NOISE}"
OF_OWNERS = "owners."
TABLES = ("policy.", "corruption.", OF_OWNERS, *(f"trainer.{part}." for part in PARTS))
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
    # Here, since it loads torch.
    from mycroft_fl.models.networks import is_network

    if not is_network(model):
        raise SettingError(
            f"attack is made on a network, and model is '{model}'; leave attack out, or use a "
            "network such as mlp"
        )


def is_override(key: str) -> bool:
    """Return whether a key may be laid over a scenario, and is no run setting."""
    return key in OVERRIDES or key == OF_TRAINER or key.startswith(TABLES)


def known_keys() -> list[str]:
    """Return the keys that may be set, tables of which any key may be set left out."""
    return [*RunConfig().settings(), *OVERRIDES, OF_TRAINER]


def check_keys(settings: Mapping[str, Any]) -> None:
    """Raise `SettingError` that names each key that is neither a run setting nor an override."""
    known, problems = known_keys(), Problems()
    for key in settings:
        with problems.noted():
            if key not in known and not is_override(key):
                raise SettingError(f"unknown setting '{key}'{suggestion(key, known)}")
    problems.check()


def overridden(scenario: Scenario, overrides: Mapping[str, Any]) -> Scenario:
    """Return the scenario with these laid over it. `SettingError` for what does not fit."""
    problems = Problems()
    for key, (kind, example) in OVERRIDES.items():
        with problems.noted():
            _check_kind(key, kind, example, overrides)
    problems.check()
    with problems.noted():
        scenario = replace(scenario, trainer=_trainer(scenario, overrides))
    with problems.noted():
        scenario = _divided(scenario, overrides)
    with problems.noted():
        scenario = replace(scenario, owners=spoiled(scenario.owners, overrides))
    with problems.noted():
        if OF_TRAINER in overrides:
            given = TomlTable({LABEL_NOISE: overrides[OF_TRAINER]}, "", "trainer", SettingError)
            scenario = replace(scenario, label_noise=given.share(LABEL_NOISE))
    with problems.noted():
        if "dataset" in overrides:
            dataset = spec_from_setting(overrides["dataset"], SettingError)
            scenario = replace(scenario, dataset=dataset)
    problems.check()
    policy = {k.removeprefix("policy."): v for k, v in overrides.items() if k.startswith("policy.")}
    return replace(
        scenario,
        model=from_folder(overrides.get("model", scenario.model), scenario.base),
        policy={**scenario.policy, **policy},
    )


def with_owners(scenario: Scenario, overrides: Mapping[str, Any], seed: int) -> Scenario:
    """Return the scenario with its owners named, where its rows are divided, and as many as set.

    Reads the data where these name them. Raises `InputError`.
    """
    if scenario.division is not None:
        scenario = _named(scenario, seed)
        scenario = replace(scenario, owners=spoiled(scenario.owners, overrides))
    return scenario.with_owners(overrides["owners"]) if "owners" in overrides else scenario


def _named(scenario: Scenario, seed: int) -> Scenario:
    """Return a scenario that divides its rows with an owner for each part."""
    # Here, since these load scikit-learn: most scenarios list their owners.
    from simulations.population.by_column import with_owners_named
    from simulations.population.by_partition import with_shares_named
    from simulations.population.world_cache import world_of

    by = scenario.by_partition
    if by is None:
        return with_owners_named(scenario)
    return world_of(scenario, seed).scenario if by.rest else with_shares_named(scenario)


def _divided(scenario: Scenario, overrides: Mapping[str, Any]) -> Scenario:
    """Return the scenario with keys of `[owners]` laid over it; they replace owners that are listed."""
    given = {k.removeprefix(OF_OWNERS): v for k, v in overrides.items() if k.startswith(OF_OWNERS)}
    if not given:
        return scenario
    groups = [group.name for group in scenario.groups]
    return scenario.divided(relaid(scenario.division, given, groups))


def _check_kind(key: str, kind: type, example: Any, overrides: Mapping[str, Any]) -> None:
    value = overrides.get(key, example)
    kinds = {float: (float, int), str: (str, dict) if key == "dataset" else (str,)}
    if type(value) not in kinds.get(kind, (kind,)):
        raise SettingError(
            f"{key} is {value_in_words(value)}; give {wanted_in_words(kind, example)}"
        )


def _trainer(scenario: Scenario, overrides: Mapping[str, Any]) -> Mapping[str, Mapping[str, int]]:
    """Return how many examples the trainer has, with each `trainer.PART.GROUP` laid over it."""
    groups = [group.name for group in scenario.groups]
    trainer = {}
    for part in PARTS:
        start = f"trainer.{part}."
        given = {k.removeprefix(start): v for k, v in overrides.items() if k.startswith(start)}
        counts = {part: {**scenario.trainer[part], **given}}
        trainer[part] = read_counts(TomlTable(counts, "", "trainer", SettingError), part, groups)
    return trainer
