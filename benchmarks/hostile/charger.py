"""One of several processes that charge one ledger as fast as they can, until it is killed.

    python charger.py LEDGER OUT PLACE LIMIT

Writes to OUT the id of each example that the ledger let leave, after it did. Asks on when the
budget of LIMIT records is spent.
"""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

import numpy as np

from mycroft_fl.errors import Refused
from mycroft_fl.privacy.spending.budget import Budget, Limits
from mycroft_fl.privacy.spending.ledger import Key, PrivacyLedger


def main() -> None:
    """Charge one example after the other."""
    file, out, place, limit = sys.argv[1:]
    book = PrivacyLedger(Path(file))
    limits = Limits(Budget.of(records=int(limit)))
    with Path(out).open("w", buffering=1) as left:
        for number in itertools.count():
            own = int(place) * 1_000_000 + number
            key = Key("ward", f"trainer-{place}", f"{own}")
            try:
                for each in book.disclose(key, np.array([own]), limits):
                    print(int(each), file=left)
            except Refused:
                time.sleep(0.01)


if __name__ == "__main__":
    main()
