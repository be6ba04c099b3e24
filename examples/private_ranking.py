"""Owners ranked by noised scores: no example leaves anybody, and each ledger says what that cost.

python examples/private_ranking.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import mycroft_fl as mf

EPSILON = 1.0  # for each record of an owner, over all answers for ever, at delta 1e-6


def main() -> None:
    """Print the ranking with its intervals, what the first owner promises, and its ledger."""
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        settings = {"policy.epsilon": EPSILON, "fit.epochs": 15}
        result = mf.simulate("rotated-digits", mode="score", owners=4, out=run, settings=settings)
        print(result.ranking[["rank", "owner", "score", "low", "high", "disclosed"]])
        first = result.result["owners"][0]
        print(f"\n{first['owner']} promises: {first['card']['promise']}\n", flush=True)
        ledger = run / "owners" / first["owner"] / "ledger.sqlite"
        # The command that an owner types: mycroft-fl ledger FILE
        subprocess.run([sys.executable, "-m", "mycroft_fl", "ledger", str(ledger)], check=True)


if __name__ == "__main__":
    main()
