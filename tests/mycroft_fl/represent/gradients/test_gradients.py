"""Gradient factors, against per-example gradients from torch.func and explicit products."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.represent.gradients import atoms as atoms_module
from mycroft_fl.represent.gradients.per_example import (
    Atoms,
    DenseAtoms,
    GradientFactors,
    last_layer_gradients,
)


class Network(nn.Module):
    """Convolution, batch statistics and dropout before the head: all that a mode changes."""

    def __init__(self, head: nn.Module | None = None) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Tanh(), nn.Dropout(), nn.Flatten()
        )
        self.head = head or nn.Linear(3 * 4 * 4, 5)

    def features(self, x: Tensor) -> Tensor:
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def network(dtype: torch.dtype = torch.float32) -> Network:
    torch.manual_seed(0)
    model = Network().to(dtype)
    model(torch.randn(16, 1, 6, 6, dtype=dtype))  # batch statistics worth telling apart
    return model


def examples(n: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, 1, 6, 6, generator=generator, dtype=dtype)
    return x, torch.randint(5, (n,), generator=generator)


def from_torch(model: Network, x: Tensor, y: Tensor) -> Tensor:
    """n x C x (p+1), each example's gradient by automatic differentiation."""
    head = {name: value.detach() for name, value in model.head.named_parameters(prefix="head")}

    def loss(parameters: dict[str, Tensor], one: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(model, parameters, (one[None],))
        return nn.functional.cross_entropy(logits, label[None])

    was = model.training
    model.eval()
    gradients = vmap(grad(loss), in_dims=(None, 0, 0))(head, x, y)
    model.train(was)
    return torch.cat([gradients["head.weight"], gradients["head.bias"][:, :, None]], 2).detach()


@pytest.fixture
def pair() -> tuple[GradientFactors, Tensor]:
    model, (x, y) = network(torch.float64), examples(17, torch.float64)
    return last_layer_gradients(model, x, y, batch_size=5), from_torch(model, x, y)


def explicit(factors: GradientFactors) -> Tensor:
    inputs = torch.cat([factors.inputs, torch.ones_like(factors.inputs[:, :1])], dim=1)
    return torch.einsum("nc,np->ncp", factors.delta, inputs)


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_agrees_with_automatic_differentiation(dtype: torch.dtype, near: float) -> None:
    model, (x, y) = network(dtype), examples(17, dtype)
    factors = last_layer_gradients(model, x, y)
    assert factors.dtype == dtype
    torch.testing.assert_close(
        explicit(factors), from_torch(model, x, y), atol=near, rtol=10 * near
    )


@pytest.mark.parametrize("batch_size", [1, 4, 17, 100])
def test_the_batch_size_changes_nothing(batch_size: int) -> None:
    model, (x, y) = network(torch.float64), examples(17, torch.float64)
    parts, whole = last_layer_gradients(model, x, y, batch_size), last_layer_gradients(model, x, y)
    torch.testing.assert_close(parts.delta, whole.delta)
    torch.testing.assert_close(parts.inputs, whole.inputs)


def test_a_vanishing_gradient_keeps_its_size() -> None:
    model = Network(nn.Linear(48, 5)).eval()
    with torch.no_grad():
        model.head.weight.zero_()  # type: ignore[union-attr,operator]
        model.head.bias.copy_(torch.tensor([60.0, 0.0, 1.0, 2.0, 3.0]))  # type: ignore[union-attr,operator]
    x, _ = examples(1)
    delta = last_layer_gradients(model, x, torch.tensor([0])).delta[0]
    others = torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=torch.float64).sub(60).exp()
    torch.testing.assert_close(delta[1:].double(), others, rtol=1e-5, atol=0)
    torch.testing.assert_close(delta[0].double(), -others.sum(), rtol=1e-5, atol=0)


def test_the_model_is_left_as_it_was_and_nothing_is_tracked() -> None:
    model, (x, y) = network().train(), examples(6)
    model.body[1].eval()  # frozen batch statistics, as in fine-tuning
    modes = {name: module.training for name, module in model.named_modules()}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    factors = last_layer_gradients(model, x, y)
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not factors.delta.requires_grad
    assert not factors.inputs.requires_grad


def test_the_mode_comes_back_after_a_failure() -> None:
    model = network().train()
    with pytest.raises(RuntimeError):
        last_layer_gradients(model, torch.randn(2, 7), torch.zeros(2, dtype=torch.int64))
    assert model.training


def test_no_example_gives_no_factors() -> None:
    x, y = examples(0)
    factors = last_layer_gradients(network(), x, y)
    assert factors.delta.shape == (0, 5)
    assert factors.inputs.shape == (0, 48)
    assert factors.correlate(torch.zeros(5, 49)).shape == (0,)


def test_products_agree_with_those_of_explicit_gradients(
    pair: tuple[GradientFactors, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    factors, rows = pair
    monkeypatch.setattr(atoms_module, "_BLOCK_NUMBERS", 20)
    flat, index, weights = rows.flatten(1), torch.tensor([3, 11, 3]), torch.tensor([1.0, -2.0, 0.5])
    direction = torch.randn(5, 49, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    combined = torch.einsum("t,tcp->cp", weights.double(), rows[index])
    scaled = flat[index] * weights[:, None]
    for atoms, shape in ((factors, (5, 49)), (DenseAtoms(flat), (5 * 49,))):
        torch.testing.assert_close(atoms.squared_norms(), flat.square().sum(1))
        torch.testing.assert_close(
            atoms.correlate(direction.reshape(shape)), flat @ direction.flatten()
        )
        torch.testing.assert_close(atoms.gram(index), flat @ flat[index].T)
        torch.testing.assert_close(atoms.gram(index, weights), flat @ scaled.T)
        torch.testing.assert_close(atoms.combine(index, weights), combined.reshape(shape))
        torch.testing.assert_close(atoms.mean(), rows.mean(0).reshape(shape))
        torch.testing.assert_close(atoms[index].mean(), rows[index].mean(0).reshape(shape))


def test_no_product_changes_the_atoms(pair: tuple[GradientFactors, Tensor]) -> None:
    rows = pair[1].flatten(1)
    for atoms, parts in (
        (pair[0], (pair[0].delta, pair[0].inputs)),
        (DenseAtoms(rows), (rows,)),
    ):
        before, index = [part.clone() for part in parts], torch.tensor([4, 1])
        atoms.squared_norms()
        atoms.correlate(atoms.mean())
        atoms.gram(index, torch.ones(2))
        atoms.double().combine(index, torch.ones(2))
        assert all(map(torch.equal, parts, before))


def test_both_kinds_of_atoms_offer_the_protocol(pair: tuple[GradientFactors, Tensor]) -> None:
    kinds: list[Atoms] = [pair[0], DenseAtoms(pair[1].flatten(1))]
    for atoms in kinds:
        few = atoms[torch.tensor([2, 0])]
        assert len(atoms) == 17
        assert len(few) == 2
        assert few.double().dtype == torch.float64
        assert few.device == atoms.device


def test_squared_norms_survive_where_float32_would_not() -> None:
    tiny = DenseAtoms(torch.full((1, 4), 1e-30))
    torch.testing.assert_close(tiny.squared_norms(), torch.tensor([4e-60], dtype=torch.float64))


class HeadOnly(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 2)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Linear(3, 2), r"Linear has no features\(x\) and linear head"),
        (HeadOnly(), r"logits = head\(features\(x\)\)"),
        (Network(nn.Identity()), "Network has no features"),
        (
            Network(nn.Linear(48, 5, bias=False)),
            r"no bias; build it as nn.Linear\(..., bias=True\)",
        ),
    ],
)
def test_a_model_without_such_a_last_layer_is_refused(model: nn.Module, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        last_layer_gradients(model, *examples(2))


@pytest.mark.unchecked
def test_bad_batches_and_labels_are_refused() -> None:
    model, (x, y) = network(), examples(3)
    with pytest.raises(SettingError, match="batch_size is 0; give 1 or more"):
        last_layer_gradients(model, x, y, batch_size=0)
    with pytest.raises(DataError, match="3 examples but 2 labels"):
        last_layer_gradients(model, x, y[:2])
    with pytest.raises(DataError, match="labels go from 0 to 5, but the model knows 0 to 4"):
        last_layer_gradients(model, x, torch.tensor([0, 5, 1]))
    with pytest.raises(DataError, match="labels go from -1 to 1"):
        last_layer_gradients(model, x, torch.tensor([0, -1, 1]))
    wider = Network(nn.Linear(47, 5))
    with pytest.raises(DataError, match=r"features\(x\) has shape \(3, 48\), not \(3, 47\)"):
        last_layer_gradients(wider, x, y)


@pytest.mark.unchecked
def test_bad_factors_are_refused() -> None:
    with pytest.raises(DataError, match="delta has 3 rows and inputs has 2; give one row of each"):
        GradientFactors(torch.zeros(3, 2), torch.zeros(2, 4))
    with pytest.raises(DataError, match=r"rows has shape \(3,\) and type torch.float32"):
        DenseAtoms(torch.zeros(3))
    with pytest.raises(DataError, match=r"inputs has shape .* torch.int64; give floating-point"):
        GradientFactors(torch.zeros(3, 2), torch.zeros(3, 4, dtype=torch.int64))
    for atoms in (
        DenseAtoms(torch.zeros(0, 3)),
        GradientFactors(torch.zeros(0, 2), torch.zeros(0, 4)),
    ):
        with pytest.raises(DataError, match="a mean over no example; give at least one"):
            atoms.mean()
    with pytest.raises(DataError, match=r"the target has shape \(4,\), not \(3,\)"):
        DenseAtoms(torch.zeros(2, 3)).correlate(torch.zeros(4))
    with pytest.raises(DataError, match=r"the target has shape \(2, 4\), not \(2, 5\)"):
        GradientFactors(torch.zeros(3, 2), torch.zeros(3, 4)).correlate(torch.zeros(2, 4))
