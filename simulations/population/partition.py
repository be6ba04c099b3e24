"""The division of examples: nothing twice, the scarcest groups first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from mycroft_fl.errors import ScenarioError

Rng = Callable[[str, str], np.random.Generator]  # of a holder and a group
Pools = Mapping[str, Int64[np.ndarray, " _eligible"]]
Draws = dict[str, dict[str, Int64[np.ndarray, " _drawn"]]]  # holder -> group -> identities


@dataclass(frozen=True)
class Want:
    """How many examples of which groups one holder asks for."""

    holder: str
    counts: Mapping[str, int]


def partition(pools: Pools, wants: Sequence[Want], rng: Rng) -> Draws:
    """Draw identities for every holder and group at random, without replacement.

    `pools[group]` holds the identities (numbers below some N, distinct) that are eligible; an
    identity may stand in several pools and is drawn once at most. Groups draw in order of
    their pools' sizes, the smallest first, and within a group holders draw in order. Raises
    `ScenarioError` where fewer are left than wanted.
    """
    taken = np.zeros(_size(pools), dtype=bool)
    draws: Draws = {want.holder: {} for want in wants}
    for group in scarcest_first(pools):
        asking = [want for want in wants if want.counts.get(group, 0)]
        left = pools[group][~taken[pools[group]]]
        wanted = sum(want.counts[group] for want in asking)
        if wanted > len(left):
            raise ScenarioError(_too_few(group, asking, len(left), len(pools[group])))
        for want in asking:
            drawn = rng(want.holder, group).choice(left, want.counts[group], replace=False)
            draws[want.holder][group] = drawn
            taken[drawn] = True
            left = left[~taken[left]]
    return draws


def skewed_draw(
    pools: Mapping[int, Int64[np.ndarray, " _eligible"]],
    count: int,
    concentration: float,
    rng: np.random.Generator,
    who: str,
) -> Int64[np.ndarray, " drawn"]:
    """Draw `count` identities whose classes follow one draw of a symmetric Dirichlet distribution.

    Hsu et al. 2019. A class that runs out leaves its part to the others. Raises `ScenarioError`
    where all together are too few.

    Args:
        pools: eligible identities by class.
        count: how many to draw.
        concentration: of the Dirichlet distribution; the smaller, the fewer classes.
        rng: draws classes and identities.
        who: named in an error.
    """
    left = np.array([len(pool) for pool in pools.values()])
    if left.sum() < count:
        raise ScenarioError(
            f"{who}: {count} examples are wanted but {left.sum()} are left; ask for fewer"
        )
    shares = np.maximum(rng.dirichlet(np.full(len(left), concentration)), 1e-12)
    counts = np.zeros(len(left), dtype=np.int64)
    while counts.sum() < count:
        open_shares = np.where(counts < left, shares, 0)
        more = rng.multinomial(count - counts.sum(), open_shares / open_shares.sum())
        counts = np.minimum(counts + more, left)
    parts = [
        rng.choice(pool, size=each, replace=False)
        for pool, each in zip(pools.values(), counts, strict=True)
    ]
    return np.concatenate(parts)


def rows_left(pools: Pools, draws: Draws, of: Iterable[str]) -> dict[str, np.ndarray]:
    """Return what nobody has drawn of these groups, the scarcest first; each identity in one alone."""
    taken = marked(draws.values(), _size(pools))
    left = {}
    for group in scarcest_first({name: pools[name] for name in of}):
        left[group] = pools[group][~taken[pools[group]]]
        taken[left[group]] = True
    return left


def at_most(
    parts: Mapping[str, np.ndarray], most: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return a holder's parts by group, or `most` (0: no limit) of all together, drawn at random."""
    whole = np.concatenate(list(parts.values()))
    if 0 < most < len(whole):
        whole = rng.choice(whole, most, replace=False)
    kept = {group: part[np.isin(part, whole)] for group, part in parts.items()}
    return {group: part for group, part in kept.items() if len(part)}


def scarcest_first(pools: Pools) -> list[str]:
    """Return the groups' names, those with the fewest eligible examples first; ties as they came."""
    return sorted(pools, key=lambda group: len(pools[group]))


def marked(draws: Iterable[Mapping[str, np.ndarray]], size: int) -> Bool[np.ndarray, " N"]:
    """Return which of `size` identities are held in `draws`."""
    held = np.zeros(size, dtype=bool)
    for groups in draws:
        for drawn in groups.values():
            held[drawn] = True
    return held


def _size(pools: Pools) -> int:
    return max((int(pool.max()) + 1 for pool in pools.values() if len(pool)), default=0)


def _too_few(group: str, asking: list[Want], left: int, eligible: int) -> str:
    wanted = sum(want.counts[group] for want in asking)
    whom = ", ".join(want.holder for want in asking[:4]) + (", ..." if len(asking) > 4 else "")
    others = (
        f" ({eligible - left} went to groups with fewer to choose from)" if left < eligible else ""
    )
    return (
        f"group '{group}': {wanted} examples are wanted ({whom}) but there are {left}{others}; "
        "ask for fewer; owners with reuse = true may share"
    )
