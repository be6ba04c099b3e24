"""Flower's own commands: their environment, the bundle they run, what they print."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any

import tomli_w

from mycroft_fl.errors import EngineFailed

COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
AFTER_MESSAGE = re.compile(r"$|(DEBUG|INFO|WARNING|ERROR) *:|\(\w+ pid=")
WRAPPERS = ("RuntimeError: An error was encountered.", "RuntimeError: Simulation Runtime crashed.")
ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    "NO_COLOR": "1",
    # Else every run installs the app's dependencies into a fresh environment.
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",
}
PATIENCE = 120.0  # seconds for a command that only asks or tells the SuperLink something


def flower_environment(flower_home: Path) -> dict[str, str]:
    """Copy this process's environment for Flower's commands and what they start."""
    inherited = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    scripts = [str(Path(sys.executable).parent), sysconfig.get_path("scripts")]
    return {
        **inherited,
        **ENVIRONMENT,
        "FLWR_HOME": str(flower_home),
        "PATH": os.pathsep.join([*scripts, os.environ.get("PATH", os.defpath)]),
    }


def write_app(folder: Path, run_config: Mapping[str, Any], apps: tuple[str, str]) -> None:
    """Write a Flower app that has these settings and only imports the two real apps."""
    folder.mkdir()
    components = {}
    for component, module in zip(("serverapp", "clientapp"), apps, strict=True):
        # Flower looks in the source for an assignment to `app`: importing it would not do.
        source = f"import {module}\n\napp = {module}.app\n"
        (folder / f"mycroft_fl_{component}.py").write_text(source)
        components[component] = f"mycroft_fl_{component}:app"
    project = {"name": "mycroft-fl-run", "version": "1", "description": "", "license": ""}
    app = {"publisher": "mycroft", "components": components, "config": dict(run_config)}
    text = tomli_w.dumps({"project": project, "tool": {"flwr": {"app": app}}})
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")


def flower_answer(command: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what `flwr ... --format json` answers. `EngineFailed`, in Flower's words, where it does not."""
    try:
        done = subprocess.run(
            [*command, "--format", "json"], env=dict(environment), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=PATIENCE,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise EngineFailed(f"the SuperLink says nothing within {PATIENCE:g} s") from error
    answer = _json_in(done.stdout)
    if answer is not None and answer.get("success", True):
        return answer
    message = str((answer or {}).get("error-message", "")) or last_error(
        COLOUR.sub("", done.stdout + done.stderr).splitlines()
    )
    raise EngineFailed(f"{' '.join(command[:3])}: {' '.join(message.split())}")


def flower_lines(
    command: Sequence[str], environment: Mapping[str, str], on_line: Callable[[str], None]
) -> list[str]:
    """Return all lines that a command prints, without colours; each is given to `on_line` as it comes."""
    lines: list[str] = []
    with subprocess.Popen(
        command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            for raw in process.stdout:
                lines.append(COLOUR.sub("", raw).rstrip())
                on_line(lines[-1])
        except BaseException:
            process.kill()  # leaving `with` waits for it
            raise
    return lines


def read_status(answer: str) -> tuple[str, str]:
    """Read how the only run ended, and Flower's details, from what `flwr list --format json` says."""
    try:
        run = json.loads(answer[answer.index("{") :])["runs"][0]
        return run["status"], run["status-details"]
    except (ValueError, LookupError, TypeError):
        return "unknown", ""


def last_error(lines: Sequence[str]) -> str:
    """Find what the last traceback ends with, wrapping errors apart; else what `flwr` says in a box."""
    for first in reversed(range(len(lines))):
        if lines[first].startswith("Traceback (most recent call last)"):
            message = dropwhile(lambda line: line.startswith(" "), lines[first + 1 :])
            text = "\n".join(takewhile(lambda line: not AFTER_MESSAGE.match(line), message))
            if not text.startswith(WRAPPERS):
                return text
    boxed = " ".join(line.strip("│ ") for line in lines if line.startswith("│"))
    return boxed.strip() or next((line for line in reversed(lines) if line), "")


def _json_in(text: str) -> dict[str, Any] | None:
    """Find the JSON object in what a command printed: Flower may print lines before it."""
    try:
        found = json.loads(COLOUR.sub("", text)[text.index("{") :])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
