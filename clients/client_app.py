"""The owner's ClientApp: a thin adapter from a Flower message to a vault.

The trainer ships this code, and every message may start a new process: so it holds no data,
loads no torch, and lets no exception's text out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, runtime_checkable

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from mycroft_fl.errors import Refused
from mycroft_fl.protocol.messages import Described, OwnerReport, Request
from mycroft_fl.protocol.wire import (
    asks_to_look,
    pack_described,
    pack_failure,
    pack_introduction,
    pack_report,
    unpack_request,
)


@runtime_checkable
class Answering(Protocol):
    """Whatever answers a request for an owner: a vault, or a socket with a vault behind it."""

    @property
    def log(self) -> logging.Logger:
        """The owner's own log."""
        ...

    def answer(self, request: Request) -> OwnerReport:
        """Answer a request, or raise."""
        ...


@runtime_checkable
class Describing(Protocol):
    """Whatever says of an owner's data what its policy lets it show."""

    def describe(self) -> Described:
        """Describe the data, or raise `Refused`."""
        ...


def owner_app(
    vault_for: Callable[[Context], Answering], name_for: Callable[[Context], str]
) -> ClientApp:
    """Make a ClientApp that hands each request to the vault of the owner it runs for.

    `name_for` must be quick: a trainer calls the roll of all owners before it asks anything.
    """
    app = ClientApp()

    @app.query("select")
    def select(message: Message, context: Context) -> Message:
        return Message(_reply(vault_for, context, message.content), reply_to=message)

    @app.query("introduce")
    def introduce(message: Message, context: Context) -> Message:
        return Message(_introduction(name_for, context), reply_to=message)

    return app


def _reply(
    vault_for: Callable[[Context], Answering], context: Context, content: RecordDict
) -> RecordDict:
    """Reply with the vault's answer; of a failure its kind alone, since Flower would send its text."""
    log = logging.getLogger(__name__)
    try:
        vault = vault_for(context)
        log = vault.log
        if asks_to_look(content):
            return pack_described(_described(vault))
        return pack_report(vault.answer(unpack_request(content)))
    except Refused as refusal:
        _note(log, f"refused: {refusal}")
        return pack_failure("refused")
    except (Exception, SystemExit) as error:
        _note(log, "the request could not be answered", error)
        return pack_failure("error")


def _described(vault: Answering) -> Described:
    if not isinstance(vault, Describing):
        raise Refused("this owner describes nothing")
    return vault.describe()


def _introduction(name_for: Callable[[Context], str], context: Context) -> RecordDict:
    """Reply with the owner's name, or the fixed text of a failure."""
    try:
        return pack_introduction(name_for(context))
    except (Exception, SystemExit) as error:
        _note(logging.getLogger(__name__), "the owner's name could not be found", error)
        return pack_failure("error")


def _note(log: logging.Logger, text: str, error: BaseException | None = None) -> None:
    # A log that cannot be opened (a full disk) raises, and that text would reach the trainer too.
    with suppress(Exception):
        log.warning(text, exc_info=error)
