"""Trainers that an owner has taken off its list, keys that were changed, vaults that were stopped."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

from benchmarks.hostile.findings import Finding
from benchmarks.hostile.stage import MYCROFT, Owner, Stage, close, environment
from clients.serving.socket_protocol import ANSWERED
from mycroft_fl.protocol.keys import KeyPair

RACES = 4
BUDGET = 10


def revocation(stage: Stage) -> Iterator[Finding]:
    """A trainer taken off owner.toml, a key that changes hands, a stop that races with a start."""
    yield _taken_off(stage)
    yield _new_key(stage)
    yield _listed_twice(stage)
    yield _stopped(stage, stage.number(RACES))


def _taken_off(stage: Stage) -> Finding:
    """Requests after the trainer's lines went from owner.toml, the vault still up."""
    owner = stage.owner("strict-ward")
    with owner.served():
        first, _ = owner.ask(stage.request(), stage.rival)
        assert first == ANSWERED
        with owner.file() as content:
            content["trainers"] = [each for each in content["trainers"] if each["name"] != "rival"]
        statuses = [owner.ask(stage.request(seed=seed), stage.rival)[0] for seed in range(1, 9)]
        kept, _ = owner.ask(stage.request(seed=20))
    answered = statuses.count(ANSWERED)
    figure = f"{answered} answers after it; the other trainer's request {'answered' if kept == 1 else 'LOST'}"
    return Finding("revoked", "a trainer taken off owner.toml", len(statuses), answered, figure)


def _new_key(stage: Stage) -> Finding:
    """A trainer that has spent its own budget comes back under a new key of the same name."""
    owner = stage.owner("old-ward")
    with owner.file() as content:
        content["trainers"][0]["max-records"] = BUDGET
    with owner.served():
        before = sum(
            owner.ask(stage.request(seed=seed))[0] == ANSWERED for seed in range(BUDGET + 3)
        )
    changed = KeyPair.generate()
    listed = owner.folder / "trainer-lab.pub"
    listed.write_text(changed.public.text("lab") + "\n")
    try:
        with owner.served():
            seeds = range(100, 100 + BUDGET)
            after = sum(
                owner.ask(stage.request(seed=seed), changed)[0] == ANSWERED for seed in seeds
            )
    except RuntimeError:  # it does not open before a person has said whose key that is
        after = 0
    figure = f"{before} of {BUDGET} answered under the old key, {after} more under the new one"
    return Finding("revoked", "a new key of one trainer gets new budgets", BUDGET, after, figure)


def _listed_twice(stage: Stage) -> Finding:
    """One key under two names would have two budgets."""
    owner = stage.owner("twin-ward")
    with owner.file() as content:
        twin = {**content["trainers"][0], "name": "lab-again"}
        content["trainers"] = [*content["trainers"], twin]
    command = [*MYCROFT, "owner", "check", str(owner.folder)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    figure = f"`owner check` exits with {done.returncode}"
    return Finding("revoked", "one key listed twice", 1, int(done.returncode != 2), figure)


def _stopped(stage: Stage, races: int) -> Finding:
    """`owner stop` at any moment of a start: what is stopped answers nobody."""
    owner = stage.owner("halted-ward")
    answered, moments = 0, []
    for turn in range(races):
        serving = subprocess.Popen(
            [*MYCROFT, "owner", "serve", str(owner.folder), "--after-stop"], env=environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        # From before Python is up to after the vault is: later each turn.
        moment = _sometime(owner, serving, turn / max(1, races - 1))
        subprocess.run(
            [*MYCROFT, "owner", "stop", str(owner.folder)], env=environment(),
            capture_output=True, timeout=120, check=False,
        )  # fmt: skip
        moments.append(moment)
        time.sleep(2.0)
        answered += owner.ask(stage.request(seed=turn), seconds=10.0)[0] == ANSWERED
        close(serving)
    figure = f"stopped {[round(each, 1) for each in moments]} s after the start, {answered} answers"
    return Finding("revoked", "owner stop while the vault starts", races, answered, figure)


def _sometime(owner: Owner, serving: subprocess.Popen[str], share: float) -> float:
    """Wait for `share` of what a start takes here; the seconds waited."""
    began = time.monotonic()
    if share >= 1:
        while not owner.socket.exists() and serving.poll() is None:
            time.sleep(0.05)
    else:
        time.sleep(6.0 * share)
    return time.monotonic() - began
