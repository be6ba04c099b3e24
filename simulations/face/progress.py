"""The progress of a run in a terminal or a notebook, told by its log; silent where nobody watches."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol, runtime_checkable

from mycroft_fl.foreign_text import cleaned
from mycroft_fl.progress_lines import PACKAGES

BESIDES = 2
"""Steps beside the rounds: the baseline, and the references at the end."""


@runtime_checkable
class Bar(Protocol):
    """Whatever shows how far a run has come."""

    def show(self, text: str, *, advance: bool) -> None: ...


@contextmanager
def progress(rounds: int, wanted: bool | None) -> Iterator[None]:
    """Show a run's progress inside `with`, and keep its log lines out of standard output.

    Log lines still reach the handlers of `logging`, as loud as these are set.

    Args:
        rounds: of the run, at most.
        wanted: True or False; None for where somebody watches: in a terminal or a notebook, unless
            the logger "mycroft_fl" is set above INFO.
    """
    with ExitStack() as stack:
        bar = stack.enter_context(_bar(rounds + BESIDES)) if _is_wanted(wanted) else None
        for name in PACKAGES:
            stack.enter_context(_heard(logging.getLogger(name), bar))
        yield


def in_notebook() -> bool:
    """Say whether this process is a notebook's kernel."""
    shell = sys.modules.get("IPython")
    found = shell.get_ipython() if shell is not None else None
    return found is not None and "IPKernelApp" in found.config


def _is_wanted(wanted: bool | None) -> bool:
    if wanted is not None:
        return wanted
    if logging.getLogger("mycroft_fl").level > logging.INFO:
        return False
    return in_notebook() or sys.stderr.isatty()


class _Told(logging.Handler):
    """Shows a package's lines in a bar, and hands on those that `logging` wants."""

    def __init__(self, bar: Bar | None, above: logging.Logger | None, level: int) -> None:
        super().__init__(logging.DEBUG)
        self._bar, self._above, self._level = bar, above, level

    def emit(self, record: logging.LogRecord) -> None:
        """Show one line."""
        if self._above is not None and record.levelno >= self._level:
            self._above.callHandlers(record)
        if self._bar is not None and record.levelno >= logging.INFO:
            text = record.getMessage()
            self._bar.show(cleaned(text), advance=text.startswith(("round ", "fine-tuning the re")))


@contextmanager
def _heard(log: logging.Logger, bar: Bar | None) -> Iterator[None]:
    """Listen to a logger inside `with`; what is set of it comes back."""
    if log.handlers:  # somebody shows this package's lines already
        yield
        return
    before, heard = (log.level, log.propagate), log.getEffectiveLevel()
    told = _Told(bar, log.parent if log.propagate else None, heard)
    log.addHandler(told)
    log.propagate = False
    log.setLevel(min(heard, logging.INFO))
    try:
        yield
    finally:
        log.removeHandler(told)
        log.level, log.propagate = before
        log.setLevel(before[0])


@contextmanager
def _bar(steps: int) -> Iterator[Bar]:
    if in_notebook():
        yield _NotebookBar(steps)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(
        *columns, console=Console(file=sys.stderr), transient=sys.stderr.isatty()
    ) as shown:
        yield _TerminalBar(shown, steps)


class _TerminalBar:
    def __init__(self, shown: Any, steps: int) -> None:
        self._shown, self._task = shown, shown.add_task("begins", total=steps)

    def show(self, text: str, *, advance: bool) -> None:
        self._shown.update(self._task, description=text, advance=int(advance))


class _NotebookBar:
    """A line of HTML that is written over: needs no widgets."""

    def __init__(self, steps: int) -> None:
        from IPython.display import display

        self._steps, self._done = steps, 0
        shown: Any = display  # IPython has no types
        self._handle = shown(_html(0, steps, "begins"), display_id=True)

    def show(self, text: str, *, advance: bool) -> None:
        self._done += advance
        self._handle.update(_html(self._done, self._steps, text))


def _html(done: int, steps: int, text: str) -> Any:
    from html import escape

    from IPython.display import HTML

    html: Any = HTML
    return html(f'<progress value="{done}" max="{steps}"></progress> {escape(text)}')
