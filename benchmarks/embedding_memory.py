"""How much memory embedding 100,000 images takes, and what a second run saves.

    python -m benchmarks.embedding_memory [--images 100000] [--encoder timm:tf_efficientnet_lite0:none@32]

The images (random bytes, 3 x 32 x 32) lie on disk as a data set with x.npy and y.npy; each pass is a
process of its own, with an empty cache before the first. The peak is the resident set's, PyTorch and
the pages of the mapped file included.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CHUNK = 10_000


def main() -> None:
    """Write the images, then embed them twice in processes of their own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--encoder", default="timm:tf_efficientnet_lite0:none@32")
    parser.add_argument("--embed", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.embed:
        print(embed(options.embed, options.encoder))
        return
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "set", options.images)
        command = [
            sys.executable,
            __file__,
            "--encoder",
            options.encoder,
            "--embed",
            f"{folder}/set",
        ]
        for name in ("first", "second"):
            environment = os.environ | {"XDG_CACHE_HOME": folder}
            done = subprocess.run(
                command, env=environment, check=True, capture_output=True, text=True
            )
            print(f"{name} run: {done.stdout.strip()}", flush=True)


def write(folder: Path, n: int) -> None:
    """Random images on disk, never all in memory."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    x = np.lib.format.open_memmap(folder / "x.npy", mode="w+", dtype=np.uint8, shape=(n, 3, 32, 32))
    for start in range(0, n, CHUNK):
        x[start : start + CHUNK] = rng.integers(0, 256, x[start : start + CHUNK].shape)
    x.flush()
    np.save(folder / "y.npy", np.arange(n) % 2)


def embed(folder: Path, encoder: str) -> str:
    """All images of a data set through the cache; shape, seconds and peak."""
    from mycroft_fl.data.sources import load_dataset
    from mycroft_fl.encoders.embeddings import embeddings_of

    since = time.monotonic()
    dataset = load_dataset(str(folder), folder)
    assert dataset.x is not None
    found = embeddings_of(encoder).of(dataset.x)
    seconds = time.monotonic() - since
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return f"{found.shape[0]} x {found.shape[1]} in {seconds:.0f} s, at most {peak:.2f} GB"


if __name__ == "__main__":
    main()
