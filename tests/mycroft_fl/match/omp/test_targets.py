"""Penalties, earlier picks and many targets at once, against explicit systems and one by one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from torch import Tensor

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.match.omp import many_targets as module
from mycroft_fl.match.omp import pursuit as omp_module
from mycroft_fl.match.omp.many_targets import match_targets
from mycroft_fl.match.omp.pursuit import RULES, Pursuit, orthogonal_matching_pursuit
from mycroft_fl.represent.gradients.per_example import DenseAtoms, GradientFactors


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=["few", "many"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few numbers are matched in float64; the same small pools as if they were many."""
    if request.param == "many":
        monkeypatch.setattr(omp_module, "_FEW_NUMBERS", 0)


def same(one: Pursuit, other: Pursuit) -> None:
    assert one.indices.tolist() == other.indices.tolist()
    assert one.stopped == other.stopped
    torch.testing.assert_close(one.weights, other.weights, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(one.start_weights, other.start_weights, rtol=1e-6, atol=1e-9)


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("nonnegative", [True, False])
def test_a_penalty_is_the_same_as_explicit_rows_of_it(nonnegative: bool, rule: str) -> None:
    rows, target = gaussian(60, 15).double(), gaussian(15, seed=1).double()
    psi = gaussian(60, seed=2).abs().double() * 3
    augmented, aim = torch.cat([rows, psi.diag()], 1), torch.cat([target, torch.zeros(60)])
    options = {"nonnegative": nonnegative, "rule": rule}
    explicit = orthogonal_matching_pursuit(DenseAtoms(augmented), aim, 10, **options)
    implicit = orthogonal_matching_pursuit(DenseAtoms(rows), target, 10, penalty=psi, **options)
    same(implicit, explicit)


def test_the_rule_dot_never_sees_a_penalty_and_the_others_do() -> None:
    rows, target = torch.eye(3)[:2], torch.tensor([1.0, 0.9, 0.0])
    psi = torch.tensor([5.0, 0.0])
    first = {
        rule: orthogonal_matching_pursuit(
            DenseAtoms(rows), target, 1, rule=rule, penalty=psi
        ).indices.tolist()
        for rule in RULES
    }
    assert first == {"norm": [1], "ols": [1], "dot": [0]}


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("nonnegative", [True, False])
@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_later_round_goes_on_where_the_first_one_stopped(nonnegative: bool, rule: str) -> None:
    rows, target = gaussian(80, 40), gaussian(40, seed=1)
    options = {"nonnegative": nonnegative, "rule": rule, "tolerance": 0.0}
    first = orthogonal_matching_pursuit(DenseAtoms(rows), target, 6, **options)
    later = orthogonal_matching_pursuit(DenseAtoms(rows), target, 6, start=first.indices, **options)
    assert not set(first.indices.tolist()) & set(later.indices.tolist())
    assert len(later.indices) == 6
    assert later.unexplained < first.unexplained
    chosen = torch.cat([first.indices, later.indices])
    weights = torch.cat([later.start_weights, later.weights])
    residual = target.double() - weights @ rows[chosen].double()
    assert later.unexplained == pytest.approx(float(residual.norm() / target.double().norm()))
    if not nonnegative:  # nothing is ever dropped: the very same picks as in one go
        whole = orthogonal_matching_pursuit(DenseAtoms(rows), target, 12, **options)
        assert chosen.tolist() == whole.indices.tolist()


@given(seed=st.integers(0, 10**6), started=st.integers(0, 12), k=st.integers(1, 12))
@settings(deadline=None, max_examples=40)
def test_what_it_starts_from_is_never_picked_and_k_counts_new_ones_only(
    seed: int, started: int, k: int
) -> None:
    rows, target = gaussian(30, 10, seed=seed), gaussian(10, seed=seed + 1)
    start = torch.randperm(30, generator=torch.Generator().manual_seed(seed))[:started]
    found = orthogonal_matching_pursuit(DenseAtoms(rows), target, k, start=start)
    assert len(found.indices) <= k
    assert not set(found.indices.tolist()) & set(start.tolist())
    assert len(found.start_weights) == started
    assert bool((found.start_weights >= 0).all())
    columns = rows[start].double().numpy().T
    alone = nnls(columns, target.double().numpy())[1] if started else target.double().norm()
    assert found.unexplained <= float(alone / target.double().norm()) + 1e-6


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("pooled", [True, False])
def test_many_targets_give_what_each_gives_alone(rule: str, pooled: bool) -> None:
    atoms = GradientFactors(gaussian(90, 4), gaussian(90, 7, seed=1))
    targets, ks = gaussian(5, 4, 8, seed=2), [7, 3, 0, 12, 1]
    targets[4] = 0
    psi = gaussian(90, seed=3).abs()
    pools = [torch.randperm(90)[:50] for _ in ks] if pooled else None
    found = match_targets(atoms, targets, ks, pools, rule=rule, penalty=psi)
    assert [len(each.indices) for each in found] == [7, 3, 0, 12, 0]
    for number, (each, k) in enumerate(zip(found, ks, strict=True)):
        pool = torch.arange(90) if pools is None else pools[number]
        if k:
            alone = orthogonal_matching_pursuit(
                atoms[pool], targets[number], k, rule=rule, penalty=psi[pool]
            )
            assert each.indices.tolist() == pool[alone.indices].tolist()
            torch.testing.assert_close(each.weights, alone.weights, rtol=1e-6, atol=1e-9)


def test_batches_of_targets_change_nothing_and_starts_lie_in_their_pools(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    atoms, targets = DenseAtoms(gaussian(40, 9)), list(gaussian(6, 9, seed=1))
    whole = match_targets(atoms, targets, 4)
    monkeypatch.setattr(module, "_NUMBERS", 2 * 8 * 40)
    for one, other in zip(whole, match_targets(atoms, targets, 4), strict=True):
        same(one, other)
    pools = [torch.arange(20, 40)] * 6
    starts = [torch.tensor([25, 31])] * 6
    for each in match_targets(atoms, targets, 4, pools, starts=starts):
        assert set(each.indices.tolist()) <= set(range(20, 40)) - {25, 31}


ATOMS, TARGETS = DenseAtoms(gaussian(6, 4)), gaussian(2, 4)


@pytest.mark.parametrize(
    ("error", "message", "arguments", "options"),
    [
        (DataError, "2 targets but 1 ks; give one per target", ([1],), {}),
        (DataError, "2 targets but 1 pools", (1, [torch.arange(3)]), {}),
        (DataError, "2 targets but 3 starts", (1,), {"starts": [torch.arange(1)] * 3}),
        (SettingError, "ks holds -1; ask for 0", ([1, -1],), {}),
        (DataError, "a pool must be a list of distinct", (1, [torch.tensor([1, 1])] * 2), {}),
        (DataError, "a pool goes from 2 to 6, but there are 6", (1, [torch.arange(2, 7)] * 2), {}),
        (
            DataError,
            "a start lies outside its pool",
            (1, [torch.arange(3)] * 2),
            {"starts": [torch.tensor([4])] * 2},
        ),
        (DataError, "start must be a list of distinct", (1,), {"starts": [torch.ones(2)] * 2}),
        (DataError, "start goes from 9 to 9", (1,), {"starts": [torch.tensor([9])] * 2}),
        (DataError, r"penalty has shape \(5,\), but there are 6", (1,), {"penalty": torch.ones(5)}),
        (DataError, "penalty holds NaN", (1,), {"penalty": -torch.ones(6)}),
        (SettingError, "rule is 'best'", (1,), {"rule": "best"}),
    ],
)
@pytest.mark.unchecked
def test_bad_input_to_many_targets_is_one_clear_line(
    error: type[Exception], message: str, arguments: tuple, options: dict
) -> None:
    with pytest.raises(error, match=message) as raised:
        match_targets(ATOMS, TARGETS, *arguments, **options)
    assert "\n" not in str(raised.value)
