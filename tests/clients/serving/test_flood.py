"""A vault as a real process under 100,000 junk requests of one listed trainer, beside strangers'."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from clients.serving.socket_protocol import ANSWERED, SELECT, ask
from mycroft_fl.protocol.keys import KeyPair

Hospital = Any
JUNK = 100_000

FLOOD = """
import dataclasses, secrets, socket, sys
from pathlib import Path
from clients.serving.socket_protocol import HEAD, SELECT, connect
from mycroft_fl.protocol.envelope import SignedTerms, sign_request
from mycroft_fl.protocol.keys import KeyPair

place, key, count = Path(sys.argv[1]), KeyPair.load(Path(sys.argv[2])), int(sys.argv[3])
stranger = KeyPair.generate()
terms = SignedTerms.fresh("junk", "hospital", 1, 86400.0)
forged = sign_request(b"", terms, stranger)
for number in range(count):
    own = dataclasses.replace(terms, nonce=secrets.token_hex(16))
    junk = [sign_request(b"", own, key)]
    # Beside each tenth a stranger's: unsigned, signed by a key that nobody knows, or cut off.
    if number % 10 == 0:
        junk.append([b"x" * 300, forged, forged[:100]][number // 10 % 3])
    for each in junk:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connect(connection, place, 60)
            connection.sendall(HEAD.pack(SELECT, max(len(each), 200)) + each)
            connection.shutdown(socket.SHUT_WR)
            try:
                while connection.recv(1 << 16):
                    pass
            except ConnectionResetError:
                pass
    if number % 1000 == 0:
        print(number, flush=True)
"""


def with_clinic(hospital: Hospital) -> KeyPair:
    """A second trainer of that hospital."""
    clinic = KeyPair.generate()
    (hospital.folder / "trainer-clinic.pub").write_text(clinic.public.text("clinic"))
    path = hospital.folder / "owner.toml"
    path.write_text(
        path.read_text().replace(
            "trainers = [", 'trainers = [{ name = "clinic", key = "trainer-clinic.pub" },'
        )
    )
    return clinic


def seconds_of(hospital: Hospital, clinic: KeyPair, seed: int) -> float:
    request = hospital.request(seed=seed, k=1)
    envelope = hospital.envelope(request, hospital.terms(), clinic)
    began = time.monotonic()
    assert ask(hospital.file.vault.socket, SELECT, envelope, timeout=120)[0] == ANSWERED
    return time.monotonic() - began


@pytest.mark.slow
def test_a_hundred_thousand_junk_requests_of_one_trainer_shut_out_no_other(
    make_hospital: Callable[..., Hospital], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hospital = make_hospital(policy={"max-records": 120, "modes": ["raw"]}, requests=5000)
    clinic = with_clinic(hospital)
    hospital.trainer.save(tmp_path / "lab.key")
    with hospital.served() as process:
        server = psutil.Process(process.pid)
        seconds_of(hospital, clinic, 0)
        usual = [seconds_of(hospital, clinic, seed % 12) for seed in range(1, 41)]
        command = [sys.executable, "-c", FLOOD, str(hospital.file.vault.socket)]
        flood = subprocess.Popen(
            [*command, str(tmp_path / "lab.key"), str(JUNK)], cwd=Path(__file__).parents[3],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert flood.stdout is not None
        flooded, memory, reached, began = [], [], 0, time.monotonic()
        for line in flood.stdout:
            reached = int(line)
            flooded.append(seconds_of(hospital, clinic, reached // 1000 % 12))
            memory.append(server.memory_info().rss)
        took = time.monotonic() - began
        flood.stdout.close()
        assert flood.wait(60) == 0
        usual += [seconds_of(hospital, clinic, seed % 12) for seed in range(41, 81)]
    ratio = statistics.median(flooded) / statistics.median(usual)
    grown = memory[-1] - memory[10]
    with capsys.disabled():
        print(
            f"\n{JUNK} junk requests in {took:.0f} s; another trainer: {statistics.median(usual):.4f} s "
            f"usually, {statistics.median(flooded):.4f} s meanwhile (x {ratio:.2f}); memory "
            f"{grown / 2**20:+.1f} MiB; log {len(hospital.log)} bytes"
        )
    assert reached == JUNK - 1000
    assert ratio < 2
    assert grown < 8 << 20
    assert len(hospital.log) < 1 << 20
    assert (
        "requests of this trainer are in force" in hospital.log or "seconds an hour" in hospital.log
    )
