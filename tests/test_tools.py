"""Tools beside the tests: hooks that need no network, sessions for every Python, a floor for coverage."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()


def test_every_hook_is_local_and_runs_a_tool_of_the_environment() -> None:
    yaml = pytest.importorskip("yaml")
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [each["repo"] for each in repos] == ["local"]
    hooks = repos[0]["hooks"]
    assert {each["language"] for each in hooks} == {"system"}
    tools = {re.match(r"\.venv/bin/([\w-]+)", each["entry"])[1] for each in hooks}
    asked = {
        re.split(r"[>=\[]", each)[0] for each in PROJECT["project"]["optional-dependencies"]["dev"]
    }
    assert {{"lint-imports": "import-linter"}.get(each, each) for each in tools} <= asked


def test_what_make_test_checks_before_the_tests_a_hook_checks_too() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    lines = MAKEFILE.partition("\ntest:")[2].partition("\n\n")[0].splitlines()[1:-1]
    tools = [line.split("$(BIN)/")[1].split(" ")[0] for line in lines]
    assert tools == ["ruff", "ruff", "mypy", "lint-imports"]
    assert [each for each in tools if f".venv/bin/{each}" not in hooks] == []


def test_nox_tests_every_python_that_the_package_runs_on() -> None:
    tree = ast.parse((ROOT / ".ci" / "noxfile.py").read_text())
    [pythons] = [
        ast.literal_eval(each.value)
        for each in tree.body
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "PYTHONS"
    ]
    wanted = SpecifierSet(PROJECT["project"]["requires-python"])
    every = [f"3.{minor}" for minor in range(8, 20)]
    assert list(pythons) == [each for each in every if wanted.contains(f"{each}.0")]


def test_coverage_measures_what_is_shipped_and_has_a_floor() -> None:
    coverage = PROJECT["tool"]["coverage"]
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert sorted(coverage["run"]["source"]) == sorted(wheel["packages"])
    assert 0 < coverage["report"]["fail_under"] <= 100
    assert "--cov" in MAKEFILE.partition("\ncoverage:")[2].partition("\n\n")[0]


def test_the_extra_of_the_site_is_among_what_developers_install() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert set(extras["docs"]) <= set(extras["dev"])
