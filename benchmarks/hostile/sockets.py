"""A stranger who reaches a vault's socket and has no listed key, and a listed trainer who floods it."""

from __future__ import annotations

import random
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np

from benchmarks.hostile.findings import Finding, megabytes
from benchmarks.hostile.flooding import flooded, honest
from benchmarks.hostile.measured import Watch, resident, size_of
from benchmarks.hostile.recorded import as_sent, held_open, reply_to
from benchmarks.hostile.stage import Owner, Stage
from clients.serving.socket_protocol import ANSWERED
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import flat_weights
from mycroft_fl.protocol.keys import KeyPair

LOG_AT_MOST = 256 << 10
GROWS_AT_MOST = 64 << 20
SLOWER_AT_MOST = 2.0
"""How many times their usual seconds the answers of one trainer may take while another floods."""
JUNK, REFUSED, REQUESTS = 3000, 2000, 120_000
CONNECTIONS, HELD, CONTENT = 200, 100, 4 << 20


def stranger(stage: Stage) -> Iterator[Finding]:
    """Junk, unfinished requests and refused ones, by somebody whose key nobody lists."""
    owner = stage.owner("open-ward")
    with owner.served() as vault:
        yield _junk(owner, vault, stage.number(JUNK))
        yield _refused(owner, stage.number(REFUSED))
        yield _unfinished(owner)


def _junk(owner: Owner, vault: subprocess.Popen[str], count: int) -> Finding:
    """Recorded requests of a stranger, cut, changed or repeated in part, and noise."""
    rng = random.Random(0)
    valid = as_sent(owner.signed(owner.stage.request(), KeyPair.generate()))
    longest = 0
    with Watch(vault.pid) as watch:
        for _ in range(count):
            longest = max(longest, len(reply_to(owner.socket, _mutated(valid, rng))))
    lived = vault.poll() is None
    figure = f"the longest reply {longest} bytes, memory grew {megabytes(watch.grown)}"
    open_for = longest > 64 or not lived or watch.grown > GROWS_AT_MOST
    return Finding("stranger", "malformed requests", count, int(open_for), figure)


def _mutated(valid: bytes, rng: random.Random) -> bytes:
    noise = rng.randbytes(rng.randrange(400))
    changed = bytearray(valid)
    for _ in range(rng.randrange(1, 4)):
        changed[rng.randrange(len(changed))] ^= rng.randrange(1, 256)
    cut = rng.randrange(len(valid))
    return rng.choice([noise, bytes(changed), valid[:cut], valid[:cut] + noise, noise + valid])


def _refused(owner: Owner, count: int) -> Finding:
    """Each refusal may be worth a line of the log, and all of them no disk."""
    before = size_of(owner.log)
    with flooded(owner, ["unlisted"], count) as flood:
        flood.ended(120)
    grown = size_of(owner.log) - before
    figure = f"{sum(flood.got.values())} refused, the log grew {grown / 1024:.0f} kB"
    got = flood.got[ANSWERED] + int(grown > LOG_AT_MOST)
    return Finding("stranger", "requests by an unlisted key fill the log", count, got, figure)


def _unfinished(owner: Owner) -> Finding:
    """Connections that say half of a large request and wait; an honest trainer beside them."""
    large = owner.signed(bytes(1 << 20), KeyPair.generate())
    half = as_sent(large)[: 1 << 19]
    held = [held_open(owner.socket, half) for _ in range(CONNECTIONS)]
    asked = honest(owner, 3, first_seed=2000, seconds=10.0)
    for each in held:
        each.close()
    figure = f"{CONNECTIONS} held, {asked.answered} of {asked.asked} honest requests answered"
    attack = "unfinished requests shut out a trainer"
    return Finding("stranger", attack, asked.asked, asked.asked - asked.answered, figure)


def flooding_trainer(stage: Stage) -> Iterator[Finding]:
    """A listed trainer floods a vault while another asks; then the other asks once more."""
    owner = stage.owner("busy-ward")
    with owner.served() as vault:
        usual = honest(owner, 15, first_seed=0)
        before, count = resident(vault.pid), stage.number(REQUESTS)
        with Watch(vault.pid) as watch, flooded(owner, ["empty", "junk"], count // 2) as flood:
            during = honest(owner, 15, first_seed=100)
            flood.ended(150)
        after = honest(owner, 3, first_seed=200)
        sent, slower = sum(flood.got.values()), during.median / usual.median
        figure = f"{slower:.2f} times the usual {1000 * usual.median:.0f} ms"
        late = int(slower > SLOWER_AT_MOST)
        lost = during.asked - during.answered
        yield Finding("trainers", "another's answers during a flood", 15, lost + late, figure)
        figure = (
            f"{sent} sent, {flood.got[ANSWERED]} answered, memory +{megabytes(watch.peak - before)}"
        )
        grew = int(watch.peak - before > GROWS_AT_MOST)
        got = flood.got[ANSWERED] + grew
        yield Finding("trainers", "signed junk and empty requests", sent, got, figure)
        figure = f"{after.answered} of {after.asked} answered after {sent} requests of another"
        lost = after.asked - after.answered
        yield Finding("trainers", "another is shut out for the rest of the day", 3, lost, figure)


def holding_trainer(stage: Stage) -> Iterator[Finding]:
    """Requests that wait in silence for a person's consent, each with a large content."""
    owner = stage.owner(
        "slow-ward", "--mode", "raw", "--mode", "score", "--max-records", "300", "--epsilon", "1.0",
        policy={"approval": True, "answers": 4},
    )  # fmt: skip
    with owner.served() as vault, ExitStack() as stack:
        _scored(owner, 0)  # loads what any noised answer needs
        with Watch(vault.pid) as watch:
            with ThreadPoolExecutor(16) as senders:
                for held in senders.map(lambda seed: _held(owner, seed), range(HELD)):
                    stack.enter_context(held)
            asked = sum(_scored(owner, seed) for seed in (1, 2))
    sent = HELD * CONTENT
    figure = f"{asked} of 2 answered while {HELD} were held"
    yield Finding("trainers", "held requests shut out another trainer", 2, 2 - asked, figure)
    figure = f"{megabytes(watch.grown)} held of {megabytes(sent)} sent"
    kept = int(watch.grown > max(GROWS_AT_MOST, sent // 4))
    yield Finding("trainers", "held requests keep their content", HELD, kept, figure)


def _held(owner: Owner, seed: int) -> socket.socket:
    return held_open(owner.socket, as_sent(_waiting(owner, seed)), seconds=10.0)


def _waiting(owner: Owner, seed: int) -> bytes:
    """A request of `rival`, for a day, that a person would have to look at."""
    content = np.zeros(CONTENT // 4, np.float32)
    request = owner.stage.request(seed=seed, weights=content)
    return owner.signed(request, owner.stage.rival, owner.terms(86_000.0))


def _scored(owner: Owner, seed: int) -> bool:
    """Whether the trainer `lab` got a noised score, which waits for nobody."""
    stage = owner.stage
    weights = flat_weights(build("mlp", stage.task.task.shape, 2, seed=seed))
    status, _ = owner.ask(stage.request(mode="score", weights=weights, seed=seed), seconds=30.0)
    return status == ANSWERED
