"""A Ray cluster that runs already, named by RAY_ADDRESS: whether anybody answers there."""

from __future__ import annotations

import os
import socket

from mycroft_fl.errors import SettingError

CLUSTER = "RAY_ADDRESS"  # Ray's own name for it
PATIENCE = 5.0  # seconds


def check_cluster() -> None:
    """Raise `SettingError` where a cluster is named by host and port and nothing listens there.

    Ray itself would go on looking for it, without a word.
    """
    address = os.environ.get(CLUSTER, "")
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdigit():
        return  # "auto" and "local" are names that Ray resolves
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise SettingError(
            f"no Ray cluster answers at {CLUSTER}={address} ({error}); start it, or unset {CLUSTER}"
        ) from error
