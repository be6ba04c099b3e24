"""Gradients by all layers, against automatic differentiation, example by example."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.match.omp.pursuit import orthogonal_matching_pursuit
from mycroft_fl.represent.gradients.per_example import (
    Atoms,
    DenseAtoms,
    GradientFactors,
    PositionFactors,
    SummedAtoms,
    gradients,
)


class Sequence(nn.Module):
    """Linear layers over positions, one of them used twice, and an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.mix, self.twice = (
            nn.Embedding(7, 4), nn.Linear(4, 40), nn.Linear(40, 40)
        )  # fmt: skip
        self.head = nn.Linear(40, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.mix(self.words(x)).tanh()
        return self.head(self.twice(self.twice(hidden).relu()).mean(1))


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 9), nn.ReLU(inplace=True), nn.Linear(9, 5, bias=False)
    )


def cnn() -> nn.Module:
    """Strides, padding, dilation, batch statistics, work in place, groups, and no bias."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True),
        nn.Conv2d(6, 32, 2, dilation=2), nn.ReLU(inplace=True),
        nn.Conv2d(32, 4, 1, groups=2), nn.Flatten(), nn.Dropout(), nn.Linear(16, 5),
    )  # fmt: skip


def viewed() -> nn.Module:
    """Positions, and work in place on a view of what a layer gave."""
    model = nn.Sequential(nn.Linear(8, 40), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(320, 5))
    model[0].register_forward_hook(lambda _, __, output: output.view_as(output))
    return model


def frozen() -> nn.Module:
    model = cnn()
    for parameter in model[3].parameters():
        parameter.requires_grad = False
    return model


MODELS = {"mlp": mlp, "cnn": cnn, "frozen": frozen, "viewed": viewed, "sequence": Sequence}


def setting(name: str) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    model = MODELS[name]().double()
    x = torch.randint(7, (9, 5)) if name == "sequence" else torch.randn(9, 1, 8, 8).double()
    return model, x, torch.randint(3, (9,))


def from_torch(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """n x d, each example's gradient by all that is trained."""
    trained = {k: v.detach() for k, v in model.named_parameters() if v.requires_grad}

    def loss(parameters: dict[str, Tensor], one: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(model, parameters, (one[None],))
        return nn.functional.cross_entropy(logits, label[None])

    model.eval()
    found = vmap(grad(loss), in_dims=(None, 0, 0))(trained, x, y)
    return torch.cat([each.flatten(1) for each in found.values()], 1).detach()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_products_agree_with_automatic_differentiation(name: str) -> None:
    model, x, y = setting(name)
    atoms, rows = gradients(model, x, y, layers="all", batch_size=4), from_torch(model, x, y)
    index, weights = torch.tensor([7, 0, 7]), torch.tensor([1.0, -2.0, 0.5])
    combined = weights.double() @ rows[index]
    assert atoms.shape == rows.shape[1:]
    assert len(atoms) == 9
    torch.testing.assert_close(atoms.squared_norms(), rows.square().sum(1))
    torch.testing.assert_close(atoms.gram(index), rows @ rows[index].T)
    scaled = rows[index] * weights[:, None]
    torch.testing.assert_close(atoms.gram(index, weights), rows @ scaled.T)
    torch.testing.assert_close(atoms.correlate(atoms.mean()), rows @ rows.mean(0))
    torch.testing.assert_close(atoms.correlate(atoms.combine(index, weights)), rows @ combined)
    torch.testing.assert_close(atoms[index].products(atoms), rows[index] @ rows.T)
    few = atoms[index].double()
    assert few.dtype == torch.float64
    assert not few.mean().requires_grad


def test_each_layer_takes_the_cheaper_form() -> None:
    kinds = [type(part) for part in gradients(*setting("cnn"), layers="all").parts]  # type: ignore[attr-defined]
    # 54 numbers against 16^2 * 15; 800 against 4^2 * 57; a plain layer; the rest as rows.
    assert kinds == [DenseAtoms, DenseAtoms, GradientFactors, DenseAtoms]
    model = nn.Sequential(nn.Conv2d(1, 50, 7), nn.Flatten(), nn.Linear(200, 3)).double()
    _, x, y = setting("cnn")
    atoms = gradients(model, x, y, layers="all")
    assert [type(part) for part in atoms.parts] == [PositionFactors, GradientFactors]  # type: ignore[attr-defined]
    rows = from_torch(model, x, y)
    torch.testing.assert_close(atoms.gram(torch.arange(9)), rows @ rows.T)
    torch.testing.assert_close(atoms.squared_norms(), rows.square().sum(1))
    few = atoms[torch.tensor([3, 1])]
    torch.testing.assert_close(
        few.mean(), atoms.combine(torch.tensor([3, 1]), torch.full((2,), 0.5))
    )
    torch.testing.assert_close(atoms.correlate(few.mean()), rows @ rows[[3, 1]].mean(0))


def test_a_projection_keeps_products_and_depends_on_its_seed_alone() -> None:
    model, x, y = setting("sequence")
    exact = gradients(model, x, y, layers="all", projection=10**6)
    short = gradients(model, x, y, layers="all", projection=1500, batch_size=2)
    again = gradients(model, x, y, layers="all", projection=1500)
    other = gradients(model, x, y, layers="all", projection=1500, seed=1)
    every = torch.arange(9)
    torch.testing.assert_close(short.gram(every), again.gram(every))
    assert not torch.allclose(short.gram(every), other.gram(every))
    error = (short.gram(every) - exact.gram(every)).abs().max() / exact.squared_norms().max()
    assert 0 < error < 5 / 1500**0.5


def test_pursuit_through_factors_is_pursuit_through_rows() -> None:
    model, x, y = setting("cnn")
    atoms, rows = gradients(model, x, y, layers="all"), from_torch(model, x, y)
    by_factors = orthogonal_matching_pursuit(atoms, atoms[torch.arange(4)].mean(), 4)
    by_rows = orthogonal_matching_pursuit(DenseAtoms(rows), rows[:4].mean(0), 4)
    assert by_factors.indices.tolist() == by_rows.indices.tolist()
    torch.testing.assert_close(by_factors.weights, by_rows.weights)


def test_the_model_is_left_as_it_was() -> None:
    model, x, y = setting("cnn")
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    gradients(model, x, y, layers="all")
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(not module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_no_example_gives_no_atoms_of_the_right_shape(name: str) -> None:
    model, x, y = setting(name)
    none = gradients(model, x[:0], y[:0], layers="all")
    assert len(none) == 0
    assert none.shape == gradients(model, x, y, layers="all").shape
    with pytest.raises(DataError, match="a mean over no example"):
        none.mean()


@pytest.mark.unchecked
def test_bad_requests_are_one_clear_line() -> None:
    model, x, y = setting("mlp")
    with pytest.raises(SettingError, match=r"layers is 'first'; choose from \['all', 'last'\]"):
        gradients(model, x, y, layers="first")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="projection is 0; give 1 or more"):
        gradients(model, x, y, layers="all", projection=0)
    with pytest.raises(SettingError, match="batch_size is 0"):
        gradients(model, x, y, layers="all", batch_size=0)
    with pytest.raises(DataError, match="9 examples but 8 labels"):
        gradients(model, x, y[:8], layers="all")
    with pytest.raises(DataError, match="labels go from 0 to 5, but the model knows 0 to 4"):
        gradients(model, x, torch.arange(9) % 6, layers="all")
    with pytest.raises(DataError, match=r"model\(x\) has shape \(9, 1, 8, 5\) for 9 examples"):
        gradients(nn.Linear(8, 5).double(), x, y, layers="all")
    with pytest.raises(DataError, match=r"parts of \[2, 3\] atoms"):
        SummedAtoms((DenseAtoms(torch.ones(2, 1)), DenseAtoms(torch.ones(3, 1))))
    with pytest.raises(DataError, match="delta has 3 x 2 rows and inputs has 3 x 1"):
        PositionFactors(torch.zeros(3, 2, 4), torch.zeros(3, 1, 4))


def test_all_kinds_offer_the_protocol() -> None:
    kinds: list[Atoms] = [
        DenseAtoms(torch.ones(2, 3)),
        GradientFactors(torch.ones(2, 3), torch.ones(2, 1)),
        PositionFactors(torch.ones(2, 1, 3), torch.ones(2, 1, 1)),
        SummedAtoms((DenseAtoms(torch.ones(2, 3)),)),
    ]
    assert all(isinstance(atoms, Atoms) for atoms in kinds)
    assert [atoms.numbers for atoms in kinds] == [6, 8, 8, 6]


def test_what_a_first_layer_sees_is_not_copied_and_what_is_mixed_up_is() -> None:
    x, y = torch.randn(20, 1, 8, 8), torch.arange(20) % 5
    first = gradients(mlp(), x, y, layers="all", batch_size=6).parts[0]  # type: ignore[attr-defined]
    assert first.inputs.data_ptr() == x.data_ptr()
    assert torch.equal(first.inputs, x.flatten(1))
    other = gradients(mlp(), x.mT, y, layers="all", batch_size=6).parts[0]  # type: ignore[attr-defined]
    assert other.inputs.data_ptr() != x.data_ptr()
    assert torch.equal(other.inputs, x.mT.flatten(1))
