"""A SuperLink: Flower's app on a private socket, and its Fleet API on a public port where one is wanted.

The process is this module, given the socket and then the options of `flower-superlink`.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import ssl
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mycroft_fl.errors import InputError, MycroftError, RunFailed
from mycroft_fl.files import locked, socket_path
from strategies.link.front import Front, Refusals
from strategies.link.gate import Gate
from strategies.link.private import NOWHERE

OLD_PORTS = ("FLWR_INTERNAL_GRPC_CONTROL_API", "FLWR_INTERNAL_GRPC_FLEET_API")
"""By these Flower would open its older APIs on ports of their own, on all addresses."""
REPORT = 60.0  # seconds between two lines on what was refused
FILES = 4096
GRACE = 5.0  # seconds for what goes on when a signal ends the SuperLink


@dataclass(frozen=True)
class PublicPort:
    """Where SuperNodes come: a socket that is bound, and TLS by the SuperLink's certificate."""

    place: socket.socket
    tls: ssl.SSLContext

    @classmethod
    def at(cls, host: str, port: int, certificate: str, key: str) -> PublicPort:
        """Take the port at this address and no other. `InputError` where there can be none."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(certificate, key)
        except OSError as error:  # an `SSLError` is one
            raise InputError(f"{certificate} or its key cannot be read: {error}") from error
        try:
            return cls(_bound(host, port), context)
        except OSError as error:
            raise InputError(
                f"the SuperLink cannot listen at {host}:{port}: {error.strerror}; "
                "set `listen` and `port` in trainer.toml to a free address of this machine"
            ) from error


def _bound(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, address = min(found, key=lambda each: each[0])
    place = socket.socket(family, kind, protocol)
    try:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Else `::` would mean every IPv4 address of this machine as well.
            place.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        place.bind(address)
        place.listen(256)
    except OSError:
        place.close()
        raise
    return place


@contextmanager
def private_socket(place: Path) -> Iterator[socket.socket]:
    """Open a Unix socket that its user alone can open, of the one SuperLink that serves here.

    `InputError` where another does.
    """
    socket_path(place)
    place.parent.chmod(0o700)
    try:
        lock = locked(place.with_suffix(".lock"), wait=False)
    except BlockingIOError as error:
        raise InputError(f"a SuperLink serves {place.parent} already; end that first") from error
    place.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))
        place.chmod(0o600)
        try:
            yield listening
        finally:
            place.unlink(missing_ok=True)
            lock.close()


def keep_private(folder: Path) -> None:
    """Keep all in the folder, and all that this process writes, for its user alone."""
    os.umask(0o077)
    for each in (folder, *folder.rglob("*")):
        if not each.is_symlink() and (each.is_dir() or each.is_file()):
            each.chmod(0o700 if each.is_dir() else 0o600)


async def serve(app: Any, private: socket.socket, public: PublicPort | None) -> None:
    """Serve Flower's app until SIGINT or SIGTERM. `RunFailed` where it cannot begin."""
    inner = _inner(app)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    serving = [loop.create_task(inner.serve([private]))]
    gate: Gate | None = None
    if public is not None:
        refusals = Refusals()
        front = Front(app, _admitted(app), refusals=refusals)
        gate = Gate(public.place, public.tls, front)
        serving += [loop.create_task(gate.serve()), loop.create_task(_reports(refusals))]
    try:
        stopping = loop.create_task(stop.wait())
        done, _ = await asyncio.wait([stopping, *serving], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for task in done - {stopping}:
            task.result()
        if not inner.started:
            raise RunFailed("Flower's SuperLink did not start; its log says why")
    finally:
        if gate is not None:
            await gate.close()
        inner.should_exit = True
        for task in serving[1:]:
            task.cancel()
        await asyncio.wait(serving, timeout=GRACE)


def _inner(app: Any) -> Any:
    """Make uvicorn's server of the private socket; its signals are answered here."""
    import uvicorn
    from flwr.supercore.http_logging import get_uvicorn_log_config
    from flwr.supercore.logger import console_handler

    class Inner(uvicorn.Server):
        def capture_signals(self) -> Any:
            return nullcontext()

    config = uvicorn.Config(
        app, lifespan="on", access_log=False, ws="none", proxy_headers=False,
        log_config=get_uvicorn_log_config(console_handler.level), timeout_graceful_shutdown=3,
    )  # fmt: skip
    return Inner(config)


def _admitted(app: Any) -> Any:
    """Look up the id of the SuperNode whose key is registered, in the SuperLink's database."""
    factory = app.state.linkstate_factory
    return lambda key: factory.state().get_node_id_by_public_key(key)


async def _reports(refusals: Refusals) -> None:
    while True:
        await asyncio.sleep(REPORT)
        refusals.say()


def _allow_files() -> None:
    """Let connections of strangers never be what the private socket lacks files for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, enough), hard))


def main(arguments: Sequence[str]) -> None:
    """Be the SuperLink until a signal ends it."""
    place = Path(arguments[0])
    # Of the command's name alone: what stands there anybody can read.
    sys.argv = ["flower-superlink", *arguments[1:]]
    for each in OLD_PORTS:
        os.environ.pop(each, None)
    keep_private(place.parent)
    with private_socket(place) as private:
        from flwr.superlink.cli.flower_superlink import (
            SuperLinkLifespan,
            _parse_superlink_lifespan_config,
        )
        from flwr.superlink.main import create_app

        superlink_config = _parse_superlink_lifespan_config()
        host, _, port = NOWHERE.partition(":")
        config = replace(
            superlink_config, host=host, port=int(port), insecure=True, certificates=None,
            ssl_ca_certfile=None, ssl_certfile=None, ssl_keyfile=None,
        )  # fmt: skip
        public = None
        if superlink_config.ssl_certfile and superlink_config.ssl_keyfile:
            public = PublicPort.at(
                superlink_config.host,
                superlink_config.port,
                superlink_config.ssl_certfile,
                superlink_config.ssl_keyfile,
            )
        _allow_files()
        app = create_app(config, SuperLinkLifespan)
        asyncio.run(serve(app, private, public))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except MycroftError as error:
        print(f"mycroft-fl: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, InputError) else 1)
