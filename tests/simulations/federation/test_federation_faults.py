"""A federation of real processes, and what happens when a part of it fails, lies or comes too late.

Each fault: what the trainer sees, what the owner sees, that the run ends or goes on with the rest,
that no ledger is overspent and that no example was disclosed unrecorded.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from clients.owner.setup import write_supernode_key
from clients.serving.socket_protocol import REFUSED, SELECT, ask
from mycroft_fl.errors import InputError, RunFailed
from mycroft_fl.examples import Examples
from mycroft_fl.privacy.spending.ledger import PrivacyLedger
from mycroft_fl.protocol.envelope import SignedTerms, sign_request
from mycroft_fl.protocol.keys import KeyPair
from simulations import server_app
from simulations.engines.processes import start
from simulations.engines.run import run
from simulations.federation.comparison import ranking, run_task
from simulations.federation.processes import MYCROFT, Federation, federation, free_port
from simulations.setup.simulation import Simulation
from strategies.deployment import superlink as deployment
from strategies.deployment.certificates import CA_CERTIFICATE, certify, make_authority
from strategies.deployment.superlink import presence, start_run
from strategies.runs.folder import RunFolder

pytestmark = pytest.mark.slow

MOST = 40
DIGITS = (Path(__file__).parents[2] / "scenarios" / "digits.toml").read_text()
SCENARIO = (
    DIGITS
    + f"""
[[owners]]
name = "a"
holds = {{ rotated = 60, upright = 40 }}
[[owners]]
name = "b"
holds = {{ rotated = 50, upright = 50 }}
[[owners]]
name = "c"
holds = {{ rotated = 20, upright = 80 }}
[run]
budget = 60
num-rounds = 2
pilot-per-owner = 6
stop-early = false
fit.epochs = 6
fine-tune.steps = 20
scoring.repeats = 2
timeout = 75.0
[policy]
max-records = {MOST}
"""
)


@pytest.fixture(scope="module", autouse=True)
def quietly_on_one_thread():
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_app, "show_progress", lambda *args, **rest: None)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def simulation(tmp_path_factory) -> Simulation:
    folder = tmp_path_factory.mktemp("faults")
    (folder / "small.toml").write_text(SCENARIO)
    return Simulation.load(
        str(folder / "small.toml"), {}, folder / "in-process", engine="in-process"
    )


@pytest.fixture(scope="module")
def expected(simulation: Simulation) -> list[tuple[Any, ...]]:
    """The ranking of the same scenario in this process."""
    RunFolder.prepared(simulation.folder.path, force=False)
    return ranking(run(simulation)["owners"])


@pytest.fixture(scope="module")
def running(simulation: Simulation) -> Iterator[Federation]:
    with federation(simulation) as made:
        yield made


@pytest.fixture
def made(running: Federation) -> Federation:
    """The federation, all there, with owners that have disclosed nothing yet."""
    if "link" not in running.processes:
        running.start_link()
    used = [name for name in running.owners if spent(running, name)]
    for name in used:
        if f"vault-{name}" in running.processes:
            running.kill(f"vault-{name}")
        for file in running.owner(name).glob("ledger*"):
            file.unlink()
    running.start_vaults(
        *(name for name in running.owners if f"vault-{name}" not in running.processes)
    )
    for name in running.owners:
        if f"supernode-{name}" not in running.processes:
            running.start_supernode(name)
    running.wait_online(*running.owners)
    return running


class Run:
    """A run of the trainer's command beside the test, line by line."""

    def __init__(self, made: Federation, *words: str) -> None:
        self.folder = made.trainer.runs / f"run-{time.monotonic_ns()}"
        self.lines: list[str] = []
        self.outcome: dict[str, Any] | None = None
        self.error = ""
        self._made = made
        command = ["run", str(made.trainer.path), str(made.task), *words]
        self._thread = threading.Thread(target=self._go, args=(command, self.folder))
        self._thread.start()

    def _go(self, command: list[str], folder: Path | None) -> None:
        try:
            self.outcome = run_task(self._made, command, folder, self.lines.append)
        except RunFailed as error:
            self.error = str(error)

    def wait_for(self, text: str) -> None:
        until(lambda: any(text in line for line in self.lines) or not self._thread.is_alive())
        assert any(text in line for line in self.lines), self.lines

    def ended(self) -> Run:
        self._thread.join()
        return self

    def resumed(self) -> dict[str, Any]:
        self._go(["resume", str(self.folder)], None)
        assert self.outcome is not None, self.error
        return self.outcome


def until(condition: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.2)


def tree(made: Federation, process: str) -> list[psutil.Process]:
    first = psutil.Process(made.processes[process].pid)
    return [first, *first.children(recursive=True)]


def halt(made: Federation, process: str) -> list[psutil.Process]:
    """Halt a process; of a vault the one with the data, while the one at the socket goes on."""
    halted = tree(made, process)[1 if process.startswith("vault-") else 0 :]
    for each in halted:
        each.send_signal(signal.SIGSTOP)
    return halted


def ledger(made: Federation, owner: str) -> PrivacyLedger:
    return PrivacyLedger(made.owner(owner) / "ledger.sqlite")


def spent(made: Federation, owner: str) -> int:
    return sum(row.records for row in ledger(made, owner).rows())


def check_books(made: Federation, folder: Path, disclosed: dict[str, int]) -> None:
    """Every example that the trainer holds is recorded as disclosed, and nobody spent too much."""
    with np.load(folder / "acquired.npz", allow_pickle=False) as file:
        owners, x = file["owner"], file["x"]
    for name in made.owners:
        book = ledger(made, name)
        assert not book.problems()
        recorded = book.disclosed()
        held = Examples(x[owners == name], np.zeros(int((owners == name).sum()), np.int64)).ids
        assert len(held) == disclosed[name]
        assert np.isin(held, recorded).all()
        assert len(recorded) == spent(made, name) <= MOST


def by_owner(outcome: dict[str, Any]) -> dict[str, int]:
    return {each["owner"]: each["disclosed"] for each in outcome["owners"]}


def finished_as_expected(
    made: Federation, expected: list[tuple[Any, ...]], stopped: Run
) -> dict[str, Any]:
    """Resume a run that stopped: it ends as if nothing had happened, and nothing was paid twice."""
    outcome = stopped.resumed()
    assert ranking(outcome["owners"]) == expected
    check_books(made, stopped.folder, by_owner(outcome))
    for name in made.owners:
        assert spent(made, name) == by_owner(outcome)[name]
    return outcome


def test_the_ranking_equals_that_of_one_process(made, expected) -> None:
    run = Run(made).ended()
    assert run.outcome is not None, run.error
    assert ranking(run.outcome["owners"]) == expected
    check_books(made, run.folder, by_owner(run.outcome))
    # Nothing that went through the SuperLink can be read there: no array of an example, no label.
    with np.load(run.folder / "acquired.npz", allow_pickle=False) as file:
        example = file["x"][0].tobytes()
    kept = b"".join(path.read_bytes() for path in made.trainer.superlink.glob("state.db*"))
    assert len(kept) > 10_000
    assert example not in kept


def test_a_supernode_that_is_killed_in_a_round_is_a_failed_owner_and_the_run_ends(made) -> None:
    halted = halt(made, "vault-b")
    run = Run(made)
    run.wait_for("round 1: asking 3 owners")
    until(lambda: spent(made, "a") > 0 and spent(made, "c") > 0)
    made.kill("supernode-b")
    for each in halted:
        each.send_signal(signal.SIGCONT)
    run.ended()
    assert run.outcome is not None, run.error
    owners = {each["owner"]: each for each in run.outcome["owners"]}
    assert (owners["b"]["status"], owners["b"]["disclosed"]) == ("failed", 0)
    assert run.outcome["rounds"][0]["failed"] == {"b": "timeout"}
    assert owners["a"]["status"] == owners["c"]["status"] == "scored"
    assert owners["a"]["disclosed"] + owners["c"]["disclosed"] > 12
    check_books(made, run.folder, by_owner(run.outcome))


def test_a_vault_that_is_killed_in_a_round_is_asked_again_once_it_is_back(made, expected) -> None:
    halt(made, "vault-b")
    run = Run(made, "--wait")
    run.wait_for("round 1: asking 3 owners")
    until(lambda: spent(made, "a") > 0 and spent(made, "c") > 0)
    made.kill("vault-b")
    run.ended()
    assert "no answer in round 1 from b" in run.error
    assert "trainer resume" in run.error
    assert spent(made, "b") == 0
    made.start_vaults("b")
    finished_as_expected(made, expected, run)


def test_a_superlink_that_is_killed_and_restarted_costs_nobody_anything(made, expected) -> None:
    halted = halt(made, "vault-b")
    run = Run(made)
    run.wait_for("round 1: asking 3 owners")
    until(lambda: spent(made, "a") > 0 and spent(made, "c") > 0)
    made.kill("link")
    for each in halted:
        each.send_signal(signal.SIGCONT)
    run.ended()
    assert "is gone; start it again with `mycroft-fl trainer link" in run.error
    made.start_link()
    made.wait_online(*made.owners)
    finished_as_expected(made, expected, run)


def test_an_owner_that_comes_after_the_timeout_has_paid_and_is_heard_when_resumed(
    made, expected
) -> None:
    halted = halt(made, "vault-b")
    run = Run(made, "--wait", "--set", "timeout=30.0").ended()
    assert "no answer in round 1 from b" in run.error
    for each in halted:
        each.send_signal(signal.SIGCONT)
    # Its answer is on its way to nobody: recorded as disclosed, though the trainer has nothing.
    until(lambda: spent(made, "b") == 6)
    finished_as_expected(made, expected, run)


def test_an_owner_whose_disk_is_full_discloses_nothing(made, expected) -> None:
    full = tree(made, "vault-b")
    for each in full:
        # As a quota that is used up: nothing can be written, everything still be read.
        each.rlimit(psutil.RLIMIT_FSIZE, (0, psutil.RLIM_INFINITY))
    run = Run(made, "--wait").ended()
    assert "no answer in round 1 from b" in run.error
    assert spent(made, "b") == 0
    for each in full:
        each.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
    finished_as_expected(made, expected, run)


def test_a_forged_request_is_refused_and_charged_to_nobody(made) -> None:
    key = made.trainer.path / "trainer.key"
    mine = key.read_bytes()
    key.unlink()
    KeyPair.generate().save(key)
    try:
        run = Run(made).ended()
    finally:
        key.write_bytes(mine)
    assert "all 3 refused: policies, or the keys" in run.error
    for name in made.owners:
        assert spent(made, name) == 0
        output = (made.owner(name) / "owner.log").read_text()
        assert "refused at the door: the request is signed by a key that is not listed" in output
    # Also at the socket itself, by whoever gets that far.
    terms = SignedTerms.fresh("run", "b", 1, 60.0)
    forged = sign_request(b"", terms, KeyPair.generate())
    assert ask(made.owner("b") / "vault.sock", SELECT, forged, timeout=60) == (REFUSED, b"")


def test_an_unregistered_supernode_does_not_come_in(made, tmp_path) -> None:
    write_supernode_key(tmp_path / "key", "stranger")
    made.start_supernode("stranger", auth_supernode_private_key=str(tmp_path / "key"))
    stranger = made.processes.pop("supernode-stranger")
    assert stranger.wait(120) != 0
    assert "not registered" in made.log("supernode-stranger") or "305" in made.log(
        "supernode-stranger"
    )
    assert {each.owner for each in presence(made.trainer)} == set(made.owners)


def test_an_expired_certificate_is_said_on_both_sides(made, tmp_path) -> None:
    make_authority(tmp_path, "lab")
    certify(tmp_path, ["127.0.0.1"], days=-1)
    port = str(free_port())
    command = ["flower-superlink", "--host", "127.0.0.1", "--port", port]
    for option, name in (
        ("ca-certfile", "ca.crt"),
        ("certfile", "server.crt"),
        ("keyfile", "server.key"),
    ):
        command += [f"--ssl-{option}", str(tmp_path / name)]
    made.launch("expired", [*command, "--enable-supernode-auth"])
    own = made.processes.pop("supernode-a")
    made.start_supernode(
        "a", superlink=f"127.0.0.1:{port}", root_certificates=str(tmp_path / CA_CERTIFICATE),
        max_retries="3",
    )  # fmt: skip
    try:
        until(lambda: "certificate has expired" in made.log("supernode-a"))
    finally:
        made.kill("supernode-a")
        made.kill("expired")
        made.processes["supernode-a"] = own
    certify(made.trainer.certs, [made.trainer.host], days=-1)
    try:
        with (tmp_path / "said").open("w") as output:
            link = [*MYCROFT, "trainer", "link", str(made.trainer.path)]
            assert start(link, made.environment("expired"), output).wait(120) == 2
        assert "certificate ran out on" in (tmp_path / "said").read_text()
    finally:
        certify(made.trainer.certs, [made.trainer.host])


TAMPERED = """
import hashlib
from flwr.app import Message
from clients import deployed_app
from clients.serving.socket_protocol import SELECT, ask
from mycroft_fl.protocol.signed import carried, carry

app = deployed_app.app.__class__()
app.query("introduce")(deployed_app.introduce)

@app.query("select")
def select(message, context):
    envelope = carried(message.content)
    socket = deployed_app._socket(context)
    changed = envelope[:-1] + bytes([envelope[-1] ^ 1])
    said = [ask(socket, SELECT, changed), ask(socket, SELECT, envelope), ask(socket, SELECT, envelope)]
    print("TAMPERED", [status for status, _ in said], flush=True)
    return Message(carry(said[1][1][:-1] + bytes([said[1][1][-1] ^ 1]), "answered"), reply_to=message)
"""


def test_a_tampered_bundle_can_neither_ask_nor_read_nor_ask_twice(made, monkeypatch) -> None:
    write = deployment.write_app

    def tampered(folder: Path, *rest: Any) -> None:
        write(folder, *rest)
        (folder / "mycroft_fl_clientapp.py").write_text(TAMPERED)

    monkeypatch.setattr(deployment, "write_app", tampered)
    folder = made.trainer.runs / f"run-{time.monotonic_ns()}"
    RunFolder.prepared(folder, force=False)
    for key, value in made.environment("command").items():
        monkeypatch.setenv(key, value)
    with pytest.raises(RunFailed, match=r"0 owners answered within 75 s \(3 malformed\)"):
        start_run(made.trainer, made.task, folder, {}, waits=False)
    for name in made.owners:
        # Changed: an error. As it was: answered, and recorded. A second time: refused.
        assert "TAMPERED [3, 1, 2]" in made.log(f"supernode-{name}")
        assert spent(made, name) == 6
        assert not ledger(made, name).problems()


def test_a_supernode_that_is_cut_off_with_its_process_alive_is_reported(made) -> None:
    halted = halt(made, "supernode-c")
    try:
        statuses = lambda: {each.owner: each.status for each in presence(made.trainer)}  # noqa: E731
        until(lambda: statuses()["c"] == "offline", seconds=300)
        assert statuses()["a"] == statuses()["b"] == "online"
        assert made.processes["supernode-c"].poll() is None
        (made.folder / "said").unlink(missing_ok=True)
        with (made.folder / "said").open("w") as output:
            command = [*MYCROFT, "trainer", "owners", str(made.trainer.path)]
            assert start(command, made.environment("command"), output).wait(120) == 0
        said = (made.folder / "said").read_text()
        assert "c is offline, even if its SuperNode's process is alive: restart that" in said
    finally:
        for each in halted:
            each.send_signal(signal.SIGCONT)


def test_bad_input_is_said_before_anything_is_brought_up(made) -> None:
    with pytest.raises(InputError, match="cannot be read as TOML"):
        start_run(made.trainer, made.folder / "none", made.folder / "run", {}, waits=False)
