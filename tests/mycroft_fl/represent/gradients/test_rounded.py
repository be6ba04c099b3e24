"""Atoms whose columns are rounded: what is rounded, and what is not."""

import pytest
import torch
from torch import Tensor

from mycroft_fl.represent.gradients.per_example import Atoms, DenseAtoms, GradientFactors
from mycroft_fl.represent.gradients.rounded import RoundedAtoms


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


KINDS: list[GradientFactors | DenseAtoms] = [
    DenseAtoms(gaussian(30, 12)),
    GradientFactors(gaussian(30, 4), gaussian(30, 9, seed=1)),
    GradientFactors(gaussian(30, 4), gaussian(30, 9, seed=1), bias=False),
]


@pytest.mark.parametrize("atoms", KINDS, ids=["rows", "factors", "without a bias"])
def test_columns_alone_are_rounded_and_by_no_more_than_is_said(atoms) -> None:
    rounded, index = RoundedAtoms.of(atoms), torch.tensor([3, 1, 4])
    norms = atoms.squared_norms().sqrt()
    exact = atoms.double().gram(index)
    error = (rounded.gram(index, 1 / norms[index]) * norms[index] - exact).abs()
    assert 0 < (error / norms[:, None] / norms[index]).max() <= rounded.rounding
    assert rounded.gram(index).dtype == rounded.dtype == torch.float32
    assert isinstance(rounded, Atoms)
    assert (len(rounded), rounded.shape, rounded.device) == (30, atoms.shape, atoms.device)
    assert rounded.numbers == atoms.numbers
    for mine, theirs in (
        (rounded.squared_norms(), atoms.squared_norms()),
        (rounded.mean(), atoms.mean()),
        (rounded.correlate(atoms.mean()), atoms.correlate(atoms.mean())),
        (rounded[index].mean(), atoms[index].mean()),
        (rounded.double().mean(), atoms.double().mean()),
        (rounded.products(atoms[index]), atoms.products(atoms[index])),  # type: ignore[arg-type]
        (rounded.combine(index, torch.ones(3)), atoms.combine(index, torch.ones(3))),
    ):
        assert torch.equal(mine, theirs)
