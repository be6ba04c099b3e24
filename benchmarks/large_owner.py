"""An owner with many records: processor seconds and memory of its first answers.

    python -m benchmarks.large_owner [--records 100000] [--method features] [--answers 3]

Records are 512 normal numbers of ten classes, in memory. Each answer hands over 50. Memory is what
the process holds at most beyond what it held with the records loaded; numbered answers go on from
what was disclosed.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.tables import row, rule
from clients.answering.policy import Policy
from clients.answering.private_records import PrivateRecords
from clients.answering.vault import Vault
from mycroft_fl.examples import Examples
from mycroft_fl.protocol.messages import Request

NUMBERS, CLASSES, HARD = 512, 10, 16


def most_memory() -> float:
    """Return the most that this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Ask, and print a row for each answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--method", default="features")
    parser.add_argument("--answers", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((options.records, NUMBERS), dtype=np.float32)
    held = Examples(x, rng.integers(0, CLASSES, options.records))
    hard = Examples(x[:HARD] + 0.01, held.y[:HARD])
    print(row(["answer", "CPU s", "MiB beyond the records"]), rule(3), sep="\n")
    with tempfile.TemporaryDirectory() as folder:
        vault = Vault("owner", PrivateRecords(held), Policy(), Path(folder))
        before = most_memory()
        for number in range(options.answers):
            request = Request(
                server_round=number + 1, k=50, hard=hard, num_classes=CLASSES, model="linear",
                weights=None, seed=number, method=options.method,
            )  # fmt: skip
            since = time.process_time()
            vault.answer(request)
            spent = time.process_time() - since
            print(row([str(number + 1), f"{spent:.2f}", f"{most_memory() - before:.0f}"]))


if __name__ == "__main__":
    main()
