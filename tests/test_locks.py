"""What a deployment installs: exact versions with hashes, within the bounds of pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / ".ci" / "locks"
PYTHONS = ("3.11", "3.12", "3.13")
EXTRAS = {
    "package": (),
    "extras": ("excel", "parquet", "pld", "sql", "tensorboard", "text"),
    "dev": ("dev",),
}
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Locked:
    """One package of a lock: its requirement, and how many distributions it may come as."""

    requirement: Requirement
    hashes: int

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        [pin] = self.requirement.specifier
        return pin.version

    def applies(self, python: str, platform: str = "linux") -> bool:
        marker = self.requirement.marker
        return marker is None or marker.evaluate(machine(python, platform))


def machine(python: str, platform: str) -> dict[str, str]:
    """The environment that markers are asked for: a 64-bit machine with that Python."""
    systems = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}
    return {
        "python_version": python, "python_full_version": f"{python}.5", "sys_platform": platform,
        "platform_system": systems[platform], "platform_machine": "x86_64", "extra": "",
        "implementation_name": "cpython", "platform_python_implementation": "CPython",
        "os_name": "nt" if platform == "win32" else "posix",
    }  # fmt: skip


def read(name: str) -> list[Locked]:
    """The packages of a lock."""
    text = (LOCKS / f"{name}.txt").read_text().replace("\\\n", " ")
    lines = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    return [
        Locked(Requirement(line.partition("--hash")[0].strip()), len(HASH.findall(line)))
        for line in lines
    ]


def wanted(extras: tuple[str, ...]) -> Iterator[Requirement]:
    """What pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in ("", *extras):
        listed = project["optional-dependencies"][extra] if extra else project["dependencies"]
        yield from map(Requirement, listed)


ALL = sorted(path.stem for path in LOCKS.glob("*.txt"))


def test_there_is_a_lock_for_every_kind_of_installation():
    assert ALL == ["build", "dev", "extras", "package", "sbom"]


@pytest.mark.parametrize("name", ALL)
def test_every_package_has_one_exact_version_and_a_hash(name):
    found = read(name)
    assert len(found) >= 5
    for each in found:
        assert each.hashes >= 1, each
        assert [pin.operator for pin in each.requirement.specifier] == ["=="], each


@pytest.mark.parametrize("name", ALL)
def test_no_lock_names_an_index_or_a_place_on_somebodys_machine(name):
    text = (LOCKS / f"{name}.txt").read_text()
    assert not re.search(r"://|--index|--find-links|--trusted|@ file|/(tmp|root|home)/", text)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", EXTRAS)
def test_a_lock_holds_what_pyproject_asks_for_within_its_bounds(name, python):
    found = {each.name: each for each in read(name) if each.applies(python)}
    for each in wanted(EXTRAS[name]):
        locked = found[canonicalize_name(each.name)]
        assert each.specifier.contains(locked.version, prereleases=True), (each, locked)


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", ALL)
def test_no_machine_is_given_two_versions_of_one_package(name, python, platform):
    names = [each.name for each in read(name) if each.applies(python, platform)]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("name", ["package", "extras"])
@pytest.mark.parametrize("python", PYTHONS)
def test_what_is_deployed_is_what_is_tested(name, python):
    tested = {each.name: each.version for each in read("dev") if each.applies(python)}
    deployed = {each.name: each.version for each in read(name) if each.applies(python)}
    assert deployed.items() <= tested.items()
    assert "pytest" not in deployed


def test_the_lock_is_for_the_pythons_that_pyproject_names():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11,<3.14"
