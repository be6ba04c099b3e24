"""A release: one version in every place that states it, and a changelog by version."""

from __future__ import annotations

import datetime
import re
import tomllib
from pathlib import Path

from packaging.version import Version

import mycroft_fl as mf

ROOT = Path(__file__).parents[1]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
HEADING = re.compile(r"^## (?P<version>\d+\.\d+\.\d+), (?P<day>\d{4}-\d\d-\d\d|unreleased)$")


def test_every_place_states_the_same_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert {project["version"], cited[1]} == {mf.__version__}


def test_the_changelog_has_a_section_for_each_version_newest_first() -> None:
    first, *others = re.findall(r"^## .*$", CHANGELOG, re.MULTILINE)
    assert first == "## Unreleased"
    found = [HEADING.match(each) for each in others]
    assert None not in found, others
    versions = [Version(each["version"]) for each in found]
    assert versions == sorted(set(versions), reverse=True)
    assert versions[0] == Version(mf.__version__)


def test_a_released_version_has_a_day_and_days_go_back_in_time() -> None:
    found = [HEADING.match(each) for each in re.findall(r"^## \d.*$", CHANGELOG, re.MULTILINE)]
    days = [each["day"] for each in found]
    # Only the newest may still wait for its release.
    dates = [datetime.date.fromisoformat(day) for day in days if day != "unreleased"]
    assert "unreleased" not in days[1:]
    assert dates == sorted(dates, reverse=True)


def test_every_section_says_something_in_list_items() -> None:
    for section in re.split(r"^## .*$", CHANGELOG, flags=re.MULTILINE)[1:]:
        lines = [line for line in section.splitlines() if line.strip()]
        assert lines
        assert all(line.startswith(("- ", "  ")) for line in lines), lines[:3]
