"""Two methods over seeds: a study in a folder, read back as one frame.

python examples/study.py [FOLDER]

The same command goes on where it stopped, and computes only what is new.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mycroft_fl as mf

GRID = {
    "title": "Does a choice beat random picks?",
    "seeds": 3,  # ten or more for a claim
    "run": {
        "scenario": "rotated-digits",
        "owners": 4,
        "budget": 60,
        "num-rounds": 1,
        "fit.epochs": 10,
    },
    "grid": {"method": ["hard-features", "random"]},
}


def main(folder: Path) -> None:
    """Run what the folder lacks, and print both methods' gain, paired by seed."""
    mf.study(GRID, out=folder, jobs=1)
    frame = mf.read_study(folder).frame
    print(frame[["method", "seed", "status", "hard", "free_hard", "disclosed"]])
    by_method = frame.pivot(index="seed", columns="method", values="hard")
    gain = by_method["hard-features"] - by_method["random"]
    print(
        f"\nover random picks on the failures: {100 * gain.mean():+.1f} points, {len(gain)} seeds"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "studies/choice"))
