"""What the documents say is so: commands that run, files that are read, links that lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pytest

from clients.owner.file import load_owner_file
from mycroft_fl.cli.main import cli
from mycroft_fl.cli.reference import reference
from mycroft_fl.errors import InputError
from mycroft_fl.tasks.file import load_task
from simulations.population.scenario_file import load_scenario

ROOT = Path(__file__).parents[1]
GENERATED = ROOT / "docs" / "commands.md"
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    ROOT / "examples" / "README.md",
    *sorted(path for path in (ROOT / "docs").glob("*.md") if path != GENERATED),
]
RUN_HERE = [path for path in DOCUMENTS if path.name != "deployment.md"]
"""Pages whose blocks end by themselves; servers of that page have a test of their own."""
FENCE = re.compile(
    r"(?:^<!-- (?P<note>[^\n]*?) -->\n)?^```(?P<kind>[a-z]*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
INLINE = re.compile(r"(?<!`)`((?:mycroft-fl [a-z]+|make|python) [^`\n]+)`(?!`)")
BREAKS = {"&&", "||", "|", ";", ">", ">>", "2>", "<", "&"}
READERS = (load_scenario, load_task, load_owner_file)


@dataclass(frozen=True)
class Block:
    """A fenced block. A comment on the line before may say what is to be known of it.

    `file: NAME`: it is a file of that name. `given: NAMES`: files that a reader has and a test
    makes. `not run: WHY`: it needs what a test does not have.
    """

    kind: str
    text: str
    note: str

    def noted(self, key: str) -> str | None:
        """What the comment says under `key`."""
        head, colon, rest = self.note.partition(":")
        return rest.strip() if colon and head.strip() == key else None


def blocks(document: Path) -> list[Block]:
    """A document's fenced blocks, from top to bottom."""
    found = FENCE.finditer(document.read_text(encoding="utf-8"))
    return [Block(each["kind"], each["text"], each["note"] or "") for each in found]


def command_lines(document: Path) -> Iterator[list[str]]:
    """Every command that a document shows, in blocks or in a sentence, as words."""
    for block in blocks(document):
        if block.kind == "bash":
            for line in block.text.replace("\\\n", " ").splitlines():
                yield from in_words(line)
    # The name of a command alone is a mention; with what follows it, it is to be typed.
    for found in INLINE.finditer(FENCE.sub("", document.read_text(encoding="utf-8"))):
        yield from in_words(found[1])


def in_words(line: str) -> Iterator[list[str]]:
    """The single commands of a line, without variables set in front."""
    words: list[str] = []
    for word in [*shlex.split(line, comments=True), ";"]:
        if word not in BREAKS:
            words.append(word)
            continue
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        if words:
            yield words
        words = []


SHOWN = [(path.name, words) for path in DOCUMENTS for words in command_lines(path)]
OURS = [(name, words[1:]) for name, words in SHOWN if words[0] == "mycroft-fl"]


@pytest.mark.parametrize(
    ("name", "words"), OURS, ids=[f"{name}: {' '.join(words)}"[:90] for name, words in OURS]
)
def test_every_command_shown_is_one_that_is_understood(name, words):
    command: click.Command = cli
    rest = list(words)
    while isinstance(command, click.Group) and rest and rest[0] in command.commands:
        command = command.commands[rest.pop(0)]
    if isinstance(command, click.Group):
        assert rest == [] or rest[0].isupper(), f"{name} shows mycroft-fl {' '.join(words)}"
        return
    with command.make_context(command.name, rest):
        pass


def test_the_documents_show_every_command():
    text = "".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    assert [name for name in cli.commands if f"mycroft-fl {name}" not in text] == []


def test_the_page_of_commands_is_what_the_commands_say():
    output = "write it anew: python -m mycroft_fl.cli.reference docs/commands.md"
    assert GENERATED.read_text(encoding="utf-8") == reference(cli), output


def test_every_script_and_make_target_shown_is_there():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for name, words in SHOWN:
        if words[0] == "make":
            assert set(words[1:2]) <= set(targets), f"{name}: {' '.join(words)}"
        if words[0] == "python" and words[1].endswith(".py"):
            script = ROOT / words[1]
            if not script.parent.samefile(ROOT):
                text = script.read_text()
                for option in [word for word in words if word.startswith("--")]:
                    assert f'"{option}"' in text, f"{name}: {words[1]} has no {option}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file(document):
    for target in re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_page_is_reached_from_the_readme():
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        targets = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        waiting += [(page.parent / to).resolve() for to in targets if "://" not in to]
    assert {path.name for path in [*DOCUMENTS, GENERATED]} - {path.name for path in seen} == set()


TOMLS = [
    (path.name, block.text)
    for path in DOCUMENTS
    for block in blocks(path)
    if block.kind == "toml" and block.noted("part") is None
]


@pytest.mark.parametrize(("name", "text"), TOMLS, ids=[name for name, _ in TOMLS])
def test_every_toml_file_shown_is_one_that_is_read(tmp_path, name, text):
    """By one of the readers; its data need not be there, which is said after the keys are checked."""
    file = tmp_path / "shown.toml"
    file.write_text(text)
    output = []
    for read in readers():
        try:
            read(file)
            return
        except (InputError, OSError) as error:
            output.append(str(error))
    assert any(re.search("no data set|no such file|there is no", each) for each in output), output


def readers():
    """Those of every kind of file that a person writes."""
    yield from READERS
    try:
        from simulations.study.file import load_study
    except ModuleNotFoundError:
        return
    yield load_study


def made(name: str, folder: Path) -> None:
    """A file of the kind that a reader of the documents has."""
    rng = np.random.default_rng(0)
    if name.endswith(".npz"):
        labels = rng.integers(0, 3, 150)
        pixels = rng.integers(0, 256, (150, 1, 8, 8), dtype=np.uint8)
        np.savez(folder / name, x=pixels, y=labels)
    elif name.endswith(".safetensors"):
        from mycroft_fl.models.networks import build
        from mycroft_fl.models.weights import save_weights

        save_weights(build("mlp", (1, 8, 8), 3, seed=0), folder / name)
    elif name == "flows.csv":
        lines = ["host,bytes,seconds,protocol,difficulty,attack"]
        for number in range(9000):
            hard = number % 3 == 0
            attack = "yes" if number % 2 else "no"
            size = rng.normal(5 if attack == "yes" else 0, 2) + (8 if hard else 0)
            lines.append(
                f"h{number % 50},{size:.4f},{rng.normal():.4f},{('tcp', 'udp')[number % 5 % 2]},"
                f"{'hard' if hard else 'easy'},{attack}"
            )
        (folder / name).write_text("\n".join(lines) + "\n")
    else:
        raise AssertionError(f"no test knows how to make {name}")


@pytest.mark.slow
@pytest.mark.parametrize("document", RUN_HERE, ids=lambda path: path.name)
def test_every_block_runs_from_top_to_bottom_in_an_empty_folder(tmp_path, document):
    (tmp_path / "bin").mkdir()
    for tool in ("mycroft-fl", "python"):
        # A link would not do: Python looks for its environment beside the name that it was called by.
        wrapper = tmp_path / "bin" / tool
        wrapper.write_text(f'#!/bin/sh\nexec "{Path(sys.executable).parent / tool}" "$@"\n')
        wrapper.chmod(0o755)
    here = tmp_path / "here"
    here.mkdir()
    shutil.copytree(ROOT / "benchmarks", here / "benchmarks", dirs_exist_ok=True)
    known = {**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    for block in blocks(document):
        if name := block.noted("file"):
            (here / name).write_text(block.text)
        if block.kind != "bash" or block.noted("not run"):
            continue
        for name in (block.noted("given") or "").split():
            made(name, here)
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.text],
            cwd=here, env=known, capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, f"{block.text}\n{ran.stderr[-2000:]}"
