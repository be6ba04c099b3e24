"""The GPU's search, run on the CPU against the host's, and on a GPU that PyTorch only pretends to have."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from mycroft_fl.match.omp import gpu_search
from mycroft_fl.match.omp import pursuit as omp
from mycroft_fl.match.omp.gpu_search import DeviceSearch
from mycroft_fl.match.omp.many_targets import match_targets
from mycroft_fl.match.omp.problem import RULES, Options, Problem
from mycroft_fl.match.omp.pursuit import Pursuit, orthogonal_matching_pursuit
from mycroft_fl.represent.gradients.per_example import Atoms, DenseAtoms, GradientFactors


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def factors(n: int, seed: int = 0, outputs: int = 6, inputs: int = 50) -> GradientFactors:
    """As a classifier has them: positive features, softmax minus one-hot."""
    delta = (2 * gaussian(n, outputs, seed=seed)).softmax(1)
    delta[torch.arange(n), torch.arange(n) % outputs] -= 1
    return GradientFactors(delta, gaussian(n, inputs, seed=seed + 1).abs())


def on_gpu(atoms: Atoms, *what, **how) -> Pursuit:
    """Match as if these atoms were on a GPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(omp, "_is_on_gpu", lambda _: True)
        return orthogonal_matching_pursuit(atoms, *what, **how)


def require_same(here: Pursuit, there: Pursuit) -> None:
    assert there.indices.tolist() == here.indices.tolist()
    assert there.stopped == here.stopped
    assert there.unexplained == pytest.approx(here.unexplained, abs=1e-9)
    torch.testing.assert_close(there.weights, here.weights, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(there.start_weights, here.start_weights, rtol=1e-6, atol=1e-9)


POOLS = {
    "normal": gaussian(120, 40),
    "duplicates": gaussian(12, 40).repeat(10, 1),
    "vanishing": gaussian(120, 40) * torch.logspace(-20, -14, 120)[:, None],
    "zero rows": gaussian(120, 40) * (torch.arange(120) % 3 == 0)[:, None],
    "six decades": gaussian(120, 40) * torch.logspace(-3, 3, 120)[:, None],
    "rank below k": gaussian(120, 5) @ gaussian(5, 40, seed=1),
}


@pytest.mark.parametrize("nonnegative", [True, False])
@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("pool", sorted(POOLS))
def test_picks_on_hard_pools_are_those_of_the_host(pool: str, rule: str, nonnegative: bool) -> None:
    what, how = (DenseAtoms(POOLS[pool]), gaussian(40, seed=2) + 0.5, 60), {
        "rule": rule, "nonnegative": nonnegative,
    }  # fmt: skip
    require_same(orthogonal_matching_pursuit(*what, **how), on_gpu(*what, **how))


@given(
    n=st.integers(1, 40),
    d=st.integers(1, 12),
    k=st.integers(1, 40),
    seed=st.integers(0, 10**6),
    coarse=st.booleans(),
    nonnegative=st.booleans(),
    ridge=st.sampled_from([0.0, 1.0]),
)
@settings(deadline=None, max_examples=40)
def test_never_more_than_k_never_twice_never_negative_and_as_near_as_the_host(
    n: int, d: int, k: int, seed: int, coarse: bool, nonnegative: bool, ridge: float
) -> None:
    rows, target = gaussian(n, d, seed=seed), gaussian(d, seed=seed + 1)
    if coarse:  # many zeros, duplicates and opposites
        rows, target = rows.round(), target.round()
    how = {"nonnegative": nonnegative, "ridge": ridge}
    found = on_gpu(DenseAtoms(rows), target, k, **how)
    chosen = found.indices.tolist()
    assert len(chosen) == len(set(chosen)) <= min(k, n)
    assert not nonnegative or bool((found.weights > 0).all())
    there = orthogonal_matching_pursuit(DenseAtoms(rows), target, k, **how)
    assert found.unexplained == pytest.approx(there.unexplained, abs=1e-6)
    assert found.stopped == there.stopped


def test_factors_in_float32_are_matched_as_by_the_host() -> None:
    atoms, target = factors(6000), factors(40, seed=7).mean()
    assert atoms.numbers > 2**18  # so not in float64 altogether
    for nonnegative in (True, False):
        how = {"nonnegative": nonnegative, "tolerance": 0.0}
        here = orthogonal_matching_pursuit(atoms, target, 60, **how)
        there = on_gpu(atoms, target, 60, **how)
        assert there.indices.tolist() == here.indices.tolist()
        assert there.unexplained == pytest.approx(here.unexplained, rel=1e-7)


def test_penalties_and_earlier_picks_count_as_by_the_host() -> None:
    rows, target = gaussian(80, 30), gaussian(30, seed=1)
    first = orthogonal_matching_pursuit(DenseAtoms(rows), target, 6)
    for how in (
        {"penalty": gaussian(80, seed=2).abs()},
        {"start": first.indices},
        {"start": torch.tensor([3, 1, 4]), "nonnegative": False},
        {"start": torch.arange(20)},
    ):
        what = DenseAtoms(rows), target, 8
        require_same(orthogonal_matching_pursuit(*what, **how), on_gpu(*what, **how))


def test_many_targets_are_matched_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    atoms, targets = DenseAtoms(gaussian(50, 20)), gaussian(3, 20, seed=1)
    here = match_targets(atoms, targets, [3, 0, 5])
    monkeypatch.setattr(omp, "_is_on_gpu", lambda _: True)
    for mine, theirs in zip(here, match_targets(atoms, targets, [3, 0, 5]), strict=True):
        require_same(mine, theirs)


@pytest.mark.parametrize("nonnegative", [True, False])
@pytest.mark.parametrize("rule", sorted(RULES))
def test_no_step_on_a_gpu_reads_a_number_back(
    rule: str, nonnegative: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch's fake tensors have a device and a shape but no numbers to read."""
    monkeypatch.setattr(gpu_search, "_SLOTS", 2)
    with FakeTensorMode():
        delta, inputs = torch.empty(90, 10, device="cuda"), torch.empty(90, 20, device="cuda")
        atoms = GradientFactors(delta, inputs)
        squared = atoms.squared_norms()
        target = torch.empty(10, 21, dtype=torch.float64, device="cuda")
        problem = Problem.scaled(atoms, target, squared, 0.1, torch.zeros_like(squared))
        search = DeviceSearch(problem, Options(nonnegative, rule), torch.empty(0, dtype=torch.long))
        search.begin(4)
        for _ in range(6):
            search.step()
        with pytest.raises(DataDependentOutputException):  # so that a read would have been seen
            search.look()
