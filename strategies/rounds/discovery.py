"""The owners that are there, by the names they give, once, before the first round."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from mycroft_fl.errors import BadMessage
from mycroft_fl.protocol.messages import Failure
from mycroft_fl.protocol.wire import INTRODUCE, pack_introduction_request, unpack_introduction
from strategies.rounds.messaging import send, sort_out

log = logging.getLogger(__name__)

PAUSE = 0.5  # seconds


def discover_owners(
    grid: Grid,
    expected: int,
    *,
    timeout: float,
    patience: float = math.inf,
    knows: Callable[[str, int], bool] = lambda name, node: True,
) -> dict[str, int]:
    """Find the owners that introduce themselves in time: name -> Flower's node id.

    Waits for `expected` nodes until `timeout`, or until none has come for `patience` seconds.
    Node ids are drawn anew for every run, so nothing may depend on them. Of two nodes that claim
    one name neither is believed; who `knows` does not know, by name and node, is left out before.
    """
    node_ids = _wait_for_nodes(grid, expected, timeout, patience)
    messages = [
        Message(pack_introduction_request(), dst_node_id=node, message_type=INTRODUCE)
        for node in node_ids
    ]
    claims: dict[str, list[int]] = {}
    for message, content in sort_out(messages, send(grid, messages, timeout=timeout)):
        node = message.metadata.dst_node_id
        name = _claimed(content, node, knows)
        if name is not None:
            claims.setdefault(name, []).append(node)
    for name in [name for name, nodes in claims.items() if len(nodes) > 1]:
        log.warning("%d nodes claim to be '%s'; none of them is asked", len(claims.pop(name)), name)
    log.info("%d of %d owners are there", len(claims), expected)
    return {name: nodes[0] for name, nodes in sorted(claims.items())}


def _claimed(
    content: RecordDict | Failure, node: int, knows: Callable[[str, int], bool]
) -> str | None:
    """Read the name that a node introduces itself by; None where it gives none that it may have."""
    if isinstance(content, str):
        return None
    try:
        name = unpack_introduction(content)
    except BadMessage as error:
        log.warning("a node's introduction is malformed: %s", error)
        return None
    if not knows(name, node):
        log.warning("a node that was not admitted as '%s' claims to be it; it is not asked", name)
        return None
    return name


def _wait_for_nodes(grid: Grid, expected: int, timeout: float, patience: float) -> list[int]:
    """Wait for as many nodes as expected; return the ids of those that are there by then."""
    deadline = time.monotonic() + timeout
    nodes: list[int] = []
    last_came = time.monotonic()
    while time.monotonic() < deadline:
        before, nodes = len(nodes), sorted(grid.get_node_ids())
        if len(nodes) >= expected:
            break
        if len(nodes) > before:
            last_came = time.monotonic()
        if nodes and time.monotonic() - last_came >= patience:
            log.warning("%d owners are expected, but there are %d nodes", expected, len(nodes))
            break
        time.sleep(PAUSE)
    return nodes
