"""An attacker that sends requests as fast as it can, in a process of its own: see `flooding`.

    python flood.py SOCKET OWNER KEY KIND COUNT

KIND: `empty` and `junk` are signed by KEY, a trainer's; `unlisted` by a key that nobody knows.
Prints how often it got which status, as JSON.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter
from pathlib import Path

from clients.serving.socket_protocol import SELECT, ask
from mycroft_fl.errors import BadMessage
from mycroft_fl.protocol.envelope import SignedTerms, sign_request
from mycroft_fl.protocol.keys import KeyPair

SECONDS = 30.0


def flood(path: Path, owner: str, key: KeyPair, kind: str, count: int) -> Counter[int]:
    """Number of answers by status; 0 counts the requests that got none."""
    got: Counter[int] = Counter()
    rng = random.Random(os.getpid())
    for _ in range(count):
        content = rng.randbytes(rng.randrange(2000)) if kind == "junk" else b""
        envelope = sign_request(content, SignedTerms.fresh("run-1", owner, 1, 86_000.0), key)
        try:
            got[ask(path, SELECT, envelope, SECONDS)[0]] += 1
        except (OSError, BadMessage):
            got[0] += 1
    return got


def main() -> None:
    """Flood the socket, then say what came of it."""
    path, owner, key, kind, count = sys.argv[1:]
    # The attacker has a machine of its own elsewhere: what is measured is the vault's work alone.
    os.nice(19)
    own = KeyPair.generate() if kind == "unlisted" else KeyPair.load(Path(key))
    print(json.dumps(flood(Path(path), owner, own, kind, int(count))))


if __name__ == "__main__":
    main()
