"""The threat model names tests that there are, attacks that are made, and nothing without either."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
ATTACK = re.compile(r"`attack: ([\w-]+)`")
LINES = [
    line
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith(("| may try", "| section", "| `"))
]


def sections() -> list[str]:
    """The sections of `make attack`, as its script names them."""
    tree = ast.parse((ROOT / "benchmarks" / "hostile" / "__main__.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "SECTIONS":
            assert isinstance(node.value, ast.Dict)
            return [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
    raise AssertionError("benchmarks/hostile has no SECTIONS")


@pytest.mark.parametrize("named", sorted(set(TEST.findall(PAGE))), ids="::".join)
def test_every_test_that_is_named_is_there(named):
    file, name = named
    assert re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)


def test_every_attack_that_is_named_is_made_and_every_one_made_is_named():
    shown = re.findall(r"^\| `([\w-]+)` \|", PAGE, re.MULTILINE)
    assert shown == sections()
    assert set(ATTACK.findall(PAGE)) == set(sections())


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split("|")[1].strip()[:60])
def test_no_line_promises_anything_without_a_test_or_an_attack(line):
    cells = [each.strip() for each in line.strip("|").split("|")]
    assert len(cells) == 3
    assert TEST.search(cells[2]) or ATTACK.search(cells[2])


def test_the_page_has_every_kind_of_attacker():
    assert len(LINES) > 50
    output = PAGE.lower()
    for who in ("network", "owner's machine", "listed trainer", "two trainers", "hostile owner",
                "carrier", "hands over a file", "published", "thief", "nobody is kept"):  # fmt: skip
        assert re.search(rf"^## .*{who}", output, re.MULTILINE), who


def test_what_does_not_hold_is_said_of_every_kind_of_attacker():
    for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[4:-1]:
        if "machine" not in part.splitlines()[0]:
            assert "Does not hold" in part, part.splitlines()[0]
