"""Whether a container's server takes connections: exit code 0 if it does, 1 and one line if not.

MYCROFT_HEALTH=unix:PATH           an owner's vault: its socket takes a connection
MYCROFT_HEALTH=https://HOST/health a trainer's SuperLink: it answers 200; MYCROFT_CA is its ca.crt
MYCROFT_HEALTH unset               nothing to look at, as for a SuperNode, which listens nowhere
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
import urllib.request

SECONDS = 5.0


def look(where: str, authority: str = "") -> None:
    """Look at a server. `OSError` where it does not answer, `ValueError` for another address."""
    kind, _, path = where.partition(":")
    if kind == "unix":
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(SECONDS)
            asked.connect(path)
    elif kind == "https":
        context = ssl.create_default_context(cafile=authority or None)
        with urllib.request.urlopen(where, timeout=SECONDS, context=context) as answer:
            if answer.status != 200:
                raise OSError(f"it answers {answer.status}")
    else:
        raise ValueError(f"MYCROFT_HEALTH is '{where}'; give unix:PATH or https://HOST/health")


def main() -> int:
    """Return the exit code."""
    where = os.environ.get("MYCROFT_HEALTH", "")
    try:
        if where:
            look(where, os.environ.get("MYCROFT_CA", ""))
    except (OSError, ValueError) as error:
        print(f"{where}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
