"""Ledgers under kill -9: whoever dies while charging must neither buy again nor hand over unpaid."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.hostile.findings import Finding
from benchmarks.hostile.measured import tree
from benchmarks.hostile.stage import Owner, Stage, close, environment
from clients.serving.socket_protocol import ANSWERED
from mycroft_fl.errors import MycroftError
from mycroft_fl.privacy.spending.ledger import PrivacyLedger
from mycroft_fl.protocol.messages import Expected
from mycroft_fl.protocol.signed import carry, unpack_sealed
from mycroft_fl.protocol.wire import unpack_report

RACERS, KILLS, VAULT_KILLS = 3, 40, 4
RACE_LIMIT, LIMIT = 600, 60
"""Records in all, so few that the last charges race for what is left."""
CHARGER = Path(__file__).with_name("charger.py")


def killed(stage: Stage) -> Iterator[Finding]:
    """Racing charges on one ledger, then a vault, both killed again and again."""
    with tempfile.TemporaryDirectory(prefix="mycroft-") as folder:
        yield _racing(Path(folder), stage.number(KILLS))
    yield from _vault(stage, stage.number(VAULT_KILLS))


def _racing(folder: Path, kills: int) -> Finding:
    """Processes that charge as fast as they can, one of them killed every few hundredths of a second."""
    file, out = folder / "ledger.sqlite", folder / "left"
    out.mkdir()
    rng = random.Random(0)
    racers = [_racer(file, out, place) for place in range(RACERS)]
    _wait_for(out, RACERS)
    done = 0
    while done < kills:
        time.sleep(rng.uniform(0.01, 0.1))
        victim = rng.randrange(RACERS)
        if racers[victim].poll() is None:
            racers[victim].kill()
        racers[victim].wait()
        done += 1
        racers[victim] = _racer(file, out, RACERS + done)
        _wait_for(out, RACERS + done)
    for each in racers:
        each.kill()
        each.wait()
    left = [int(line) for each in out.iterdir() for line in each.read_text().split()]
    book = PrivacyLedger(file)
    recorded = set(book.disclosed().tolist())
    spent = sum(row.records for row in book.rows())
    wrong = len([each for each in left if each not in recorded]) + max(0, spent - RACE_LIMIT)
    wrong += len(left) - len(set(left)) + len(book.problems())
    figure = (
        f"{spent} of {RACE_LIMIT} records charged, {len(left)} left, {wrong} unpaid, twice or over"
    )
    return Finding("kill -9", "charges that race on one ledger", kills, wrong, figure)


def _racer(file: Path, out: Path, place: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(CHARGER), str(file), str(out / str(place))]
    command += [str(place), str(RACE_LIMIT)]
    return subprocess.Popen(command, env=environment())


def _wait_for(out: Path, count: int) -> None:
    """Until so many racers have begun: one killed while it imports shows nothing."""
    deadline = time.monotonic() + 60
    while len(list(out.iterdir())) < count and time.monotonic() < deadline:
        time.sleep(0.01)


def _vault(stage: Stage, kills: int) -> Iterator[Finding]:
    """A vault killed whole or in its data's process while it answers, and opened again."""
    owner = stage.owner("frail-ward", "--mode", "raw", "--max-records", str(LIMIT), "--no-approval")
    rng, handed, answers, survived = random.Random(1), set(), 0, 0
    vault = owner.opened()
    try:
        for turn in range(kills):
            killer = _kill_soon(vault, whole=turn % 2 == 1, seconds=rng.uniform(0.0, 0.4))
            for number in range(12):
                ids = _handed(owner, 1000 * turn + number)
                handed |= ids
                answers += bool(ids)
            killer.wait()
            if vault.poll() is not None:
                close(vault)
                vault = owner.opened()
            survived += 1
        while ids := _handed(owner, 10_000 + answers):
            handed |= ids
            answers += 1
    finally:
        close(vault)
    book = PrivacyLedger(owner.folder / "ledger.sqlite")
    spent = sum(row.records for row in book.rows())
    unpaid = len(handed - set(book.disclosed().tolist()))
    wrong = unpaid + max(0, spent - LIMIT) + len(book.problems())
    figure = (
        f"{survived} kills survived, {answers} answers, {spent} of {LIMIT} records spent, "
        f"overspent {max(0, spent - LIMIT)}, unpaid {unpaid}"
    )
    yield Finding("kill -9", "a vault killed while it answers", kills, wrong, figure)


def _kill_soon(
    vault: subprocess.Popen[str], *, whole: bool, seconds: float
) -> subprocess.Popen[bytes]:
    """A process that kills the vault, or its process with the data alone, in a moment."""
    found = [each.pid for each in tree(vault.pid)]
    pids = found if whole else found[1:]
    code = (
        "import json, os, sys, time\n"
        "time.sleep(float(sys.argv[1]))\n"
        "for pid in json.loads(sys.argv[2]):\n"
        "    try: os.kill(pid, 9)\n"
        "    except ProcessLookupError: pass\n"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(seconds), json.dumps(pids)])


def _handed(owner: Owner, seed: int) -> set[int]:
    """The ids of the examples that the trainer `lab` got for one new request; empty for no answer."""
    stage = owner.stage
    request, terms = stage.request(seed=seed), owner.terms()
    status, sealed = owner.send(owner.signed(request, terms=terms), 60.0)
    if status != ANSWERED:
        return set()
    task = stage.task.task
    try:
        content, _ = unpack_sealed(carry(sealed, "answered"), terms, stage.lab)
        report = unpack_report(content, Expected(task.shape, task.dtype, 2, request.k))
    except MycroftError:
        return set()
    return set() if report.disclosed is None else {int(each) for each in report.disclosed.ids}
