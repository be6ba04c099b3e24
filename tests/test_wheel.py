"""The wheel: built from the checkout, installed into a new environment, and run there."""

from __future__ import annotations

import os
import re
import shutil
import site
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("mycroft_fl", "strategies", "clients", "simulations")
pytestmark = pytest.mark.slow


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    # Nothing of the checkout: neither its path nor its folder.
    known = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        [str(each) for each in command], cwd=folder, env=known, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def uv() -> str:
    found = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if found is None:
        pytest.skip("no uv: make installs it")
    return found


@pytest.fixture(scope="module")
def wheel(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    locked = ROOT / ".ci" / "locks" / "build.txt"
    built = run(
        uv, "build", "--wheel", "--require-hashes", "--build-constraints", locked, "--out-dir", out,
        ROOT, folder=out,
    )  # fmt: skip
    if built.returncode and re.search(r"error sending request|dns error|Network", built.stderr):
        pytest.skip("no package index is reached, from which hatchling comes")
    assert built.returncode == 0, built.stderr
    [found] = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(uv: str, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel. What it needs is borrowed from that of the tests: several GB."""
    folder = tmp_path_factory.mktemp("new")
    made = run(uv, "venv", "--python", sys.executable, folder / "venv", folder=folder)
    assert made.returncode == 0, made.stderr
    python = folder / "venv" / "bin" / "python"
    installed = run(
        uv, "pip", "install", "--offline", "--no-deps", "--python", python, wheel, folder=folder
    )
    assert installed.returncode == 0, installed.stderr
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    [packages] = (folder / "venv" / "lib" / version).glob("site-packages")
    # A .pth in a borrowed folder is not read, so an editable checkout there stays out.
    (packages / "borrowed.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return python


def test_it_holds_all_code_and_data_and_no_test(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = [name for name in opened.namelist() if ".dist-info/" not in name]
    tracked = run("git", "ls-files", *PACKAGES, folder=ROOT).stdout.split()
    assert sorted(names) == sorted(tracked)


def test_its_metadata_ask_for_what_pyproject_asks_for(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        [name] = [each for each in opened.namelist() if each.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(opened.read(name).decode())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [each for each in metadata.get_all("Requires-Dist") if "extra ==" not in each]
    # A name is written in other ways, with the same meaning.
    plain = [re.sub(r"[\s_]+", "-", each.lower()) for each in project["dependencies"]]
    assert sorted(re.sub(r"[\s_]+", "-", each.lower()) for each in needed) == sorted(plain)
    assert metadata["Version"] == project["version"]
    assert sorted(metadata.get_all("Provides-Extra")) == sorted(project["optional-dependencies"])


def test_its_command_and_its_library_work_in_a_new_environment(python: Path) -> None:
    folder = python.parents[2]
    shown = run(python.parent / "mycroft-fl", "--help", folder=folder)
    assert shown.returncode == 0, shown.stderr
    assert "simulate" in shown.stdout
    assert "0.1.0" in run(python.parent / "mycroft-fl", "--version", folder=folder).stdout
    line = (
        "import mycroft_fl as mf; print(mf.__file__); mf.rank; mf.Vault; "
        "print(mf.orthogonal_matching_pursuit([[1.0, 0.0], [0.0, 1.0]], [0.0, 2.0], k=1).indices.tolist())"
    )
    used = run(python, "-c", line, folder=folder)
    assert used.returncode == 0, used.stderr
    place, indices = used.stdout.splitlines()
    assert Path(place).is_relative_to(python.parents[1])
    assert indices == "[1]"


def test_its_packaged_scenarios_are_there(python: Path) -> None:
    listed = run(python.parent / "mycroft-fl", "scenarios", folder=python.parents[2])
    assert listed.returncode == 0, listed.stderr
    assert "rotated-digits" in listed.stdout
