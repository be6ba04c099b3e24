"""docs/deployment.md says commands that work: they are run as they stand, in order, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mycroft_fl.cli.main import cli
from mycroft_fl.privacy.spending.ledger import PrivacyLedger
from simulations.engines.processes import MARKER, clear_up, processes_of, stop_processes, watched
from simulations.federation.processes import free_port
from strategies.deployment.flower_commands import flower_environment

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "deployment.md").read_text()
PORTS = ("9092", "9094", "9095")


def blocks() -> list[str]:
    """The page's commands, but for blocks that say why they are not run here."""
    found = re.finditer(
        r"^(<!-- not run: .* -->\n)?```bash\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL
    )
    return [each[2] for each in found if not each[1]]


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's own: a socket's path may not exceed 107 bytes.
    base = Path(tempfile.mkdtemp(prefix="mycroft-", dir="/tmp")).resolve()
    for each in ("empty", "work"):
        (base / each).mkdir()
    try:
        # SuperLink and SuperNodes end with the test even if nobody is left who could end them.
        with watched(base, {**os.environ, MARKER: str(base), "PYTHONPATH": str(ROOT)}):
            yield base / "work"
            stop_processes(base)
    finally:
        clear_up(base)
    assert not processes_of(base)


def test_its_commands_exist() -> None:
    words = re.findall(r"mycroft-fl (\w+) (\w+)", "".join(blocks()))
    assert len(words) > 10
    for group, command in words:
        assert group in cli.commands
        there = getattr(cli.commands[group], "commands", None)
        assert there is None or command in there


@pytest.mark.slow
def test_its_commands_work_in_order_in_an_empty_folder(folder: Path) -> None:
    script = "\n".join(blocks())
    for port in PORTS:
        assert port in script
        script = script.replace(port, str(free_port()))
    (folder / "steps.sh").write_text("set -euo pipefail\n" + script)
    environment = flower_environment(folder / "flower") | {
        MARKER: str(folder.parent), "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    with (folder / "said.txt").open("w") as output:
        command = ["bash", "steps.sh"]
        done = subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, timeout=1500,
        )  # fmt: skip
    said = (folder / "said.txt").read_text()
    assert done.returncode == 0, said
    assert "it waits for b" in said
    for owner in ("a", "b"):
        book = PrivacyLedger(folder / owner / "ledger.sqlite")
        # Asked twice for the same, charged once.
        assert [row.records for row in book.rows()] == [15]
        assert not book.problems()
    assert "30 examples disclosed, 30 counted against the budget of 30" in said
