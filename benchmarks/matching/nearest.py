"""What exact neighbours cost against public ones, and a pursuit on candidates in a file."""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from benchmarks.matching import peers
from benchmarks.timing import extra_megabytes, in_turn, peak_megabytes
from mycroft_fl.files import written_whole
from mycroft_fl.match.nearest import nearest_each
from mycroft_fl.match.omp.pursuit import orthogonal_matching_pursuit
from mycroft_fl.represent.gradients.streamed import StreamedAtoms


def nearest(options: argparse.Namespace) -> None:
    """Exact top 10 of 200 queries among candidates of 512 features."""
    peers.install()
    from sklearn.neighbors import NearestNeighbors

    count = options.candidates or 100_000
    faiss, rng = peers.faiss(), np.random.default_rng(0)
    candidates = np.empty((count, 512), dtype=np.float32)
    for start in range(0, count, 10_000):
        block = candidates[start : start + 10_000]
        block[:] = rng.standard_normal(block.shape, dtype=np.float32)
    queries = rng.standard_normal((200, 512), dtype=np.float32)
    there, here = torch.from_numpy(candidates), torch.from_numpy(queries)

    index = faiss.IndexFlatL2(512)  # filled before the clock runs: it holds a copy
    index.add(candidates)
    brute = NearestNeighbors(n_neighbors=10, algorithm="brute").fit(candidates)
    runs = {
        "ours": lambda: nearest_each(there, here, 10).candidate.reshape(200, 10).numpy(),
        "scikit-learn": lambda: brute.kneighbors(queries)[1],
        "faiss flat": lambda: index.search(queries, 10)[1],
    }
    megabytes = {name: extra_megabytes(run) for name, run in runs.items()}
    found = in_turn(options.repeats, runs)
    print(f"{count} candidates")
    print("| solver | CPU s | times ours | the same neighbours | MB more |\n|---|---|---|---|---|")
    for name, timed in found.items():
        agreed = float((timed.result == found["ours"].result).mean())
        print(f"| {name} | {timed.median:.3f} | {timed.times(found['ours']):.2f} | {agreed:.4f} "
              f"| {megabytes[name]:.0f} |")  # fmt: skip


def stream(options: argparse.Namespace) -> None:
    """100 among candidates of 512 features that lie in a file: time and peak memory."""
    count = options.candidates or 1_000_000
    path = options.folder / f"mycroft-stream-{count}.npy"
    if not path.exists():
        rng, shape = np.random.default_rng(0), (count, 512)
        head = {"descr": "<f4", "fortran_order": False, "shape": shape}
        with written_whole(path) as file:
            np.lib.format.write_array_header_1_0(file, head)
            for start in range(0, count, 10_000):
                rows = min(10_000, count - start)
                file.write(rng.standard_normal((rows, shape[1]), dtype=np.float32) + 0.1)
        print(f"{path} is written; call again, for what writing took would count as memory")
        return
    target = torch.from_numpy(np.random.default_rng(1).standard_normal(512) + 0.1).float()
    before, start = peak_megabytes(), time.process_time()
    found = orthogonal_matching_pursuit(StreamedAtoms((np.load(path, mmap_mode="r"),)), target, 100)
    seconds = time.process_time() - start
    print(
        f"{count} x 512: {len(found.indices)} picks, residual {found.unexplained:.5f}, "
        f"{seconds:.1f} CPU s; peak memory {peak_megabytes():.0f} MB, of which {before:.0f} before"
    )
