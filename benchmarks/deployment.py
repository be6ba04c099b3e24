"""What a round costs over a deployment, beside an empty round of Flower's own, with warm vaults.

    python -m benchmarks.deployment --rounds 8 --turns 2

Brings up a SuperLink and three owners as real processes, with TLS and authentication. In turns it runs
a bundle that sends an empty message to every owner, and the project's own; only the time from
sending to the last answer counts. What the trainer computes in between is the same without owners.
"""

from __future__ import annotations

import argparse
import re
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from simulations.federation.comparison import run_task
from simulations.federation.processes import Federation, federation
from simulations.setup.simulation import Simulation
from strategies.deployment.flower_commands import flower_lines, write_app
from strategies.deployment.superlink import private_environment
from strategies.deployment.trainer_folder import CONNECTION

SERVER = """
import time
from flwr.app import Message, RecordDict
from flwr.serverapp import ServerApp

app = ServerApp()

@app.main()
def main(grid, context):
    for _ in range(int(context.run_config["rounds"])):
        since = time.monotonic()
        nodes = list(grid.get_node_ids())
        messages = [Message(RecordDict(), dst_node_id=node, message_type="query") for node in nodes]
        replies = list(grid.send_and_receive(messages))
        print(f"EMPTY {time.monotonic() - since:.2f} {len(replies)}", flush=True)
"""
CLIENT = """
from flwr.app import Message
from flwr.clientapp import ClientApp

app = ClientApp()

@app.query()
def query(message, context):
    return Message(message.content, reply_to=message)
"""
EMPTY, OURS = re.compile(r"EMPTY ([\d.]+) 3"), re.compile(r"answers took ([\d.]+) s")
SETTINGS = {
    "owners": 3, "pilot-per-owner": 2, "stop-early": False, "fit.epochs": 2,
    "fine-tune.steps": 2, "scoring.repeats": 1, "subset-weight": 0.25, "allocation": "equal",
}  # fmt: skip


def empty_rounds(made: Federation, rounds: int) -> list[float]:
    """Seconds of each empty round."""
    with tempfile.TemporaryDirectory(prefix="mycroft-") as place:
        bundle = Path(place) / "bundle"
        write_app(bundle, {"rounds": rounds}, ("none", "none"))
        (bundle / "mycroft_fl_serverapp.py").write_text(SERVER)
        (bundle / "mycroft_fl_clientapp.py").write_text(CLIENT)
        command = ["flwr", "run", str(bundle), CONNECTION, "--stream"]
        environment = private_environment(made.trainer)
        lines = flower_lines(command, environment, lambda line: None)
    return times(EMPTY, lines, rounds)


def our_rounds(made: Federation, rounds: int, turn: int) -> list[float]:
    """Seconds from sending to the last answer of each round; every turn asks for something new."""
    lines: list[str] = []
    settings = ["--set", f"num-rounds={rounds}", "--set", f"budget={9 * rounds}"]
    command = ["run", str(made.trainer.path), str(made.task), *settings, "--set", f"seed={turn}"]
    run_task(made, command, made.trainer.runs / f"turn-{turn}", lines.append)
    return times(OURS, lines, rounds)


def times(pattern: re.Pattern[str], lines: Sequence[str], rounds: int) -> list[float]:
    """The seconds that these lines tell of; a run that lost an owner or a round tells nothing."""
    found = [float(match[1]) for line in lines if (match := pattern.search(line))]
    if len(found) != rounds:
        raise SystemExit(f"{len(found)} of {rounds} rounds were whole:\n" + "\n".join(lines[-20:]))
    return found


def main() -> None:
    """Print one table row for each, and their ratio."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=8)
    arguments.add_argument("--turns", type=int, default=2)
    given = arguments.parse_args()
    empty: list[float] = []
    ours: list[float] = []
    with tempfile.TemporaryDirectory(prefix="mycroft-") as place:
        simulation = Simulation.load("rotated-digits", SETTINGS, Path(place), engine="in-process")
        with federation(simulation) as made:
            for turn in range(given.turns):
                empty += empty_rounds(made, given.rounds)
                ours += our_rounds(made, given.rounds, turn)
    print("| round | rounds | median, s | mean, s | longest, s |\n|---|---|---|---|---|")
    for name, each in (("Flower's own, empty", empty), ("a request and examples", ours)):
        print(
            f"| {name} | {len(each)} | {statistics.median(each):.1f} | {statistics.mean(each):.1f} | "
            f"{max(each):.1f} |"
        )
    print(f"ratio of medians {statistics.median(ours) / statistics.median(empty):.2f}, ", end="")
    print(f"of means {statistics.mean(ours) / statistics.mean(empty):.2f}")


if __name__ == "__main__":
    main()
