"""The cost of a pursuit on a GPU, against reading the factors once for every pick."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import TypeVar

import torch

from mycroft_fl.match.omp.pursuit import orthogonal_matching_pursuit
from mycroft_fl.represent.gradients.per_example import GradientFactors

T = TypeVar("T")


def gpu(options: argparse.Namespace) -> None:
    """n = 1,000,000, p = 2,048, C = 1,000, k = 1,000, factors in float32."""
    n, k = options.candidates or 1_000_000, 1_000
    generator = torch.Generator("cuda").manual_seed(0)
    delta = torch.randn(n, 1_000, device="cuda", generator=generator).softmax(1)
    labels = torch.randint(1_000, (n, 1), device="cuda", generator=generator)
    delta.scatter_add_(1, labels, delta.new_full((n, 1), -1.0))
    inputs = torch.randn(n, 2_048, device="cuda", generator=generator).abs_()
    atoms = GradientFactors(delta, inputs)
    target = atoms[torch.arange(64, device="cuda")].mean()
    floor = k * _seconds(lambda: (delta.sum(), inputs.sum()), 10)[0]
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, n = {n}")
    print(f"k passes over H and D at {4 * k * atoms.numbers / floor / 1e9:.0f} GB/s: {floor:.2f} s")
    seconds, found = _seconds(
        lambda: orthogonal_matching_pursuit(atoms, target, k, tolerance=0.0), options.repeats
    )
    print(f"{seconds:.2f} s for {len(found.indices)} picks, "
          f"{seconds / floor:.2f} times the passes, {found.unexplained:.6f} left")  # fmt: skip


def _seconds(run: Callable[[], T], repeats: int) -> tuple[float, T]:
    """Median wall time of a run on the GPU, after one for nothing, and its result."""
    result, seconds = run(), []
    for _ in range(repeats):
        torch.cuda.synchronize()
        start = time.perf_counter()
        result = run()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result
