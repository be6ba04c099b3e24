"""The examples in the docstrings of the library's face: each public name has one, and it runs."""

from __future__ import annotations

import doctest
import importlib

import pytest

import mycroft_fl as mf

MODULES = (
    "mycroft_fl.data.given",
    "mycroft_fl.data.given_arrays",
    "mycroft_fl.entry_points",
    "mycroft_fl.settings.own_names",
)
"""Modules under the face whose public functions have examples too."""


def run_examples(name: str, value: object, module: object) -> int:
    """How many examples `value` has; fails where one does not give what it says."""
    finder = doctest.DocTestFinder(recurse=False)
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    found = finder.find(value, name, module=module, globs=vars(module) | {"mf": mf})
    for test in found:
        result = runner.run(test)
        assert result.failed == 0, f"{name}: {result.failed} of {result.attempted}"
    return sum(len(test.examples) for test in found)


@pytest.mark.parametrize("name", [name for name in mf.__all__ if not name.startswith("__")])
def test_each_public_name_has_an_example_that_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value = getattr(mf, name)
    module = importlib.import_module(value.__module__)
    assert run_examples(name, value, module) > 0, f"{name} has no example"


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_what_lies_under_the_face_run(name):
    module = importlib.import_module(name)
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
