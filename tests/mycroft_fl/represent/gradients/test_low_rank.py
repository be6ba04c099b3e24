"""Products with directions of low rank, against whole ones in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from mycroft_fl.match.omp.pursuit import orthogonal_matching_pursuit
from mycroft_fl.represent.gradients import factors as factors_module
from mycroft_fl.represent.gradients.low_rank import low_rank
from mycroft_fl.represent.gradients.per_example import GradientFactors, gradients

_EPS = torch.finfo(torch.float32).eps


def factors(n: int, outputs: int, inputs: int, seed: int, bias: bool = True) -> GradientFactors:
    generator = torch.Generator().manual_seed(seed)
    delta = torch.randn(n, outputs, generator=generator)
    return GradientFactors(delta, torch.randn(n, inputs, generator=generator).abs(), bias)


def explicit(atoms: GradientFactors) -> Tensor:
    inputs = atoms.inputs.double()
    if atoms.bias:
        inputs = torch.cat([inputs, torch.ones_like(inputs[:, :1])], dim=1)
    return torch.einsum("nc,np->ncp", atoms.delta.double(), inputs)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("hard", [1, 16, 17, 40])
def test_products_with_a_mean_of_few_are_those_with_the_whole(hard: int, bias: bool) -> None:
    atoms, target = factors(3000, 120, 200, 0, bias), factors(hard, 120, 200, 1, bias).mean()
    thin = low_rank(target, len(atoms))
    assert thin is not None
    assert len(thin[1]) <= hard + 8
    products, norms = atoms.correlate(target), atoms.squared_norms().sqrt()
    true = (explicit(atoms) * target.double()).sum((1, 2))
    assert products.dtype == torch.float32
    assert float(((products - true).abs() / norms).max()) <= 4 * _EPS * float(target.norm())


@settings(max_examples=60, deadline=None)
@given(
    st.integers(72, 140), st.integers(72, 140), st.integers(0, 140), st.integers(-8, 8),
    st.integers(0, 99),
)  # fmt: skip
def test_the_two_make_up_the_direction_or_are_not_given(
    outputs: int, inputs: int, rank: int, decades: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    left = torch.randn(outputs, rank, generator=generator, dtype=torch.float64)
    right = torch.randn(rank, inputs, generator=generator, dtype=torch.float64)
    direction = (left * torch.logspace(0, decades, rank)) @ right
    thin = low_rank(direction.float(), 10_000)
    if thin is None:
        assert rank > 16
        return
    assert len(thin[1]) < min(outputs, inputs)
    off = direction.float().double() - thin[0].double() @ thin[1].double()
    assert float(off.norm()) <= 9 * _EPS * float(direction.norm())
    torch.testing.assert_close(thin[0].T @ thin[0], torch.eye(len(thin[1])), atol=1e-5, rtol=0)


def test_a_high_rank_few_rows_and_other_precisions_are_left_whole() -> None:
    whole = torch.randn(120, 200, generator=torch.Generator().manual_seed(0))
    thin = whole[:, :4] @ whole[:4]
    assert low_rank(whole, 3000) is None
    assert low_rank(thin, 3000) is not None
    assert low_rank(thin, 20) is None  # to look for it would cost more
    assert low_rank(thin[:20], 3000) is None  # a product with all of it is as cheap
    assert low_rank(thin.double(), 3000) is None
    assert low_rank(thin.bfloat16(), 3000) is None
    for number in (torch.nan, torch.inf):
        assert low_rank(torch.full_like(thin, number), 3000) is None
    again = [low_rank(thin.clone().requires_grad_(), 3000) for _ in range(2)]
    assert all(each is not None and not each[0].requires_grad for each in again)
    zero = low_rank(torch.zeros(120, 200), 3000)
    assert zero is not None
    assert not zero[1].any()


def test_a_direction_that_changes_in_place_is_looked_at_anew() -> None:
    atoms, target = factors(3000, 120, 200, 0), factors(8, 120, 200, 1).mean()
    before = atoms.correlate(target)
    target.mul_(-2)
    torch.testing.assert_close(atoms.correlate(target), -2 * before)


def test_all_layers_products_are_those_of_automatic_differentiation() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(90, 80), nn.ReLU(), nn.Linear(80, 5))
    x, y = torch.rand(500, 90), torch.randint(5, (500,))
    target = gradients(model, x[:9], y[:9], layers="all").mean()
    assert low_rank(target[: 80 * 91].reshape(80, 91), 500) is not None
    found = gradients(model, x, y, layers="all").correlate(target)

    def loss(parameters: dict[str, Tensor], one: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(model, parameters, (one[None],))
        return nn.functional.cross_entropy(logits, label[None])

    parameters = {name: value.detach() for name, value in model.named_parameters()}
    rows = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, x, y)
    rows = torch.cat([each.flatten(1) for each in rows.values()], 1)
    torch.testing.assert_close(found, rows @ rows[:9].mean(0), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("nonnegative", [True, False])
def test_a_pursuit_picks_the_same_with_the_whole_target(
    nonnegative: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    atoms, target = factors(3000, 120, 200, 0), factors(12, 120, 200, 1).mean()
    asked: list[bool] = []

    def output(direction: Tensor, rows: int) -> tuple[Tensor, Tensor] | None:
        thin = low_rank(direction, rows)
        asked.append(thin is not None)
        return thin

    monkeypatch.setattr(factors_module, "low_rank", output)
    ours = orthogonal_matching_pursuit(atoms, target, 30, nonnegative=nonnegative)
    assert any(asked)
    monkeypatch.setattr(factors_module, "low_rank", lambda *_: None)
    whole = orthogonal_matching_pursuit(atoms, target, 30, nonnegative=nonnegative)
    assert ours.indices.tolist() == whole.indices.tolist()
    torch.testing.assert_close(ours.weights, whole.weights)
