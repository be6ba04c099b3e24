"""What a client writes to a vault's socket, recorded: the bytes that strangers cut, change and repeat.

So the attacks know no more of the protocol than somebody who listens to one honest request.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from clients.serving.socket_protocol import SELECT, ask
from mycroft_fl.errors import BadMessage

QUIET = 0.2  # seconds without a byte, after which a client has said what it has to say


def as_sent(envelope: bytes) -> bytes:
    """All that `ask` writes to the socket for one signed request, before it hears anything."""
    with (
        tempfile.TemporaryDirectory(prefix="mycroft-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener,
    ):
        path = Path(folder) / "recorder.sock"
        listener.bind(str(path))
        listener.listen(1)
        client = threading.Thread(target=_ask, args=(path, envelope), daemon=True)
        client.start()
        heard = b""
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(QUIET)
            with suppress(TimeoutError):
                while piece := connection.recv(1 << 16):
                    heard += piece
        client.join()
    return heard


def reply_to(path: Path, content: bytes, seconds: float = 30.0) -> bytes:
    """All that a socket says to these bytes, until it closes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        said = b""
        with suppress(OSError):
            connection.connect(str(path))
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(1 << 16):
                said += piece
        return said


def held_open(path: Path, content: bytes, seconds: float = 0.1) -> socket.socket:
    """A connection on which these bytes were written, for at most so long, and which is then left open."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The rest stays unsent where the other end does not read it: that is what is tried.
    connection.settimeout(seconds)
    with suppress(OSError):
        connection.connect(str(path))
        connection.sendall(content)
    return connection


def _ask(path: Path, envelope: bytes) -> None:
    with suppress(OSError, BadMessage):
        ask(path, SELECT, envelope, 60)
