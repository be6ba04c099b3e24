"""The hub of pretrained weights: asked where it can be reached, done without where it cannot."""

from __future__ import annotations

import logging
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlparse


@contextmanager
def hub_as_it_is() -> Iterator[None]:
    """Keep a hub that cannot be reached from being tried again and again for minutes, line by line.

    What an earlier run downloaded is found all the same; what was not fails at once. What the
    libraries log on the way is left to the error that they raise.
    """
    from huggingface_hub import constants

    before, logged = constants.HF_HUB_OFFLINE, logging.root.manager.disable
    logging.disable(logging.ERROR)
    constants.HF_HUB_OFFLINE = before or not _is_reachable(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
        logging.disable(logged)


def _is_reachable(address: str) -> bool:
    """Return whether the host has an address here. Behind a proxy only the proxy would know."""
    if urllib.request.getproxies():
        return True
    try:
        socket.getaddrinfo(urlparse(address).hostname, 443)
    except OSError:
        return False
    return True
