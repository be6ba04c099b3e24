"""Many targets matched at once, each from a pool of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.match.omp.problem import Options
from mycroft_fl.match.omp.pursuit import (
    Pursuing,
    Pursuit,
    few_in_double,
    prepared,
    pursued,
    require_penalty,
    require_start,
)
from mycroft_fl.represent.gradients.atoms import Atoms

_NUMBERS = 2**26  # 256 MiB of columns in float32 for all targets under way


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
    """Return one pursuit per target: all classes, one target per hard example, or many requests.

    Indices are those of `atoms` throughout: in pools, in starts and in what comes back. Two targets
    may pick the same atom.

    Errors as in `orthogonal_matching_pursuit`; DataError where the numbers of targets, ks, pools
    and starts differ.

    Args:
        atoms: all candidates of all targets.
        targets: directions as the atoms have them.
        ks: one k for all, or one each; a k of 0 is no pick.
        pools: the candidates that each target may choose among; all where None.
        starts: one list of earlier picks per target.
        penalty: one number per atom.
        same: `nonnegative`, `rule`, `ridge` and `tolerance`, the same for all.
    """
    ks = [ks] * len(targets) if isinstance(ks, int) else list(ks)
    _require_equally_many(len(targets), ks=ks, pools=pools, starts=starts)
    if any(k < 0 for k in ks):
        raise SettingError(f"ks holds {min(ks)}; ask for 0 candidates or more for each target")
    penalty = None if penalty is None else require_penalty(penalty, len(atoms))
    options = Options(**same)
    with torch.no_grad():
        if pools is None:
            return _among(atoms, list(targets), ks, starts, penalty, options)
        found = []
        for number, (target, k) in enumerate(zip(targets, ks, strict=True)):
            pool = _pool(pools[number], len(atoms))
            start = None if starts is None else [_placed(starts[number], pool, len(atoms))]
            psi = None if penalty is None else penalty[pool.to(penalty.device)]
            few = atoms[pool.to(atoms.device)]
            [result] = _among(few, [target], [k], start, psi, options)
            found.append(replace(result, indices=pool[result.indices]))
    return found


def _among(
    atoms: Atoms,
    targets: list[Tensor],
    ks: list[int],
    starts: Sequence[Tensor] | None,
    penalty: Tensor | None,
    options: Options,
) -> list[Pursuit]:
    """Match all targets among all atoms, a batch of them side by side."""
    atoms = few_in_double(atoms)
    squared = atoms.squared_norms()
    batch = max(1, _NUMBERS // max(1, len(atoms)) // 8)
    found: list[Pursuit] = []
    for first in range(0, len(targets), batch):
        numbers = range(first, min(first + batch, len(targets)))
        ready = [
            prepared(
                atoms, targets[each], options, penalty, starts[each] if starts else None, squared
            )
            for each in numbers
        ]
        under_way = [each for each in ready if isinstance(each, Pursuing)]
        wanted = [
            ks[number]
            for number, each in zip(numbers, ready, strict=True)
            if isinstance(each, Pursuing)
        ]
        results = iter(pursued(under_way, wanted) if under_way else [])
        found += [next(results) if isinstance(each, Pursuing) else each for each in ready]
    return found


def _placed(start: Tensor, pool: Tensor, n: int) -> Int[Tensor, " s"]:
    place = torch.full((n,), -1).index_put((pool,), torch.arange(len(pool)))
    placed = place[require_start(start, n)]
    if bool((placed < 0).any()):
        raise DataError("a start lies outside its pool; give each target's earlier picks in it")
    return placed


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
