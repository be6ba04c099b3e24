"""Pitfalls of private releases: none is back, and each has a test that would say so."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGES = ("mycroft_fl", "strategies", "clients", "simulations")
PITFALLS = [
    each
    for path in sorted(Path(__file__).with_name("pitfalls").glob("*.toml"))
    for each in tomllib.loads(path.read_text())["pitfall"]
]


def test_nothing_is_unpickled_anywhere() -> None:
    unpickling = re.compile(
        r"^\s*(import|from) (pickle|dill|cloudpickle|joblib.numpy_pickle)\b"
        r"|torch\.load\((?!.*weights_only=True)|allow_pickle=True|skops\.io\.load\((?!.*trusted)",
        re.MULTILINE,
    )
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(sources) > 100
    found = [path for path in sources if unpickling.search(path.read_text())]
    # The data set's own files are pickles: opened by a reader that builds arrays and nothing else.
    assert [path.name for path in found] == ["cifar.py"]
    assert "def find_class" in found[0].read_text()


def test_every_pitfall_names_a_test_that_there_is_and_a_place_that_there_is() -> None:
    for each in PITFALLS:
        file, _, name = each["test"].partition("::")
        assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text(), each["test"]
        assert (ROOT / each["file"]).read_text().count(each["before"]) == 1, each["name"]


@pytest.mark.slow
@pytest.mark.parametrize("pitfall", PITFALLS, ids=lambda each: each["name"].replace(" ", "-"))
def test_a_pitfall_that_comes_back_fails_its_test(pitfall: dict[str, str], tmp_path: Path) -> None:
    for part in (*PACKAGES, "tests"):
        shutil.copytree(ROOT / part, tmp_path / part)  # with what is compiled: a third of the time
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    changed = tmp_path / pitfall["file"]
    text = changed.read_text()
    assert text.count(pitfall["before"]) == 1, f"{pitfall['file']} has changed; say it anew"
    changed.write_text(text.replace(pitfall["before"], pitfall["after"]))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", pitfall["test"]],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True,
        text=True, timeout=600, check=False,
    )  # fmt: skip
    failed = 1
    assert ran.returncode == failed, ran.stdout[-2000:]
    # Found and failed, not merely broken.
    assert re.search(r"^(FAILED|ERROR) ", ran.stdout, re.MULTILINE), ran.stdout[-2000:]
    assert "SyntaxError" not in ran.stdout
