"""Commands that run nothing, and mistakes in those that do, load nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "torchvision", "flwr", "ray", "opacus", "matplotlib")
CODE = f"""
import sys
from mycroft_fl.cli.main import main
try:
    main()
    code = 0
except SystemExit as stop:
    code = stop.code or 0
print("\\nended with", code, [name for name in {HEAVY} if name in sys.modules])
"""
ROWS = "\n".join(f"{i}.5,{i % 7},{'yes' if i % 2 else 'no'}" for i in range(100))
LIGHT = [
    (0, "--help"), (0, "simulate --help"), (0, "study --list"), (0, "scenarios"), (0, "settings"),
    (0, "inspect a.csv --label y --scenario s.toml"), (2, "inspect none.csv"), (2, "inspect broken.csv"),
    (2, "simulate typo.toml"), (2, "simulate rotated-digits --out full"), (2, "simulate none.toml"),
    (2, "simulate rotated-digits --set trainer.labelnoise=0.1"), (2, "simulate task.toml"),
    (2, "simulate rotated-digits --out full --resume"), (2, "simulate task.toml --owner a=none.csv"),
    (2, "study none"), (2, "study typo.toml"), (2, "federation none"), (2, "export none out"),
    (0, "trainer init lab --host localhost"), (2, "trainer owners none"), (2, "trainer resume none"),
    (2, "trainer run none task.toml"), (2, "owner check none"), (2, "owner serve none"),
    (2, "owner init o --data a.csv --label y --task none --trainer a=b"),
    (2, "report none"), (2, "ledger none"), (2, "tensorboard none"),
    (2, "select --hard-set none.npz --data none.npz --method omp --k 3"),
]  # fmt: skip


def ended(folder: Path, words: str) -> str:
    """Return the last line of a command in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-c", CODE, *words.split()],
        cwd=folder, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return ran.stdout.strip().splitlines()[-1] if ran.stdout.strip() else ran.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("light")
    (made / "a.csv").write_text(f"a,b,y\n{ROWS}\n{ROWS.replace('.5', '.25')}\n")
    (made / "broken.csv").write_text("a,y\n1\n")
    (made / "typo.toml").write_text('title = "x"\ndatset = "mnist5k"\n[groups.a]\n')
    (made / "task.toml").write_text(
        'train = "a.csv"\nvalidation = "a.csv"\nmodel = "random-forest"\n'
    )
    (made / "full").mkdir()
    (made / "full" / "x").touch()
    return made


@pytest.mark.parametrize(("code", "words"), LIGHT, ids=[words for _, words in LIGHT])
def test_nothing_heavy_is_loaded(folder: Path, code: int, words: str) -> None:
    assert ended(folder, words) == f"ended with {code} []"


def test_a_command_that_runs_is_seen_to_load_it(folder: Path) -> None:
    """So that the check above can fail."""
    assert ended(folder, "audit --mode none").startswith("ended with 2 ['torch'")
