"""A package that adds a method, a model, a data set and a mode: found by name, and by nobody's leave."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mycroft_fl as mf
from mycroft_fl import entry_points, modes
from mycroft_fl.errors import SettingError
from mycroft_fl.selection.methods import method_named

PLUGIN = Path(__file__).parents[1] / "plugin"
SCENARIO = {
    "dataset": "blobs",
    "model": "wide",
    "groups": {"two": {"classes": [0, 1]}, "third": {"classes": [2]}},
    "trainer": {
        "train": {"two": 60, "third": 3}, "validation": {"two": 40, "third": 40},
        "test": {"two": 20, "third": 20},
    },
    "owners": [{"name": "a", "holds": {"third": 30}}, {"name": "b", "holds": {"two": 30}}],
    "run": {
        "method": "furthest", "budget": 10, "num-rounds": 1, "pilot-per-owner": 5, "fit.epochs": 2,
        "scoring.repeats": 1,
    },
}  # fmt: skip


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package where Python finds packages, as pip would have put it."""
    monkeypatch.syspath_prepend(PLUGIN)
    before = dict(modes.MODES)
    entry_points.added.cache_clear()
    modes._add_installed()
    yield
    modes.MODES.clear()
    modes.MODES.update(before)
    entry_points.added.cache_clear()
    sys.modules.pop("adding", None)


def test_nothing_is_there_before_the_package_is() -> None:
    with pytest.raises(SettingError, match="unknown method 'furthest'"):
        method_named("furthest")


@pytest.mark.usefixtures("installed")
def test_a_scenario_names_the_packages_method_model_and_data_set() -> None:
    result = mf.simulate(SCENARIO)
    adding = importlib.import_module("adding")
    assert type(result.model) is adding.Wide
    assert sorted(result.ranking["owner"]) == ["a", "b"]
    assert len(result.acquired) == 10
    x, _ = adding.blobs()
    held = {tuple(row) for row in x}
    assert all(tuple(row) in held for row in result.acquired.x)


@pytest.mark.usefixtures("installed")
def test_a_path_does_what_a_name_does() -> None:
    by_name = mf.simulate(SCENARIO)
    paths = {"model": "adding:Wide", "dataset": "adding:blobs", "method": "adding:furthest"}
    by_path = mf.simulate(SCENARIO, **paths)
    assert by_path.ranking.equals(by_name.ranking)


@pytest.mark.usefixtures("installed")
def test_a_mode_is_one_that_owners_may_allow_and_a_built_in_one_stays(caplog) -> None:
    assert "plain" in modes.answer_names()
    assert modes.MODES["raw"].leaves != modes.MODES["plain"].leaves
    result = mf.simulate(SCENARIO, mode="plain")
    assert len(result.acquired) == 10


@pytest.mark.usefixtures("installed")
def test_an_owner_that_did_not_name_the_method_refuses_it() -> None:
    with pytest.raises(mf_errors().NotEnoughOwners, match="refused"):
        mf.rank(
            "linear", train=part(0, 100), validation=part(100, 250), owners={"a": part(250, 400)},
            method="furthest", policy=mf.Policy(), budget=10, num_rounds=1,
        )  # fmt: skip


def part(start: int, stop: int):
    x, y = importlib.import_module("adding").blobs()
    return x[start:stop], y[start:stop]


def mf_errors():
    return importlib.import_module("mycroft_fl.errors")


@pytest.mark.usefixtures("installed")
def test_a_broken_package_is_named() -> None:
    with pytest.raises(SettingError, match=r"'broken' of mycroft_fl.methods cannot be imported"):
        method_named("broken")
