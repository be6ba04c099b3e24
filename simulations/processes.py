"""The processes of a run: who they are, and how they all end."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

MARKER = "MYCROFT_ENGINE"  # in the environment of every process of a run: its folder
GRACE = 3.0  # seconds between asking a process to end and killing it


def processes_of(folder: Path) -> list[psutil.Process]:
    """The processes of the run in `folder`: their environment names it, or they work in it."""
    return [
        process
        for process in psutil.process_iter(["environ", "cwd"])
        if (process.info["environ"] or {}).get(MARKER) == str(folder)
        # Ray's agents set a title, which overwrites the environment that others see.
        or Path(process.info["cwd"] or "/").is_relative_to(folder)
    ]


def stop_processes(folder: Path) -> None:
    """Ask all processes of the run in `folder` to end, then kill those that do not."""
    for stop in (psutil.Process.terminate, *[psutil.Process.kill] * 5):
        processes = processes_of(folder)
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                stop(process)
        psutil.wait_procs(processes, timeout=GRACE)


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


def leave(number: int, _frame: object) -> None:
    """Answer a signal by leaving, so that whatever is open is closed on the way out."""
    raise SystemExit(128 + number)
