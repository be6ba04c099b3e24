"""Splits a lock in two: all but torch and what only torch needs of CUDA, and torch's own pins.

python .ci/docker/without_cuda.py LOCK OTHERS TORCH
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

TORCH = ("torch", "torchvision")
CUDA = re.compile(r"(nvidia|cuda)-[a-z0-9-]+|triton")
ENTRY = re.compile(r"^(?P<name>[a-z0-9._-]+)==(?P<version>[^ \\]+)(?P<rest>.*(?:\n[ \t].*)*)", re.M)


def split(lock: str) -> tuple[str, str]:
    """Return the other packages' entries with their hashes, and a pin for each of torch's packages."""
    others, torch = [], []
    for entry in ENTRY.finditer(lock):
        if entry["name"] in TORCH:
            torch.append(f"{entry['name']}=={entry['version']}")
        elif not CUDA.fullmatch(entry["name"]):
            others.append(entry[0])
    if len(torch) != len(TORCH):
        raise SystemExit(f"the lock pins {torch}, not each of {list(TORCH)} once; make it anew")
    return "\n".join(others) + "\n", "\n".join(torch) + "\n"


def main(lock: str, others: str, torch: str) -> None:
    """Write both parts."""
    parts = split(Path(lock).read_text(encoding="utf-8"))
    for path, text in zip((others, torch), parts, strict=True):
        Path(path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit("give three files: LOCK OTHERS TORCH")
    main(*sys.argv[1:])
