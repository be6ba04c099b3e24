"""What a pursuit costs and leaves unexplained, against public solvers under the same terms."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.matching import peers
from benchmarks.timing import extra_megabytes, in_turn
from mycroft_fl.match.omp.pursuit import Pursuit, orthogonal_matching_pursuit
from mycroft_fl.represent.gradients.per_example import DenseAtoms, GradientFactors

# n, outputs C, inputs p and k: d = C (p + 1).
SIZES = {
    "s": (1_000, 10, 63, 50),
    "m": (10_000, 10, 512, 100),
    "w": (5_000, 20, 999, 200),
    "l": (50_000, 10, 512, 500),
}
Weights = np.ndarray | None


@dataclass(frozen=True)
class Pair:
    """A peer, and the terms under which the engine meets it."""

    output: str
    terms: dict[str, Any]
    peer: str
    solver: Callable[[np.ndarray, np.ndarray, int], Weights]
    unit: bool = True
    """Whether the peer's columns are at norm one: the rule norm, and what SPAMS asks for."""


PAIRS = {
    "free": Pair("free", {"nonnegative": False}, "scikit-learn", peers.scikit_learn),
    "ols": Pair("free, ols", {"nonnegative": False, "rule": "ols"}, "SPAMS", peers.spams),
    "nonnegative": Pair("non-negative", {}, "CORDS, torch", peers.cords),
    "dot": Pair("non-negative, dot", {"rule": "dot"}, "CORDS, torch", peers.cords, unit=False),
}
FREE_PASSES, PASSES = "passes-free", "passes"


def factors(n: int, outputs: int, inputs: int, seed: int) -> GradientFactors:
    """Last-layer gradients as a classifier has them: positive features, softmax minus one-hot."""
    generator = torch.Generator().manual_seed(seed)
    delta = (2 * torch.randn(n, outputs, generator=generator)).softmax(1)
    delta[torch.arange(n), torch.randint(outputs, (n,), generator=generator)] -= 1
    return GradientFactors(delta, torch.randn(n, inputs, generator=generator).abs())


def columns_of(atoms: GradientFactors) -> np.ndarray:
    """d x n at norm one in Fortran's order, what the peers need: built where it stays."""
    rows = np.empty((len(atoms), atoms.shape.numel()), dtype=np.float32)
    for block in torch.arange(len(atoms)).split(1000):
        few = atoms[block]
        inputs = torch.cat([few.inputs, torch.ones(len(few), 1)], 1)
        part = torch.einsum("nc,np->ncp", few.delta, inputs).flatten(1)
        rows[block.numpy()] = torch.nn.functional.normalize(part).numpy()
    return rows.T


def omp(options: argparse.Namespace) -> None:
    """CPU seconds, memory, residual and picks; and the passes that any solver must make."""
    peers.install()
    wanted = options.against.split(",")
    print("| size | ours | peer | peer, CPU s | ours, CPU s | ratio | residual, ours / peer "
          "| same picks | MB more, ours / peer |\n" + "|---" * 9 + "|")  # fmt: skip
    for size in options.size.split(","):
        n, outputs, inputs, k = SIZES[size]
        atoms, target = factors(n, outputs, inputs, 0), factors(64, outputs, inputs, 1).mean()
        dense = any(name in PAIRS for name in wanted)
        columns = columns_of(atoms) if dense else np.empty((0, 0))
        for name in wanted:
            pair = PAIRS.get(name)
            terms = pair.terms if pair else {"nonnegative": name == PASSES}
            ours = partial(orthogonal_matching_pursuit, atoms, target, k, tolerance=0.0, **terms)
            if pair:
                run = partial(pair.solver, columns, target.flatten().numpy(), k)
            else:
                run = partial(_passes, atoms, k)
            output = (pair.label, pair.peer) if pair else (name, "k factored passes")
            _row(options.repeats, (size, *output), ours, run, columns, target)


def _passes(atoms: GradientFactors, k: int) -> None:
    for one in range(k):
        atoms.gram(torch.tensor([one]))


def _row(
    repeats: int, output: tuple[str, str, str], ours: Callable[[], Pursuit],
    peer: Callable[[], Weights], columns: np.ndarray, target: Tensor,
) -> None:  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Also once for nothing: what is loaded at first use is no one's cost.
        megabytes = [extra_megabytes(run) for run in (ours, peer)]
        found = in_turn(repeats, {"ours": ours, "peer": peer})
    mine, weights = found["ours"].result, found["peer"].result
    residuals, same = "", ""
    if weights is not None:
        chosen = np.flatnonzero(weights)
        residual = unexplained(columns, target.flatten().numpy(), weights)
        residuals = f"{mine.unexplained:.5f} / {residual:.5f}"
        same = f"{len(set(chosen) & set(mine.indices.tolist()))} of {len(mine.indices)}"
        same += f" (peer: {len(chosen)})" if len(chosen) != len(mine.indices) else ""
    size, name, rival = output
    print(
        f"| {size} | {name} | {rival} | {found['peer'].median:.4f} | {found['ours'].median:.4f} "
        f"| {found['peer'].times(found['ours']):.2f} | {residuals} | {same} "
        f"| {megabytes[0]:.0f} / {megabytes[1]:.0f} |",
        flush=True,
    )


def unexplained(columns: np.ndarray, target: np.ndarray, weights: np.ndarray) -> float:
    """||target - columns @ weights|| / ||target||, in float64."""
    chosen = np.flatnonzero(weights)
    aim = target.astype(np.float64)
    left = aim - columns[:, chosen].astype(np.float64) @ weights[chosen].astype(np.float64)
    return float(np.linalg.norm(left) / np.linalg.norm(aim))


def pools(options: argparse.Namespace) -> None:
    """Eight hard pools under the terms of every peer: is the residual ever above theirs?"""
    peers.install()
    print("| pool | " + " | ".join(f"{pair.label}: ours, atoms, end | {pair.peer}, atoms"
          for pair in PAIRS.values()) + " |\n" + "|---" * (1 + 2 * len(PAIRS)) + "|")  # fmt: skip
    above = []
    for name, (rows, target) in hard_pools().items():
        cells = []
        for pair in PAIRS.values():
            used = torch.nn.functional.normalize(rows.double(), eps=1e-300).float()
            used = used if pair.unit else rows
            found = orthogonal_matching_pursuit(
                DenseAtoms(used), target, 100, tolerance=0.0, **pair.terms
            )
            chosen, weights = found.indices.tolist(), found.weights
            assert len(set(chosen)) == len(chosen)
            assert bool(weights.isfinite().all())
            assert not pair.terms.get("nonnegative", True) or bool((weights > 0).all())
            residual, output = _theirs(pair, used, target)
            if found.unexplained > residual + 1e-5:
                above.append(f"{name}, {pair.label}")
            end = {"no-candidate-improves": "none improves"}.get(found.stopped, found.stopped)
            cells += [f"{found.unexplained:.5f}, {len(chosen)}, {end}", output]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    print(f"ours above a peer's by more than 1e-5: {'; '.join(above) or 'nowhere'}")


def _theirs(pair: Pair, rows: Tensor, target: Tensor) -> tuple[float, str]:
    """A peer's residual, infinite where there is none, and what to print."""
    columns = np.asfortranarray(rows.numpy().T)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            weights = pair.solver(columns, target.numpy(), min(100, *columns.shape))
    except Exception as error:
        return np.inf, type(error).__name__
    assert weights is not None
    residual = unexplained(columns, target.numpy(), weights)
    if not np.isfinite(residual):
        return np.inf, "not finite"
    return residual, f"{residual:.5f}, {np.count_nonzero(weights)}"


def hard_pools(n: int = 120, d: int = 40) -> dict[str, tuple[Tensor, Tensor]]:
    """What breaks public solvers."""
    torch.manual_seed(0)
    rows, target, few = torch.randn(n, d), torch.randn(d) + 0.5, torch.randn(12, d)
    cone = torch.randn(n, d).abs()
    return {
        "normal": (rows, target),
        "duplicates": (few.repeat(n // 12, 1), target),
        "near-duplicates": (few.repeat(n // 12, 1) + 1e-5 * rows, target),
        "vanishing": (rows * torch.logspace(-20, -14, n)[:, None], target),
        "zero rows": (rows * (torch.arange(n) % 3 == 0)[:, None], target),
        "six decades": (rows * torch.logspace(-3, 3, n)[torch.randperm(n)][:, None], target),
        "rank below k": (torch.randn(n, 5) @ torch.randn(5, d), target),
        "in the cone": (cone, cone[[3, 50, 99]].sum(0)),
    }
