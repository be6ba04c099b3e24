"""Flower's commands over the private socket of a SuperLink.

Flower's clients know TCP alone, and start one another by name. So their commands stand once more in
a folder ahead on the PATH: each begins as this module, which puts the socket in the place of the
network, and then is Flower's own. Should that fail after a change of Flower's, a command looks for a
host that cannot be and says so; it does not go elsewhere.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint, distribution
from pathlib import Path
from socket import AF_UNIX, socket
from typing import Any

import tomli_w

from mycroft_fl.files import write_whole

SOCKET = "MYCROFT_SUPERLINK_SOCKET"  # in the environment of Flower's commands
NOWHERE = "superlink.invalid:1"
"""The address in Flower's settings: by RFC 2606 no such host can be."""
SERVERS = ("flower-superlink", "flower-supernode", "flwr-clientapp")


def connection(name: str) -> str:
    """Write Flower's settings, as TOML, of a SuperLink that only its socket leads to."""
    place = {"address": NOWHERE, "insecure": True}
    return tomli_w.dumps({"superlink": {"default": name, name: place}})


def by_socket(environment: Mapping[str, str], place: Path, commands: Path) -> dict[str, str]:
    """Build an environment in which Flower's commands reach the SuperLink at `place`.

    They are written to the folder `commands`, which should be its user's alone.
    """
    commands.mkdir(mode=0o700, parents=True, exist_ok=True)
    for each in _clients():
        call = [sys.executable, "-P", "-m", __name__, each.name]
        _write(commands / each.name, f'#!/bin/sh\nexec {shlex.join(call)} "$@"\n')
    path = os.pathsep.join([str(commands), environment.get("PATH", os.defpath)])
    return {**environment, SOCKET: str(place), "PATH": path}


def answers(place: Path) -> bool:
    """Check whether a SuperLink listens at this socket."""
    with socket(AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(place))
        except OSError:
            return False
        return True


def through(place: Path) -> None:
    """Lead all of Flower's clients in this process to the socket, whatever address they are given."""
    import httpx
    from flwr.supercore.protobuf.client import ProtobufClient

    begun = ProtobufClient.__init__

    def begin(client: Any, *given: Any, **named: Any) -> None:
        begun(client, *given, **named)
        client._base_url = f"http://{NOWHERE}"
        patience = client._client.timeout
        client._client.close()
        client._client = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(place)), timeout=patience, trust_env=False
        )

    setattr(ProtobufClient, "__init__", begin)  # noqa: B010


def _clients() -> list[EntryPoint]:
    """List Flower's commands that ask a SuperLink something."""
    scripts = distribution("flwr").entry_points.select(group="console_scripts")
    return [each for each in scripts if each.name not in SERVERS]


def _write(path: Path, text: str) -> None:
    """Write a command unless it stands there; whoever runs it meanwhile has the old or the new."""
    if path.is_file() and path.read_text() == text:
        return
    write_whole(path, text, 0o700)


def main() -> None:
    """Be the command of Flower's that the first argument names."""
    command = next(each for each in _clients() if each.name == sys.argv[1])
    through(Path(os.environ[SOCKET]))
    del sys.argv[0]
    sys.exit(command.load()())


if __name__ == "__main__":
    main()
