"""Workers that compute a study's cells: this process, or Ray's here or on a cluster."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mycroft_fl.errors import EngineFailed
from mycroft_fl.report.study.folder import FAILED
from simulations.engines.flower import ENDINGS, THREADS, private_folder
from simulations.engines.processes import MARKER, answering, ended_by, leave, watched
from simulations.study.cell_runner import CellRunner, Outcome
from simulations.study.cells import Cell
from strategies.deployment.flower_commands import ENVIRONMENT

TRIES = 2  # of a cell whose worker died: the machine may have been short of memory for a moment
ANSWERS_WITHIN = 30.0  # seconds, of a cluster that is called
OBJECT_STORE = 80_000_000  # bytes; only cells and their results pass through it
# Ray would say at every start that a later version leaves a GPU visible to who asks for none, and its
# workers would give way to whatever else runs.
FOR_RAY = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_worker_niceness": "0"}
Finished = Iterator[tuple[Cell, Outcome]]


@dataclass(frozen=True)
class WorkerSettings:
    """How many cells run at a time, each with so many threads; `ray` is a cluster's address."""

    jobs: int
    threads: int = 1
    ray: str | None = None

    @property
    def is_one_process(self) -> bool:
        """Whether no other process is needed."""
        return self.jobs == 1 and self.ray is None


def computed(cells: Iterable[Cell], workers: WorkerSettings, scratch: Path) -> Finished:
    """Yield each cell with its outcome, as they end. Whatever happens, no process is left.

    Those of Flower's engine, which fills the machine by itself, run one by one after the others.
    """
    cells = list(cells)
    inside = [cell for cell in cells if cell.engine == "in-process"]
    alone = [cell for cell in cells if cell.engine != "in-process"]
    with ended_by(*ENDINGS):
        if workers.is_one_process or len(inside) == 0:
            yield from _one_by_one(inside, scratch)
        else:
            with _ray(workers) as actor:
                yield from _WorkerPool(actor, workers.jobs).work(inside)
        yield from _one_by_one(alone, scratch)


def _one_by_one(cells: list[Cell], scratch: Path) -> Finished:
    runner = CellRunner(scratch)
    try:
        for cell in cells:
            yield cell, runner.run(cell)
    finally:
        runner.close()


@dataclass
class _WorkerPool:
    """Actors that take a cell at a time, of the world they know as long as there are any."""

    actor: Any
    size: int
    waiting: dict[str, deque[Cell]] = field(default_factory=dict)
    busy: dict[Any, tuple[Any, Cell]] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)

    def work(self, cells: list[Cell]) -> Finished:
        import ray

        for cell in cells:
            self.waiting.setdefault(cell.world, deque()).append(cell)
        for _ in range(min(self.size, len(cells))):
            self._give(self.actor.remote(), None)
        while self.busy:
            done, _ = ray.wait(list(self.busy), num_returns=1)
            actor, cell = self.busy.pop(done[0])
            try:
                outcome = ray.get(done[0])
            except ray.exceptions.RayError as error:
                actor, outcome = self.actor.remote(), self._after_death(cell, error)
            if outcome is not None:
                yield cell, outcome
            self._give(actor, cell.world)

    def _give(self, actor: Any, known: str | None) -> None:
        if cell := self._next(known):
            self.busy[actor.run.remote(cell)] = (actor, cell)

    def _next(self, known: str | None) -> Cell | None:
        """Take a cell of the known world if any is left, else of one nobody works on, else of the largest."""
        waiting = {world: cells for world, cells in self.waiting.items() if cells}
        if not waiting:
            return None
        if known not in waiting:
            taken = {cell.world for _, cell in self.busy.values()}
            free = [world for world in waiting if world not in taken]
            known = free[0] if free else max(waiting, key=lambda world: len(waiting[world]))
        return waiting[known].popleft()

    def _after_death(self, cell: Cell, error: Exception) -> Outcome | None:
        """Say what a death means for its cell; None where it is tried again."""
        self.tries[cell.digest] = self.tries.get(cell.digest, 0) + 1
        if self.tries[cell.digest] < TRIES:
            self.waiting.setdefault(cell.world, deque()).appendleft(cell)
            return None
        why = " ".join(str(error).split())[:300]
        reason = f"its worker died {TRIES} times, perhaps for want of memory: {why}"
        return Outcome(cell.digest, FAILED, reason, 0.0)


@contextmanager
def _ray(workers: WorkerSettings) -> Iterator[Any]:
    """Yield the class of the workers, with Ray at hand: started here, or found at its address."""
    with private_folder() as folder:
        environment = {
            **ENVIRONMENT,
            **FOR_RAY,
            **dict.fromkeys(THREADS, str(workers.threads)),
            **dict.fromkeys((MARKER, "RAY_TMPDIR", "TMPDIR"), str(folder)),
        }
        with _environment(environment if workers.ray is None else FOR_RAY):
            import ray

            with watched(folder, {**os.environ, MARKER: str(folder)}):
                try:
                    try:
                        _connect(ray, workers, folder)
                    except EngineFailed:
                        # Ray gives its processes 30 seconds, which a busy machine can exceed.
                        ray.shutdown()
                        _connect(ray, workers, folder)
                    # Again: Ray has put a handler of its own in front of SIGTERM's, which prints a trace
                    # and aborts the process three seconds later, in the middle of clearing up.
                    with answering(leave, *ENDINGS):
                        yield _workers(ray, workers)
                finally:
                    with answering(signal.SIG_IGN, signal.SIGINT, *ENDINGS):
                        ray.shutdown()


def _connect(ray: Any, workers: WorkerSettings, folder: Path) -> None:
    quiet = {"log_to_driver": False, "configure_logging": False}
    try:
        if workers.ray is not None:
            _call(workers.ray)
            ray.init(address=workers.ray, **quiet)
            return
        ray.init(
            num_cpus=workers.jobs * workers.threads,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE,
            _temp_dir=str(folder / "ray"),
            **quiet,
        )
    except Exception as error:  # of many kinds, from refused connections to lack of memory
        at = f"at {workers.ray}" if workers.ray else "here"
        why = " ".join(str(error).split())[:300]
        raise EngineFailed(f"Ray does not start or answer {at}: {why}") from error


def _call(address: str) -> None:
    """Raise `OSError` where nobody listens at a host and port; Ray would try for minutes to find that out."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():  # not `auto`, which Ray looks up
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERS_WITHIN).close()


def _workers(ray: Any, workers: WorkerSettings) -> Any:
    """Return Ray's actor class: as many CPUs as threads, and a part of the GPUs where there are any."""
    gpus = ray.cluster_resources().get("GPU", 0)
    part = math.floor(1000 * min(1.0, gpus / workers.jobs)) / 1000
    options = ray.remote(num_cpus=workers.threads, num_gpus=part, max_restarts=0)
    return options(CellRunner)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set these variables for the processes that are started inside `with`."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                with contextlib.suppress(KeyError):
                    del os.environ[name]
            else:
                os.environ[name] = value
