"""The owner's ClientApp: an answer, or a fixed text; never a word of what went wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from clients.answering.policy import Policy
from clients.answering.private_records import PrivateRecords
from clients.answering.vault import Vault
from clients.client_app import owner_app
from mycroft_fl.errors import BadMessage, MycroftError, Refused
from mycroft_fl.examples import Examples
from mycroft_fl.protocol.messages import Expected, OwnerReport, Request
from mycroft_fl.protocol.wire import (
    INTRODUCE,
    SELECT,
    pack_failure,
    pack_introduction_request,
    pack_request,
    report_status,
    unpack_introduction,
    unpack_report,
)

SECRET = "patient-4711"
SHAPE = (5,)


@pytest.fixture(autouse=True)
def _a_running_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower makes messages only inside of what it believes to be a run."""
    for name in ("run_id", "task_id", "node_id"):
        monkeypatch.setattr(TaskIdentity, f"_{name}", 1)


def drawn(n: int, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    return Examples(rng.normal(size=(n, *SHAPE)).astype(np.float32), rng.integers(0, 3, n))


def request(**changed: Any) -> Request:
    plain: dict[str, Any] = {
        "server_round": 1,
        "method": "features",
        "k": 4,
        "hard": drawn(6, seed=99),
        "num_classes": 3,
        "model": "mlp",
        "weights": None,
        "feature_space": "pixels",
        "owner_epochs": 1,
        "seed": 0,
    }
    return Request(**(plain | changed))


class Answerer:
    """Stands in for a vault: does what it is told, and keeps a log."""

    def __init__(self, answer: Callable[[Request], OwnerReport], log: logging.Logger) -> None:
        self.answer = answer
        self.log = log


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise error

    return fail


def answered(
    vault_for: Callable[[Context], Any],
    content: RecordDict,
    message_type: str = SELECT,
    name_for: Callable[[Context], str] = lambda context: "owner",
) -> Message:
    message = Message(content, dst_node_id=7, message_type=message_type)
    message.metadata.__dict__["_message_id"] = message.object_id
    context = Context(
        run_id=1, node_id=7, node_config={"partition-id": 6}, state=RecordDict(), run_config={}
    )
    return owner_app(vault_for, name_for)(message, context)


def every_byte(message: Message) -> bytes:
    """All that a reply puts on the wire, its records and arrays included."""

    def below(record: Any) -> bytes:
        children = getattr(record, "children", None) or {}
        return record.deflate() + b"".join(below(child) for child in children.values())

    return below(message) + repr(message.metadata).encode() + repr(message.content).encode()


def test_the_search_for_a_secret_would_find_it() -> None:
    reply = answered(raising(RuntimeError()), pack_request(request()))
    output = Message(RecordDict({"report": ConfigRecord({"why": SECRET})}), reply_to=reply)
    assert SECRET.encode() in every_byte(output)
    assert b"refused" in every_byte(Message(pack_failure("refused"), reply_to=reply))


def test_a_vaults_answer_arrives(tmp_path: Path) -> None:
    vault = Vault("owner", PrivateRecords(drawn(30)), Policy(), tmp_path)
    seen: list[int] = []

    def vault_for(context: Context) -> Vault:
        seen.append(int(context.node_config["partition-id"]))
        return vault

    reply = answered(vault_for, pack_request(request()))
    assert report_status(reply.content) == "answered"
    expected = Expected(SHAPE, np.dtype(np.float32), 3, at_most=4)
    disclosed = unpack_report(reply.content, expected).disclosed
    assert disclosed.ids.tolist() == vault.answer(request()).disclosed.ids.tolist()
    assert seen == [6]


def test_an_answer_holds_the_examples_their_card_and_nothing_else(tmp_path: Path) -> None:
    vault = Vault("owner", PrivateRecords(drawn(30)), Policy(), tmp_path)
    reply = answered(lambda context: vault, pack_request(request()))
    assert sorted(reply.content) == ["arrays", "card", "report"]
    assert sorted(reply.content["arrays"]) == ["x", "y"]
    assert dict(reply.content["report"]) == {"status": "answered"}
    assert str(tmp_path).encode() not in every_byte(reply)


class Unprintable(Exception):
    """An exception that cannot even be shown."""

    def __str__(self) -> str:
        raise ValueError(SECRET)


ERRORS = [
    RuntimeError(SECRET),
    BadMessage(SECRET),
    MycroftError(SECRET),
    KeyError(SECRET),
    OSError(2, SECRET),
    MemoryError(SECRET),
    RecursionError(SECRET),
    AssertionError(SECRET),
    UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET),
    ExceptionGroup(SECRET, [ValueError(SECRET)]),
    Unprintable(SECRET),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("where", ["vault_for", "answer", "log"])
def test_of_an_exception_only_its_kind_leaves(
    where: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    class BrokenLog:
        log = property(raising(error))

    vault_for = {
        "vault_for": raising(error),
        "answer": lambda context: Answerer(raising(error), logging.getLogger("test.owner")),
        "log": lambda context: BrokenLog(),
    }[where]
    with caplog.at_level(logging.CRITICAL, "test.owner"):
        reply = answered(vault_for, pack_request(request()))
    assert not reply.has_error()
    assert reply.content == pack_failure("error")
    assert SECRET.encode() not in every_byte(reply)
    assert type(error).__name__.encode() not in every_byte(reply)


def test_the_owners_log_has_what_the_trainer_does_not_see(tmp_path: Path) -> None:
    log = logging.Logger("owner")
    handler = logging.FileHandler(tmp_path / "owner.log")
    log.addHandler(handler)
    for error in (RuntimeError(SECRET), Refused(f"not for {SECRET}")):
        answered(lambda context, e=error: Answerer(raising(e), log), pack_request(request()))
    handler.close()
    output = (tmp_path / "owner.log").read_text()
    assert f"RuntimeError: {SECRET}" in output
    assert "Traceback" in output
    assert f"refused: not for {SECRET}" in output


def test_a_refusal_says_that_it_is_one_and_not_why(caplog: pytest.LogCaptureFixture) -> None:
    vault = Answerer(raising(Refused(SECRET)), logging.getLogger("test.owner"))
    reply = answered(lambda context: vault, pack_request(request()))
    assert reply.content == pack_failure("refused")
    assert SECRET.encode() not in every_byte(reply)
    assert SECRET in caplog.text


def test_a_policy_refuses_through_the_app(tmp_path: Path) -> None:
    vault = Vault("owner", PrivateRecords(drawn(30)), Policy(max_records=0), tmp_path)
    reply = answered(lambda context: vault, pack_request(request()))
    assert report_status(reply.content) == "refused"
    assert (
        "all 0 records that may leave over all trainers have left"
        in (tmp_path / "owner.log").read_text()
    )


@pytest.mark.parametrize("error", [RuntimeError(SECRET), Refused(SECRET)])
def test_a_log_that_cannot_be_written_does_not_answer_for_the_owner(error: Exception) -> None:
    class FullDisk(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError(28, "No space left on device", f"/data/{SECRET}/owner.log")

    log = logging.Logger("owner")
    log.addHandler(FullDisk())
    reply = answered(lambda context: Answerer(raising(error), log), pack_request(request()))
    status = "refused" if isinstance(error, Refused) else "error"
    assert reply.content == pack_failure(status)
    assert SECRET.encode() not in every_byte(reply)


@pytest.mark.parametrize(
    "content", [RecordDict(), RecordDict({"request": ConfigRecord({"k": 1})}), pack_failure("x")]
)
def test_a_malformed_request_is_an_error_and_never_reaches_the_data(content: RecordDict) -> None:
    asked: list[Request] = []
    vault = Answerer(lambda request: asked.append(request), logging.Logger("owner"))  # type: ignore[arg-type, return-value]
    assert answered(lambda context: vault, content).content == pack_failure("error")
    assert asked == []


def test_what_is_no_report_does_not_leave() -> None:
    for junk in (None, SECRET, {"x": SECRET}):
        vault = Answerer(lambda request, junk=junk: junk, logging.Logger("owner"))  # type: ignore[arg-type]
        reply = answered(lambda context, v=vault: v, pack_request(request()))
        assert reply.content == pack_failure("error")
        assert SECRET.encode() not in every_byte(reply)


# Introductions


def test_an_owner_introduces_itself_without_its_vault() -> None:
    reply = answered(
        raising(AssertionError("nobody opens the vault")),
        pack_introduction_request(),
        INTRODUCE,
        name_for=lambda context: f"owner-{context.node_config['partition-id']}",
    )
    assert report_status(reply.content) == "answered"
    assert unpack_introduction(reply.content) == "owner-6"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_name_that_cannot_be_found_is_an_error_and_nothing_of_it_leaves(error: Exception) -> None:
    reply = answered(
        raising(AssertionError), pack_introduction_request(), INTRODUCE, name_for=raising(error)
    )
    assert reply.content == pack_failure("error")
    assert SECRET.encode() not in every_byte(reply)


@pytest.mark.parametrize("message_type", ["query", "query.other", "train", "evaluate"])
def test_there_is_nothing_else_to_ask_for(message_type: str) -> None:
    opened: list[Context] = []
    with pytest.raises(ValueError, match=r"No .* function registered"):
        answered(opened.append, pack_request(request()), message_type)
    assert opened == []
