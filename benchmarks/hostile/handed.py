"""Files that others hand over: data sets, models, tasks; and files of ours that others may look into."""

from __future__ import annotations

import json
import os
import resource
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tomli_w

from benchmarks.hostile import bombs
from benchmarks.hostile.findings import Finding, megabytes
from benchmarks.hostile.measured import Ended, ended
from benchmarks.hostile.stage import MYCROFT, Stage, environment, mycroft

CAP = 6 << 30
"""Memory that a reader may have at all, so that an attack that works does not take the machine down."""
GROWS_AT_MOST = 1 << 30
"""Above what the same command takes for an honest file."""
SECONDS = 120.0
BAD_INPUT = 2
READ_MODEL = """
import sys
from pathlib import Path
import numpy as np
from mycroft_fl.errors import InputError, MycroftError
from mycroft_fl.models.estimators import build_estimator
from mycroft_fl.models.weights import loaded
try:
    model = loaded(build_estimator("decision-tree", 2), Path(sys.argv[1]))
    print(model.predict(np.zeros((5, int(sys.argv[2])), np.float32)))
except MycroftError as error:
    print(f"mycroft-fl: {error}")
    sys.exit(2)
"""


def files(stage: Stage) -> Iterator[Finding]:
    """Bombs and liars among data sets and models; text of others; who may read what we write."""
    folder = stage.folder / "handed-over"
    folder.mkdir()
    honest = _described(folder, stage.folder / "train.csv", stage.folder / "validation.csv")
    assert honest.code == 0, honest.said
    for name, make in _data(folder).items():
        path = make()
        output = _described(folder, path, path)
        yield _finding(name, output, honest.peak)
    for name, child in {"outside of its nodes": 1 << 40, "in a circle": 0}.items():
        path, train = folder / "model.skops", stage.task.train
        bombs.hostile_tree(path, train.x, train.y, child)
        command = [sys.executable, "-c", READ_MODEL, str(path), str(train.x.shape[1])]
        output = ended(command, SECONDS, _capped, env=environment())
        yield _finding(f"a .skops tree that points {name}", output, honest.peak)
    yield _text(stage)


def _data(folder: Path) -> dict[str, Callable[[], Path]]:
    def made(name: str, make: Callable[[Path], Any]) -> Callable[[], Path]:
        def at() -> Path:
            make(folder / name)
            return folder / name

        return at

    return {
        "an npz of 33 MB that unpacks to 32 GiB": made(
            "bomb.npz", lambda path: bombs.npz_bomb(path, output=True)
        ),
        "the same, said to be small": made(
            "quiet.npz", lambda path: bombs.npz_bomb(path, output=False)
        ),
        "an npz that claims 4 TiB and has 1 kB": made("liar.npz", bombs.lying_npz),
        "a zip of images that unpacks to 32 GiB": made("bomb.zip", bombs.image_zip_bomb),
        "a png of 2.5 thousand million pixels": made("images", bombs.image_folder),
    }


def _described(folder: Path, train: Path, validation: Path) -> Ended:
    """`mycroft-fl trainer describe` of a task with these data sets, in a process of bounded memory."""
    columns = {"label": "outcome", "drop": ["patient", "consented"]}
    table = columns if train.suffix == ".csv" else {}
    parts = {"train": train, "validation": validation}
    task = {name: {"path": str(path), **table} for name, path in parts.items()}
    (folder / "task.toml").write_text(tomli_w.dumps({**task, "model": "mlp"}))
    command = [
        *MYCROFT,
        "trainer",
        "describe",
        str(folder.parent / "lab"),
        str(folder / "task.toml"),
    ]
    return ended(command, SECONDS, _capped, env=environment())


def _capped() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (CAP, CAP))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _finding(name: str, output: Ended, usual: int) -> Finding:
    """Held if the file was refused in one clear line, with exit code 2 and little memory."""
    grown = max(0, output.peak - usual)
    last = output.said.strip().splitlines()[-1][:60] if output.said.strip() else ""
    held = output.code == BAD_INPUT and grown < GROWS_AT_MOST and "MemoryError" not in output.said
    how = "stopped for its time" if output.code is None else f"exit code {output.code}"
    figure = f"{how}, {output.seconds:.1f} s, memory +{megabytes(grown)}"
    return Finding("files", name, 1, int(not held), figure + ("" if held else f": {last}"))


def _text(stage: Stage) -> Finding:
    """Class names of a task.json that write lines of their own on the owner's terminal."""
    owner = stage.owner("quiet-ward")
    path = owner.folder / "task.json"
    task = json.loads(path.read_text())
    forged = "ill\x1b[2K\r\nlook at this: nothing\x9b1A\u202e\u2028"
    task["classes"] = [forged if each == "ill" else each for each in task["classes"]]
    path.write_text(json.dumps(task))
    output = ended([*MYCROFT, "owner", "check", str(owner.folder)], SECONDS, env=environment())
    raw = [each for each in output.said if not each.isprintable() and each != "\n"]
    lines = [line for line in output.said.splitlines() if line.startswith("look at this: nothing")]
    figure = f"{len(raw)} control characters, {len(lines)} forged lines"
    return Finding("files", "text in task.json on the terminal", 1, len(raw) + len(lines), figure)


SMALL = """
title = "Small"
dataset = "digits"
[groups.all]
[trainer]
train = { all = 100 }
validation = { all = 60 }
test = { all = 30 }
[[owners]]
name = "a"
holds = { all = 40 }
[run]
budget = 10
pilot-per-owner = 5
num-rounds = 1
fit.epochs = 1
fine-tune.steps = 2
scoring.repeats = 1
"""
PUBLIC = frozenset({".pub", ".crt"})


def privileges(stage: Stage) -> Iterator[Finding]:
    """What every local user may read or list, of folders made under a careless umask."""
    careless = stage.folder / "careless"
    careless.mkdir(mode=0o755)
    (careless / "small.toml").write_text(SMALL)
    before = os.umask(0)
    try:
        open_stage = Stage.made(careless / "trainer-side", stage.port)
        made = {
            "a trainer's folder": open_stage.folder / "lab",
            "an owner's folder": open_stage.owner("careless-ward").folder,
            "a run's folder": careless / "run",
            "exported data": careless / "data",
        }
        mycroft(
            "simulate",
            careless / "small.toml",
            "--engine",
            "in-process",
            "--out",
            made["a run's folder"],
        )
        mycroft("export", careless / "small.toml", made["exported data"])
    finally:
        os.umask(before)
    for name, folder in made.items():
        found = [folder, *folder.rglob("*")]
        reached = _reached_by_others(folder)
        figure = f"{len(reached)} of {len(found)} open to others"
        if reached:
            figure += f", such as {reached[0].relative_to(folder.parent)}"
        yield Finding("files", f"other users read {name}", len(found), len(reached), figure)


def _reached_by_others(folder: Path) -> list[Path]:
    """Files and folders that another user can read or write, folders above them taken into account."""
    mode = stat.S_IMODE(folder.lstat().st_mode)
    if not mode & 0o077:
        return []
    reached = [folder]
    for each in folder.iterdir():
        if each.is_dir() and not each.is_symlink():
            reached += _reached_by_others(each)
        elif stat.S_IMODE(each.lstat().st_mode) & 0o077 and each.suffix not in PUBLIC:
            reached.append(each)
    return reached
