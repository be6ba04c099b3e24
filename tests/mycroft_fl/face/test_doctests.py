"""The examples in docstrings: each public name of the library has one, and all that there are run."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import mycroft_fl as mf

ROOT = Path(__file__).parents[3]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in ("mycroft_fl", "strategies", "clients", "simulations")
    for path in sorted((ROOT / package).rglob("*.py"))
    # Those of the face run by name, above the rest.
    if path.parent.name != "face" and ">>> " in path.read_text(encoding="utf-8")
]


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
def test_all_other_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    results = doctest.testmod(module, optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert results.attempted > 0
    assert results.failed == 0
