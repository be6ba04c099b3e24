"""One task over a federation of real processes and the same in this process: nothing may differ."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mycroft_fl.errors import EngineFailed, RunFailed
from simulations.engines.run import run
from simulations.federation.processes import MYCROFT, Federation, federation
from simulations.setup.simulation import Simulation
from strategies.runs.folder import RunFolder

COMPARED = ("rank", "owner", "status", "score", "low", "high", "disclosed")


@dataclass(frozen=True)
class EngineComparison:
    """The owners of both runs, from first to last, and the deployment's outcome as text."""

    deployed: list[Mapping[str, Any]]
    in_process: list[Mapping[str, Any]]
    summary: str

    @property
    def equal(self) -> bool:
        """Whether ranks, scores, intervals and counts are the same to the last bit."""
        return ranking(self.deployed) == ranking(self.in_process)


def compare(simulation: Simulation, say: Callable[[str], None]) -> EngineComparison:
    """Bring a federation up, run the scenario over it and in this process, take it down."""
    say("bringing up a SuperLink and, for each owner, a vault and a SuperNode")
    with federation(simulation) as made:
        say(f"{', '.join(made.owners)} are there")
        folder = made.trainer.runs / "run"
        outcome = run_task(made, ["run", str(made.trainer.path), str(made.task)], folder, say)
        summary = (folder / "summary.md").read_text(encoding="utf-8")
    say("the same in this process")
    RunFolder.prepared(simulation.folder.path, force=False)
    result = run(replace(simulation, engine="in-process"))
    return EngineComparison(outcome["owners"], result["owners"], summary)


def run_task(
    made: Federation,
    command: Sequence[str],
    folder: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Return the outcome of a `mycroft-fl trainer` command; what it shows meanwhile goes to `say`.

    `RunFailed` with its last words where it does not exit with 0.

    Args:
        made: the federation, up and running.
        command: what follows `mycroft-fl trainer`.
        folder: of the run; None for the command's own choice.
        say: called with each line.
    """
    out = ["--out", str(folder)] if folder else []
    process = subprocess.Popen(
        [*MYCROFT, "trainer", *command, *out, "--json"], env=made.environment("command"),
        cwd=made.folder / "empty", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    made.processes["command"] = process
    lines = []
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line.rstrip())
            say(lines[-1])
        answer = process.stdout.read()
    made.processes.pop("command", None)
    if process.returncode != 0:
        raise RunFailed("\n".join(lines[-3:]))
    try:
        outcome: dict[str, Any] = json.loads(answer)
    except ValueError as error:
        raise EngineFailed(f"the command printed no outcome: {answer[:200]!r}") from error
    return outcome


def ranking(owners: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Return what a result says of each owner that could differ from engine to engine."""
    return [tuple(each[key] for key in COMPARED) for each in owners]
