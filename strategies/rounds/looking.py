"""A look at owners before anything is asked: what each shows of its data, as its own policy allows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from flwr.app import RecordDict
from flwr.serverapp import Grid

from mycroft_fl.errors import BadMessage
from mycroft_fl.protocol.description import MOST_BYTES, Description, differences
from mycroft_fl.protocol.messages import BESIDES, Described, Failure
from mycroft_fl.protocol.signed import size_of
from mycroft_fl.protocol.wire import pack_look, unpack_described
from strategies.rounds.messaging import send, sort_out
from strategies.rounds.transport import Route

log = logging.getLogger(__name__)

BEFORE_ROUNDS = 0
"""The round of a look, in a signed question's terms."""


def look_at_owners(
    grid: Grid, route: Route, own: Description, *, timeout: float
) -> dict[str, Described | Failure]:
    """Ask all owners that are there what they show of their data; by name, what came or the failure.

    An answer that cannot be read is a line of the log and "malformed", and ends nothing.

    Args:
        grid: Flower's, to send by.
        route: the way to the owners that are there.
        own: the trainer's own task, by which answers are bounded and compared.
        timeout: seconds that an owner has.
    """
    messages = {name: route.message(pack_look(), name, BEFORE_ROUNDS) for name in route.nodes}
    sent = list(messages.values())
    answers = sort_out(sent, send(grid, sent, timeout=timeout))
    found = {
        name: _opened(name, content, route, own)
        for name, (_, content) in zip(messages, answers, strict=True)
    }
    shown = sum(isinstance(each, Described) for each in found.values())
    log.info("%d of %d owners show what they hold", shown, len(found))
    return found


def _opened(
    name: str, content: RecordDict | Failure, route: Route, own: Description
) -> Described | Failure:
    if isinstance(content, str):
        return content
    try:
        most = BESIDES + MOST_BYTES + 8 * own.num_classes
        if (size := size_of(content)) > most:
            raise BadMessage(f"{size} bytes, above {most}")
        found = unpack_described(route.transport.opened(name, content))
    except BadMessage as error:
        log.warning("the description of %s cannot be read: %s", name, error)
        return "malformed"
    for line in differences(own, found.description):
        log.warning("%s serves another task than this one: %s", name, line)
    return found


def looks_as_json(
    found: Mapping[str, Described | Failure], own: Description
) -> list[dict[str, Any]]:
    """Return what owners show as plain values: a status each, and its description, counts and card.

    Args:
        found: as `look_at_owners` gives it.
        own: the trainer's own task.
    """
    return [
        {"owner": name, "status": each}
        if isinstance(each, str)
        else {"owner": name, "status": "described", **_as_json(each, own)}
        for name, each in found.items()
    ]


def _as_json(described: Described, own: Description) -> dict[str, Any]:
    shown = {
        "description": asdict(described.description),
        "differences": differences(own, described.description),
    }
    if described.counts is None or described.card is None:
        return {**shown, "counts": None, "sigma": None, "card": None}
    return {
        **shown,
        "counts": described.counts.values.tolist(),
        "sigma": described.counts.sigma,
        "card": described.card.as_json(),
    }
