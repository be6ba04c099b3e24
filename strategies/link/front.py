"""The filter before Flower's app on the public port: Fleet requests of admitted SuperNodes, and /health.

All else is answered from the line and headers of the request, with none of its body read.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from flwr.supercore.error import ApiErrorCode, FlowerError
from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES

from strategies.link.bodies import Body, Receive, again, whole
from strategies.link.callers import Admitted, Caller, Stranger, caller
from strategies.link.replies import Forged, check_reply

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Send = Callable[[Any], Any]

HEALTH = "/health"
FLEET = frozenset(path for _, path in PROTOBUF_REQUEST_TYPES if path.startswith("/v1/fleet/"))
PIECES = "/v1/fleet/push-object"
ENTRY = "/v1/fleet/activate-node"
REPLIES = "/v1/fleet/push-messages"
HOST = (b"host", b"superlink")
"""For Flower's app, which makes the path that it checks of the host and the path: of no stranger's."""
VISIT = "visit"
"""Where the connection stands in a request's state, see gate.py."""


@dataclass(frozen=True)
class PortLimits:
    """Limits on one request, and on one SuperNode."""

    piece: int = 8 << 20
    """Bytes of a message's piece; Flower cuts arrays into pieces of 5 MiB."""
    body: int = 1 << 20
    """Bytes of any other body: ids, times, a tree of ids."""
    at_once: int = 16
    """Requests of one SuperNode; its own commands make fewer than ten."""
    patience: float = 15.0
    """Seconds for a body, and a second more for each `slowest` bytes."""
    slowest: int = 50_000
    whole: float = 300.0
    """Seconds for the answer, its reading included."""


@dataclass
class Refusals:
    """Counts of refused requests, by reason. Each would be a line in a log that a stranger could fill."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, why: str) -> None:
        """Count one more."""
        self.counts[why] += 1

    def say(self) -> None:
        """Log one line on all since the last, if there were any."""
        if self.counts:
            counts = ", ".join(f"{why} {count} times" for why, count in self.counts.most_common())
            log.warning("the public port refused requests: %s", counts)
            self.counts.clear()


class Shut(Exception):
    """A request that does not get in: status, and a text for whoever asks."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Front:
    """An ASGI app before Flower's. `admitted` gives the id of the SuperNode that has a public key."""

    def __init__(
        self,
        app: Any,
        admitted: Admitted,
        limits: PortLimits | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self._app = app
        self._admitted = admitted
        self._limits = limits or PortLimits()
        self._refusals = refusals or Refusals()
        self._busy: Counter[bytes] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or say why not and close the connection."""
        if scope["type"] != "http":
            return
        try:
            await self._through(scope, receive, send)
        except Shut as shut:
            self._refusals.add(f"{shut.status}")
            await _say(send, shut, entry=scope["path"] == ENTRY)

    async def _through(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = self._length(scope)
        if scope["path"] == HEALTH:
            await self._app(_of_ours(scope), Body(receive, 0, 0.0), send)
            return
        try:
            # In a thread: it looks into the SuperLink's database.
            who = await asyncio.to_thread(caller, dict(scope["headers"]), self._admitted)
        except Stranger as stranger:
            raise Shut(401, str(stranger)) from None
        if visit := scope.get("state", {}).pop(VISIT, None):
            visit.key = who.key
        if self._busy[who.key] >= self._limits.at_once:
            raise Shut(503, f"a SuperNode may make {self._limits.at_once} requests at once")
        self._busy[who.key] += 1
        try:
            limits = self._limits
            body = Body(receive, length, limits.patience + length / limits.slowest)
            await self._passed(scope, body, send, who)
        finally:
            self._busy[who.key] -= 1
            if not self._busy[who.key]:
                del self._busy[who.key]

    def _length(self, scope: Scope) -> int:
        """Find how many bytes the body is going to have. `Shut` on what may not pass, whoever asks."""
        path, method = scope["path"], scope["method"]
        if not (
            (path == HEALTH and method in ("GET", "HEAD")) or (path in FLEET and method == "POST")
        ):
            raise Shut(404, "there is nothing here")
        names = [name for name, _ in scope["headers"]]
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        if b"transfer-encoding" in names or len(lengths) > 1:
            raise Shut(411, "say the length of the body, once")
        most = self._limits.piece if path == PIECES else self._limits.body
        if path == HEALTH:
            most = 0
        elif not lengths:
            raise Shut(411, "say the length of the body")
        length = lengths[0] if lengths else b"0"
        # By the digits first: a number of thousands of digits is work, too.
        if not length.isdigit() or len(length) > 12 or int(length) > most:
            raise Shut(413, f"a body may have {most} bytes here")
        return int(length)

    async def _passed(self, scope: Scope, body: Body, send: Send, who: Caller) -> None:
        """Hand a request to Flower's app, its body at no slower than the limits say."""
        started = False

        async def answer(message: Any) -> None:
            nonlocal started
            if not body.failed:
                started = True
                await send(message)

        try:
            async with asyncio.timeout(self._limits.whole):
                receive = await _checked(body, who) if scope["path"] == REPLIES else body
                await self._app(_of_ours(scope), receive, answer)
        except Exception:
            if not body.failed:
                raise
        if body.failed and not started:
            raise Shut(408, "the body came too slowly, or had another length than it said")


async def _checked(body: Body, who: Caller) -> Receive:
    """Check a reply's body before Flower's app has it. `Shut` on what is no reply of theirs."""
    content = await whole(body)
    try:
        check_reply(content or b"", who.node)
    except Forged as forged:
        raise Shut(403, str(forged)) from None
    return again(content or b"", body)


def _of_ours(scope: Scope) -> Scope:
    """Reduce a request to what Flower's app may see: its path and headers, whatever host it names."""
    headers = [each for each in scope["headers"] if each[0] != b"host"]
    return {**scope, "headers": [HOST, *headers], "query_string": b""}


async def _say(send: Send, shut: Shut, *, entry: bool) -> None:
    """Answer and close: what is still to come of the body is nobody's."""
    said: dict[str, Any] = {"detail": str(shut)}
    status = shut.status
    if entry and status == 401:
        # As Flower says it, so that a SuperNode ends with the reason.
        status, code = 412, ApiErrorCode.FLEET_NODE_ACTIVATION_FAILED
        said = dict(FlowerError(code, str(shut)).to_json(str(shut)))
    content = json.dumps(said).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(content)),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
