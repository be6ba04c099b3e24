"""Completion in the shells themselves: the script that the command prints is read, and asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "completion.md").read_text(encoding="utf-8")
ASK = {
    # As bash itself fills these variables while somebody types.
    "bash": 'source ./script; COMP_WORDS=({words}); COMP_CWORD={at}; '
    '_mycroft_fl_completion mycroft-fl; printf "%s\\n" "${{COMPREPLY[@]}}"',
    "fish": 'source ./script; complete --do-complete "{words}"',
}  # fmt: skip


def ask(shell: str, line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line in a shell that has `mycroft-fl` on its path, in a folder with the printed script."""
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine")
    tool = folder / "bin" / "mycroft-fl"
    tool.parent.mkdir(exist_ok=True)
    tool.write_text(f"#!{sys.executable}\nfrom mycroft_fl.cli.main import main\n\nmain()\n")
    tool.chmod(0o755)
    known = {
        **os.environ, "PATH": f"{tool.parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }  # fmt: skip
    script = subprocess.run(
        [str(tool)], env=known | {"_MYCROFT_FL_COMPLETE": f"{shell}_source"}, cwd=folder,
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    (folder / "script").write_text(script.stdout)
    return subprocess.run(
        [shell, "-c", line], env=known, cwd=folder, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("shell", ["bash", "fish"])
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("mycroft-fl simul", {"simulate"}),
        ("mycroft-fl owner rev", {"revoke"}),
        ("mycroft-fl simulate --eng", {"--engine"}),
        ("mycroft-fl simulate --engine in", {"in-process"}),
        ("mycroft-fl nothing-of-this", set()),
    ],
)
def test_a_shell_completes_commands_options_and_choices(tmp_path, shell, words, completed):
    line = ASK[shell].format(words=words, at=len(words.split()) - 1)
    done = ask(shell, line, tmp_path)
    assert done.returncode == 0, done.stderr
    # fish shows a command's help behind a tab.
    assert {each.split("\t")[0].strip() for each in done.stdout.splitlines()} - {""} == completed


def test_zsh_takes_the_script_as_the_commands_completer(tmp_path):
    line = "autoload -Uz compinit && compinit -u && source ./script && print $_comps[mycroft-fl]"
    done = ask("zsh", line, tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "_mycroft_fl_completion"), done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_page_shows_the_variable_that_prints_each_shells_script(shell):
    assert f"_MYCROFT_FL_COMPLETE={shell}_source mycroft-fl >" in PAGE
