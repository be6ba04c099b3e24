"""Many targets matched at once, each from a pool of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from mycroft_fl.errors import DataError
from mycroft_fl.match.omp import Pursuit, orthogonal_matching_pursuit
from mycroft_fl.represent.atoms import Atoms


def match_targets(
    atoms: Atoms,
    targets: Sequence[Tensor] | Tensor,
    ks: Sequence[int] | int,
    pools: Sequence[Int[Tensor, " pool"]] | None = None,
    *,
    starts: Sequence[Int[Tensor, " s"]] | None = None,
    penalty: Tensor | None = None,
    **same: Any,
) -> list[Pursuit]:
    """One pursuit per target: all classes, one target per hard example, or many requests.

    `targets` are directions as the atoms have them, `ks` one k for all or one each, `pools` the
    candidates that each target may choose among (all, where None). `penalty` is one number per
    atom; `starts` one list of earlier picks per target. Indices are those of `atoms` throughout:
    in pools, in starts and in what comes back. `same` are `nonnegative`, `rule`, `ridge` and
    `tolerance`, the same for all. Two targets may pick the same atom.

    Errors as in `orthogonal_matching_pursuit`; DataError where the numbers of targets, ks, pools
    and starts differ.
    """
    ks = [ks] * len(targets) if isinstance(ks, int) else list(ks)
    _require_equally_many(len(targets), ks=ks, pools=pools, starts=starts)
    found = []
    for number, (target, k) in enumerate(zip(targets, ks, strict=True)):
        pool = None if pools is None else _pool(pools[number], len(atoms))
        start = None if starts is None else starts[number]
        found.append(_matched(atoms, target, k, pool, start, penalty, same))
    return found


def _matched(
    atoms: Atoms,
    target: Tensor,
    k: int,
    pool: Tensor | None,
    start: Tensor | None,
    penalty: Tensor | None,
    same: dict[str, Any],
) -> Pursuit:
    if pool is None:
        return orthogonal_matching_pursuit(atoms, target, k, start=start, penalty=penalty, **same)
    place = torch.full((len(atoms),), -1).index_put((pool,), torch.arange(len(pool)))
    if start is not None and bool((place[start] < 0).any()):
        raise DataError("a start lies outside its pool; give each target's earlier picks in it")
    found = orthogonal_matching_pursuit(
        atoms[pool.to(atoms.device)],
        target,
        k,
        start=None if start is None else place[start],
        penalty=None if penalty is None else penalty[pool.to(penalty.device)],
        **same,
    )
    return replace(found, indices=pool[found.indices])


def _pool(pool: Tensor, n: int) -> Int[Tensor, " pool"]:
    pool = pool.cpu()
    if pool.ndim != 1 or pool.is_floating_point() or len(torch.unique(pool)) < len(pool):
        raise DataError("a pool must be a list of distinct indices of atoms; give each once")
    if len(pool) and (int(pool.min()) < 0 or int(pool.max()) >= n):
        raise DataError(
            f"a pool goes from {int(pool.min())} to {int(pool.max())}, but there are {n} atoms; "
            "number them from 0"
        )
    return pool.long()


def _require_equally_many(count: int, **lists: Sequence | None) -> None:
    for name, each in lists.items():
        if each is not None and len(each) != count:
            raise DataError(f"{count} targets but {len(each)} {name}; give one per target")
