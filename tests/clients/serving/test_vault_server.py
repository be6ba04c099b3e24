"""The vault as a process: it answers its protocol to listed trainers, and nothing else to anybody."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.supercore.task_identity import TaskIdentity

from clients.owner.load import open_vault, records_of
from clients.serving.socket_protocol import ANSWERED, FAILED, HEAD, INTRODUCE, REFUSED, SELECT, ask
from mycroft_fl.protocol.keys import KeyPair
from mycroft_fl.protocol.signed import unpack_sealed
from mycroft_fl.protocol.wire import INTRODUCE as INTRODUCE_TYPE
from mycroft_fl.protocol.wire import SELECT as SELECT_TYPE
from mycroft_fl.protocol.wire import pack_introduction_request, report_status, unpack_introduction

SECRET = b"Bartholomew"
Hospital = Any


@pytest.fixture(autouse=True)
def _a_running_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower makes messages only inside of what it believes to be a run."""
    for name in ("run_id", "task_id", "node_id"):
        monkeypatch.setattr(TaskIdentity, f"_{name}", 1)


@pytest.fixture(scope="module")
def hospital(make_hospital: Callable[..., Hospital]) -> Iterator[Hospital]:
    hospital = make_hospital(**{"max-megabytes": 1})
    with hospital.served() as process:
        hospital.process = process
        yield hospital


def test_an_answer_holds_what_the_vault_itself_would_pick(
    hospital: Hospital, make_hospital: Callable[..., Hospital]
) -> None:
    status, report = hospital.ask()
    assert status == ANSWERED
    twin = make_hospital()
    peer = twin.trainer.public.fingerprint
    own = open_vault(twin.file).answer(twin.request(), peer).disclosed
    assert report.disclosed.ids.tolist() == own.ids.tolist()
    assert report.disclosed.y.tolist() == own.y.tolist()
    assert len(own) == 4


def test_the_ledger_knows_the_trainer_by_its_key(hospital: Hospital) -> None:
    hospital.ask()
    assert {row.peer for row in hospital.ledger_rows()} == {hospital.trainer.public.fingerprint}


def test_asked_again_under_new_terms_the_same_examples_come_and_nothing_is_charged(
    hospital: Hospital,
) -> None:
    request = hospital.request(seed=7)
    _, first = hospital.ask(request)
    charged = hospital.ledger_rows()
    _, again = hospital.ask(request)
    assert again.disclosed.ids.tolist() == first.disclosed.ids.tolist()
    assert hospital.ledger_rows() == charged


def test_only_what_may_be_handed_over_is(hospital: Hospital) -> None:
    records = records_of(hospital.file, hospital.task)
    assert records.may_leave is not None
    kept = set(records.examples.ids[~records.may_leave].tolist())
    assert len(kept) > 10
    _, report = hospital.ask(hospital.request(seed=8, k=9))
    assert len(report.disclosed) == 9
    assert not kept & set(report.disclosed.ids.tolist())


def test_a_noised_score_is_by_person_where_the_file_names_them(hospital: Hospital) -> None:
    from mycroft_fl.models.networks import build
    from mycroft_fl.models.weights import flat_weights

    weights = flat_weights(build("mlp", hospital.task.shape, 2, seed=0))
    _, report = hospital.ask(hospital.request(mode="score", weights=weights))
    assert report.statistic.values.shape == (4,)
    assert (report.card.unit, report.card.noise) == ("person", "os-entropy")


def test_an_envelope_is_answered_once(hospital: Hospital) -> None:
    envelope = hospital.envelope(hospital.request(), hospital.terms())
    assert hospital.send(envelope)[0] == ANSWERED
    assert hospital.send(envelope) == (REFUSED, b"")
    assert "answered before" in hospital.log


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"owner": "bank"}, "for another owner"),
        ({"issued": 1e9, "expires": 1e9 + 60}, "expired"),
        ({"issued": 4e9, "expires": 4e9 + 60}, "expired"),
        ({"expires": 4e9}, "24 hours"),
    ],
)
def test_a_request_that_is_not_for_here_and_now_is_refused(
    hospital: Hospital, terms: dict[str, Any], said: str
) -> None:
    charged = hospital.ledger_rows()
    envelope = hospital.envelope(hospital.request(seed=20), hospital.terms(**terms))
    assert hospital.send(envelope) == (REFUSED, b"")
    assert said in hospital.log
    assert hospital.ledger_rows() == charged


def test_an_unlisted_key_and_a_forged_signature_get_nothing(hospital: Hospital) -> None:
    charged = hospital.ledger_rows()
    request, terms = hospital.request(seed=21), hospital.terms()
    stranger = hospital.envelope(request, terms, KeyPair.generate())
    assert hospital.send(stranger) == (REFUSED, b"")
    own = hospital.envelope(request, terms)
    head = len(b"mycroft-fl request 2\n")
    forged = own[: head + 32] + stranger[head + 32 :]
    assert hospital.send(forged) == (FAILED, b"")
    assert hospital.send(own[:-1] + bytes([own[-1] ^ 1])) == (FAILED, b"")
    assert hospital.ledger_rows() == charged
    # None of it used the terms up.
    assert hospital.send(own)[0] == ANSWERED


def test_a_listed_trainers_junk_is_an_error_and_reaches_no_data(hospital: Hospital) -> None:
    from mycroft_fl.protocol.envelope import sign_request

    charged = hospital.ledger_rows()
    for junk in (b"", b"junk", bytes(1000)):
        envelope = sign_request(junk, hospital.terms(), hospital.trainer)
        assert hospital.send(envelope) == (FAILED, b"")
    other_round = hospital.envelope(hospital.request(server_round=2), hospital.terms())
    assert hospital.send(other_round) == (FAILED, b"")
    assert "malformed: the request is of another round" in hospital.log
    assert hospital.ledger_rows() == charged


def test_what_the_policy_refuses_is_refused_in_one_word(hospital: Hospital) -> None:
    request = hospital.request(mode="gradient", weights=np.zeros(3, np.float32))
    assert hospital.ask(request) == (REFUSED, None)
    assert "mode 'gradient' is not allowed" in hospital.log


def test_a_requests_text_cannot_write_lines_into_the_log(hospital: Hospital) -> None:
    hospital.ask(hospital.request(method="x\n2026-01-01 INFO all is well\x1b[2J"))
    assert "\n2026-01-01 INFO all is well" not in hospital.log
    assert "\x1b" not in hospital.log


def test_only_the_vaults_user_reaches_the_socket_where_no_group_is_named(
    hospital: Hospital,
) -> None:
    assert hospital.file.vault.socket.stat().st_mode & 0o777 == 0o600
    for name in ("owner.log", "ledger.sqlite", "vault.key"):
        assert (hospital.folder / name).stat().st_mode & 0o077 == 0


def test_it_says_its_name_to_whoever_asks(hospital: Hospital) -> None:
    assert ask(hospital.file.vault.socket, INTRODUCE) == (ANSWERED, b"hospital")


def test_a_second_vault_does_not_open_beside_it(hospital: Hospital) -> None:
    second = hospital.run("serve")
    assert second.returncode == 2
    assert f"process {hospital.process.pid} serves this vault already" in second.stderr


def kill_data_process(hospital: Hospital) -> None:
    [child] = [
        each
        for each in psutil.Process(hospital.process.pid).children()
        if "spawn_main" in " ".join(each.cmdline())
    ]
    child.kill()
    wait_until(lambda: child.status() == psutil.STATUS_ZOMBIE)


def test_a_data_process_that_dies_is_opened_again(hospital: Hospital) -> None:
    kill_data_process(hospital)
    assert hospital.ask(hospital.request(seed=30))[0] == ANSWERED


def test_data_that_cannot_be_opened_again_is_not_quoted_in_the_log(hospital: Hospital) -> None:
    table = hospital.base / "patients.csv"
    whole = table.read_text()
    first, *rest = whole.splitlines()
    record = dict(zip(first.split(","), rest[0].split(","), strict=True))
    record["outcome"] = (
        SECRET.decode()
    )  # a label that the task does not know, which the error names
    table.write_text("\n".join([first, ",".join(record.values()), *rest[1:]]) + "\n")
    try:
        kill_data_process(hospital)
        assert hospital.ask(hospital.request(seed=31)) == (FAILED, None)
    finally:
        table.write_text(whole)
    assert "the data cannot be opened again" in hospital.log
    assert SECRET not in hospital.log.encode()
    assert hospital.ask(hospital.request(seed=31))[0] == ANSWERED


# Through Flower's ClientApp


def through_flower(app: ClientApp, content: RecordDict, kind: str, vault: Path) -> RecordDict:
    message = Message(content, dst_node_id=7, message_type=kind)
    message.metadata.__dict__["_message_id"] = message.object_id
    context = Context(
        run_id=1, node_id=7, node_config={"vault": str(vault)}, state=RecordDict(), run_config={}
    )
    reply: Message = app(message, context)
    assert not reply.has_error()
    return reply.content


def test_the_client_app_carries_a_request_to_the_vault_and_its_answer_back(
    hospital: Hospital,
) -> None:
    from clients.deployed_app import app

    at, request, terms = hospital.file.vault.socket, hospital.request(seed=40), hospital.terms()
    reply = through_flower(app, hospital.message(request, terms), SELECT_TYPE, at)
    assert report_status(reply) == "answered"
    _, key = unpack_sealed(reply, terms, hospital.trainer)
    assert key.text("hospital") + "\n" == (hospital.folder / "vault.pub").read_text()
    introduced = through_flower(app, pack_introduction_request(), INTRODUCE_TYPE, at)
    assert unpack_introduction(introduced) == "hospital"


def test_the_client_app_says_error_where_there_is_no_vault_and_refused_where_it_refuses(
    hospital: Hospital, tmp_path: Path
) -> None:
    from clients.deployed_app import app

    request = hospital.message(hospital.request(), hospital.terms(owner="bank"))
    nowhere, here = tmp_path / "vault.sock", hospital.file.vault.socket
    for kind, content in ((SELECT_TYPE, request), (INTRODUCE_TYPE, pack_introduction_request())):
        assert report_status(through_flower(app, content, kind, nowhere)) == "error"
    assert report_status(through_flower(app, request, SELECT_TYPE, here)) == "refused"
    assert report_status(through_flower(app, RecordDict(), SELECT_TYPE, here)) == "error"


def test_a_client_process_loads_no_torch_to_carry_an_answer(hospital: Hospital) -> None:
    """The whole of it in a fresh process, as a SuperNode starts one for every message."""
    import sys

    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "import clients.deployed_app\n"
        "from clients.serving.socket_protocol import SELECT, ask\n"
        "status, _ = ask(Path(sys.argv[1]), SELECT, sys.stdin.buffer.read())\n"
        "heavy = {'torch', 'sklearn', 'pandas', 'opacus', 'ray'} & set(sys.modules)\n"
        "print(status, sorted(heavy))\n"
    )
    envelope = hospital.envelope(hospital.request(seed=41), hospital.terms())
    done = subprocess.run(
        [sys.executable, "-c", code, str(hospital.file.vault.socket)],
        input=envelope, capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout.decode().strip() == f"{ANSWERED} []"


# Strangers at the socket


def junk(rng: np.random.Generator, hospital: Hospital, valid: bytes) -> bytes:
    """One malformed request: noise, or a valid one cut, changed, mislabelled or with a false length."""
    size = int(rng.integers(0, 400))
    noise = rng.bytes(size)
    changed = bytearray(valid)
    for place in rng.integers(0, len(valid), size=int(rng.integers(1, 4))):
        changed[place] ^= int(rng.integers(1, 256))
    return [
        lambda: noise,
        lambda: HEAD.pack(SELECT, len(noise)) + noise,
        lambda: HEAD.pack(int(rng.integers(0, 256)), int(rng.integers(0, 2**32))) + noise,
        lambda: HEAD.pack(SELECT, len(changed)) + bytes(changed),
        lambda: HEAD.pack(SELECT, len(valid)) + valid[:size],
        lambda: HEAD.pack(SELECT, len(valid) + 7) + valid,
        lambda: HEAD.pack(SELECT, 21 + size) + b"mycroft-fl request 2\n" + noise,
        lambda: HEAD.pack(INTRODUCE, len(noise) + 1) + noise,
        lambda: HEAD.pack(SELECT, 2**32 - 1) + noise,
    ][int(rng.integers(0, 9))]()


def reply_to(path: Path, content: bytes) -> bytes:
    """All that the socket says to these bytes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(60)
        connection.connect(str(path))
        said = b""
        try:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(1 << 16):
                said += piece
        except (BrokenPipeError, ConnectionResetError):
            # Closed on us while we were still sending.
            pass
        return said


NOTHING = {b"", HEAD.pack(FAILED, 0), HEAD.pack(REFUSED, 0)}


def fuzz(hospital: Hospital, count: int, seed: int) -> list[int]:
    """The server's memory, in bytes, ten times on the way through `count` malformed requests."""
    rng = np.random.default_rng(seed)
    valid = hospital.envelope(hospital.request(), hospital.terms(owner="bank"))
    server, memory = psutil.Process(hospital.process.pid), []
    for number in range(count):
        said = reply_to(hospital.file.vault.socket, junk(rng, hospital, valid))
        assert said in NOTHING, said[:100]
        if number % (count // 10) == 0:
            memory.append(server.memory_info().rss)
    return [*memory, server.memory_info().rss]


def check_fuzzed(hospital: Hospital, count: int, seed: int) -> None:
    charged = hospital.ledger_rows()
    memory = fuzz(hospital, count, seed)
    assert hospital.process.poll() is None
    # Between a tenth of the way and its end: what a first request brings is no growth.
    assert memory[-1] - memory[1] < 8 << 20, memory
    assert hospital.ledger_rows() == charged
    assert SECRET not in hospital.log.encode()
    assert len(hospital.log.splitlines()) < 200 + count // 5
    assert hospital.ask(hospital.request(seed=50))[0] == ANSWERED


def test_three_thousand_malformed_requests_get_nothing_and_leave_nothing(
    hospital: Hospital,
) -> None:
    check_fuzzed(hospital, 3000, seed=0)


@pytest.mark.slow
def test_a_hundred_thousand_malformed_requests_get_nothing_and_leave_nothing(
    hospital: Hospital,
) -> None:
    check_fuzzed(hospital, 100_000, seed=1)


def test_a_listed_trainer_that_is_hostile_gets_nothing_but_answers_and_one_word(
    hospital: Hospital,
) -> None:
    """Signed junk reaches the process with the data: it stays up, and its log tells no record."""
    from mycroft_fl.protocol.envelope import sign_request
    from mycroft_fl.protocol.signed import as_bytes
    from mycroft_fl.protocol.wire import pack_request

    rng = np.random.default_rng(0)
    # A mode that is not allowed: what is still well formed is refused, and nothing is spent.
    weights = np.zeros(10, np.float32)
    valid = as_bytes(pack_request(hospital.request(mode="gradient", weights=weights)))
    charged, statuses = hospital.ledger_rows(), set()
    for _ in range(400):
        content = bytearray(valid)
        for place in rng.integers(0, len(valid), size=int(rng.integers(1, 8))):
            content[place] ^= int(rng.integers(1, 256))
        cut = len(valid) if rng.random() < 0.5 else int(rng.integers(0, len(valid)))
        envelope = sign_request(bytes(content[:cut]), hospital.terms(), hospital.trainer)
        status, answer = hospital.send(envelope)
        statuses.add(status)
        assert answer == b""
    assert statuses == {FAILED, REFUSED}
    assert hospital.ledger_rows() == charged
    assert SECRET not in hospital.log.encode()
    assert hospital.ask(hospital.request(seed=51))[0] == ANSWERED


def test_more_than_the_limit_is_not_read(hospital: Hospital) -> None:
    said = reply_to(hospital.file.vault.socket, HEAD.pack(SELECT, (1 << 20) + 5000))
    assert said == HEAD.pack(FAILED, 0)
    # A head that is signed for more than it may be is refused by the head alone.
    from mycroft_fl.protocol.envelope import sign_request

    large = sign_request(bytes((1 << 20) + 1), hospital.terms(), hospital.trainer)
    head = large[: len(large) - (1 << 20) - 1]
    assert reply_to(hospital.file.vault.socket, HEAD.pack(SELECT, len(large)) + head) == (
        HEAD.pack(FAILED, 0)
    )


def test_many_at_once_are_all_answered(hospital: Hospital) -> None:
    results: list[int] = []

    def one(seed: int) -> None:
        results.append(hospital.ask(hospital.request(seed=60, k=1))[0])

    threads = [threading.Thread(target=one, args=(seed,)) for seed in range(12)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert results == [ANSWERED] * 12


# Stopping


@pytest.mark.slow
def test_a_stopped_vault_answers_no_more_and_stays_closed(
    make_hospital: Callable[..., Hospital],
) -> None:
    hospital = make_hospital()
    with hospital.served() as process:
        assert hospital.ask()[0] == ANSWERED
        stopped = hospital.run("stop")
        assert stopped.stdout == "the vault is closed\n"
        assert process.wait(10) == 0
    with pytest.raises(OSError, match=r"No such file|refused"):
        hospital.ask()
    closed = hospital.run("serve")
    assert closed.returncode == 2
    assert "stopped by `owner stop`" in closed.stderr
    assert hospital.run("stop").stdout == "the vault was not served; it stays closed\n"
    with hospital.served("--after-stop"):
        assert hospital.ask()[0] == ANSWERED


@pytest.mark.slow
def test_an_answer_that_is_being_computed_does_not_leave_once_stopped(
    make_hospital: Callable[..., Hospital],
) -> None:
    hospital = make_hospital(policy={"own-methods": ["slow_method:slow"]})
    written_method(hospital.base, seconds=30)
    with hospital.served(cwd=hospital.base) as process:
        heard: list[Any] = []

        def wait_for_answer() -> None:
            try:
                heard.append(hospital.ask(hospital.request(method="slow_method:slow")))
            except Exception as error:
                heard.append(error)

        asking = threading.Thread(target=wait_for_answer)
        asking.start()
        wait_until((hospital.base / "began").exists)
        children = psutil.Process(process.pid).children()
        assert hospital.run("stop").returncode == 0
        asking.join(30)
    assert not isinstance(heard[0], tuple) or heard[0] == (FAILED, None)
    assert not any(each.is_running() for each in children if "spawn_main" in str(each))
    assert hospital.ledger_rows() == []


@pytest.mark.slow
def test_a_computation_ends_after_its_seconds_and_the_next_is_answered(
    make_hospital: Callable[..., Hospital],
) -> None:
    hospital = make_hospital(policy={"own-methods": ["slow_method:slow"]}, seconds=2.0)
    written_method(hospital.base, seconds=600)
    with hospital.served(cwd=hospital.base):
        slow = hospital.request(method="slow_method:slow")
        assert hospital.ask(slow) == (FAILED, None)
        assert hospital.ledger_rows() == []
        assert hospital.ask()[0] == ANSWERED


def written_method(folder: Path, seconds: float) -> None:
    """A method of one's own that takes its time, and leaves a file once it began."""
    (folder / "slow_method.py").write_text(
        "import time\n"
        "from pathlib import Path\n"
        "from mycroft_fl.selection.methods import METHODS\n"
        "def slow(candidates, query, k):\n"
        f"    Path({str(folder / 'began')!r}).touch()\n"
        f"    time.sleep({seconds})\n"
        "    return METHODS['features'].select(candidates, query, k)\n"
    )


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
