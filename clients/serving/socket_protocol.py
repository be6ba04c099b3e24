"""The protocol of a vault's socket: one question, one answer, each of a known length.

    question   kind (1 byte), length (4 bytes, big-endian), content
    answer     status (1 byte), length, content

Used by both ends, and by whatever a trainer ships; loads neither torch nor Flower.
"""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress
from pathlib import Path

from mycroft_fl.errors import BadMessage

HEAD = struct.Struct(">BI")
INTRODUCE, SELECT = 1, 2
ANSWERED, REFUSED, FAILED = 1, 2, 3
SILENT = 4
"""The status of what a person has not agreed to: never sent, the asker hears nothing."""
STATUS = {ANSWERED: "answered", REFUSED: "refused", FAILED: "error"}
LONGEST_ANSWER = 1 << 30
PIECE = 1 << 20


def ask(
    path: Path, kind: int, content: bytes = b"", timeout: float | None = None
) -> tuple[int, bytes]:
    """Give the status and content of the vault's answer. `OSError` or `BadMessage` where there is none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connect(connection, path, timeout)
        # A vault that has heard enough answers and closes: what it said is there to be read.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(HEAD.pack(kind, len(content)))
            connection.sendall(content)
        status, length = HEAD.unpack(_exactly(connection, HEAD.size))
        if status not in STATUS or length > LONGEST_ANSWER:
            raise BadMessage("the socket gives an answer of another kind")
        return status, _exactly(connection, length)


def connect(connection: socket.socket, path: Path, timeout: float | None) -> None:
    """Connect within `timeout` seconds (None: for ever), which hold for all that follows.

    Where many come at once the system has no place for a moment, and says so instead of waiting to
    whoever has a timeout.
    """
    connection.settimeout(timeout)
    deadline = time.monotonic() + (timeout or 0.0)
    while True:
        try:
            connection.connect(str(path))
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _exactly(connection: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length:
        piece = connection.recv(min(PIECE, length - len(received)))
        if not piece:
            raise BadMessage("the socket was closed before the answer was whole")
        received += piece
    return bytes(received)
