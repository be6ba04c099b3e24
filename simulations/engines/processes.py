"""The processes of a run: who they are, and how they all end.

Run as a program with a run's folder, it waits until its standard input closes, which even a
`kill -9` of the process at the other end brings about, and then ends whatever the run left.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import psutil

MARKER = "MYCROFT_ENGINE"  # in the environment of every process of a run: its folder
GRACE = 3.0  # seconds between asking a process to end and killing it


def processes_of(folder: Path) -> list[psutil.Process]:
    """Find the other processes of the run in `folder`: their environment names it, or they work in it."""
    return [
        process
        for process in psutil.process_iter(["environ", "cwd"])
        if process.pid != os.getpid()
        and (
            (process.info["environ"] or {}).get(MARKER) == str(folder)
            # Ray's agents set a title, which overwrites the environment that others see.
            or Path(process.info["cwd"] or "/").is_relative_to(folder)
        )
    ]


def stop_processes(folder: Path) -> None:
    """Ask all processes of the run in `folder` to end, then kill those that do not."""
    for stop in (psutil.Process.terminate, *[psutil.Process.kill] * 5):
        processes = processes_of(folder)
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                stop(process)
        psutil.wait_procs(processes, timeout=GRACE)


def start(
    command: list[str],
    environment: dict[str, str],
    output: int | IO[str],
    stdin: int = subprocess.DEVNULL,
) -> Any:
    """Start a process of the run, working in the empty folder beside what the run keeps.

    Args:
        command: the program and its arguments.
        environment: all of its variables.
        output: where its stdout and stderr go.
        stdin: where its input comes from.
    """
    return subprocess.Popen(
        command,
        env=environment,
        # Ray's workers import from the SuperLink's working directory before anything else.
        cwd=Path(environment[MARKER]) / "empty",
        stdin=stdin,
        stdout=output,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # Ctrl-C in a terminal is for this process alone
    )


@contextmanager
def watched(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """Start a process that clears up after the run should this one be killed; it ends with the run."""
    command = [sys.executable, "-m", "simulations.engines.processes", str(folder)]
    with start(command, environment, subprocess.DEVNULL, stdin=subprocess.PIPE) as watcher:
        try:
            yield
        finally:
            watcher.kill()


@contextmanager
def answering(handler: Any, *numbers: int) -> Iterator[None]:
    """Let `handler` answer these signals, but for ignored ones. Only a main thread can."""
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in numbers if main}
    before = {number: was for number, was in before.items() if was not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)


class Ended(BaseException):
    """A signal has come. Not a `SystemExit`, which an owner's app takes for one of its own failures."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


def leave(number: int, _frame: object) -> None:
    """Answer a signal by leaving, so that whatever is open is closed on the way out."""
    raise Ended(number)


@contextmanager
def ended_by(*numbers: int) -> Iterator[None]:
    """Let these signals end, inside `with`, what goes on, and then the process, by a `SystemExit`."""
    with answering(leave, *numbers):
        try:
            yield
        except Ended as ended:
            raise SystemExit(ended.code) from None


def clear_up(folder: Path) -> None:
    """Stop the run's processes and remove its folder."""
    stop_processes(folder)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.stdin.read()
    clear_up(Path(sys.argv[1]))
