"""The ClientApp of a deployed SuperNode: it carries envelopes to the vault's socket and back.

The trainer ships this code, and a new process runs it for every message. It can neither read a
request's answer nor an owner's data, loads no torch, and lets no exception's text out. The
SuperNode's node config says where the vault is: `--node-config 'vault="/run/mycroft/vault.sock"'`.
"""

from __future__ import annotations

import logging
from pathlib import Path

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from clients.serving.socket_protocol import ANSWERED, INTRODUCE, SELECT, STATUS, ask
from mycroft_fl.errors import BadMessage
from mycroft_fl.protocol.signed import carried, carry
from mycroft_fl.protocol.wire import pack_failure, pack_introduction

log = logging.getLogger(__name__)
INTRODUCTION_TIMEOUT = 30.0  # seconds

app = ClientApp()


@app.query("select")
def select(message: Message, context: Context) -> Message:
    """Fetch the vault's sealed answer, or which kind of failure there was."""
    return Message(_selected(message.content, context), reply_to=message)


@app.query("introduce")
def introduce(message: Message, context: Context) -> Message:
    """Give the name of the owner whose vault this is."""
    return Message(_introduction(context), reply_to=message)


def _selected(content: RecordDict, context: Context) -> RecordDict:
    try:
        # However long it takes: the vault itself bounds that, and its end closes the socket.
        status, answer = ask(_socket(context), SELECT, carried(content))
    except (Exception, SystemExit) as error:
        return _failure(error)
    return carry(answer, "answered") if status == ANSWERED else pack_failure(STATUS[status])


def _introduction(context: Context) -> RecordDict:
    try:
        status, name = ask(_socket(context), INTRODUCE, timeout=INTRODUCTION_TIMEOUT)
        if status != ANSWERED:
            raise BadMessage("the vault does not introduce itself")
        return pack_introduction(name.decode("ascii"))
    except (Exception, SystemExit) as error:
        return _failure(error)


def _socket(context: Context) -> Path:
    return Path(str(context.node_config["vault"]))


def _failure(error: BaseException) -> RecordDict:
    # The kind alone, here too: what this process prints may be shown to whoever runs the SuperLink.
    log.warning("the vault gave no answer: %s", type(error).__name__)
    return pack_failure("error")
