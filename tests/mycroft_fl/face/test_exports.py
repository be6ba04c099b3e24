"""The names that `import mycroft_fl as mf` offers: each is there, typed, documented and light to import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mycroft_fl as mf

ROOT = Path(__file__).parents[3]
NAMES = [name for name in mf.__all__ if name != "__version__"]


def test_every_name_is_there_and_no_other_is_offered():
    assert sorted(NAMES) == sorted(set(NAMES))
    assert set(mf.__all__) <= set(dir(mf))
    for name in NAMES:
        assert getattr(mf, name).__name__ == name
    with pytest.raises(AttributeError, match="'mycroft_fl' has no attribute 'selct'"):
        _ = mf.selct
    assert {"select", "rank", "simulate", "study", "read_study", "Vault", "Policy"} <= set(NAMES)


def test_the_types_say_where_each_name_stands_and_nothing_else():
    stub = ast.parse((ROOT / "mycroft_fl" / "__init__.pyi").read_text())
    typed = {
        alias.name: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == mf._PLACES
    assert (ROOT / "mycroft_fl" / "py.typed").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_on_the_librarys_page(name):
    assert f"mf.{name}" in (ROOT / "docs" / "library.md").read_text()


def test_the_package_and_its_names_load_neither_torch_nor_flower_until_used():
    code = (
        "import sys, mycroft_fl as mf; dir(mf); mf.__version__; "
        "print([m for m in ('torch', 'flwr', 'opacus', 'sklearn', 'pandas') if m in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert shown.stdout.strip() == "[]"
