"""Atoms on disk, against the same in memory."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mycroft_fl.errors import DataError
from mycroft_fl.match.omp.pursuit import orthogonal_matching_pursuit
from mycroft_fl.represent.gradients import streamed as module
from mycroft_fl.represent.gradients.atoms import Atoms, DenseAtoms
from mycroft_fl.represent.gradients.factors import GradientFactors
from mycroft_fl.represent.gradients.streamed import StreamedAtoms


def on_disk(folder: Path, name: str, rows: np.ndarray) -> np.memmap:
    np.save(folder / f"{name}.npy", rows)
    return np.load(folder / f"{name}.npy", mmap_mode="r")


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[StreamedAtoms, GradientFactors]:
    """9,000 gradients by 4 outputs and 60 inputs, in blocks of 50."""
    monkeypatch.setattr(module, "_BLOCK_NUMBERS", 64 * 50)
    rng = np.random.default_rng(0)
    delta = rng.standard_normal((9000, 4)).astype(np.float32)
    inputs = rng.standard_normal((9000, 60)).astype(np.float32)
    files = (on_disk(tmp_path, "delta", delta), on_disk(tmp_path, "inputs", inputs))
    there = GradientFactors(torch.from_numpy(delta), torch.from_numpy(inputs))
    return StreamedAtoms(files, GradientFactors), there


def test_products_are_those_in_memory(pair: tuple[StreamedAtoms, GradientFactors]) -> None:
    atoms, there = pair
    index, weights = torch.tensor([8123, 4, 8123]), torch.tensor([1.0, -2.0, 0.5])
    assert isinstance(atoms, Atoms)
    assert (len(atoms), atoms.shape, atoms.dtype) == (9000, (4, 61), torch.float32)
    assert atoms.numbers == there.numbers
    torch.testing.assert_close(atoms.squared_norms(), there.squared_norms())
    torch.testing.assert_close(atoms.gram(index, weights), there.gram(index, weights))
    torch.testing.assert_close(atoms.mean(), there.mean(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(atoms.combine(index, weights), there.combine(index, weights))
    torch.testing.assert_close(atoms.correlate(there.mean()), there.correlate(there.mean()))
    assert torch.equal(atoms[index].delta, there[index].delta)  # type: ignore[attr-defined]


@pytest.mark.parametrize("nonnegative", [True, False])
def test_picks_are_those_in_memory(
    nonnegative: bool, pair: tuple[StreamedAtoms, GradientFactors]
) -> None:
    target = torch.randn(4, 61, generator=torch.Generator().manual_seed(1))
    found, there = (
        orthogonal_matching_pursuit(atoms, target, 30, nonnegative=nonnegative) for atoms in pair
    )
    assert found.indices.tolist() == there.indices.tolist()
    torch.testing.assert_close(found.weights, there.weights)


def test_few_numbers_are_taken_into_memory(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((50, 6))
    atoms = StreamedAtoms((on_disk(tmp_path, "rows", rows),))
    found = orthogonal_matching_pursuit(atoms, torch.ones(6), 3)
    there = orthogonal_matching_pursuit(DenseAtoms(torch.from_numpy(rows)), torch.ones(6), 3)
    assert found.indices.tolist() == there.indices.tolist()


def test_parts_of_files_and_plain_arrays_are_read_as_they_are(tmp_path: Path) -> None:
    rows = np.arange(60.0).reshape(20, 3)
    part = on_disk(tmp_path, "rows", rows)[5:15]
    across = on_disk(tmp_path, "fortran", np.asfortranarray(rows))
    for array, truth in ((part, rows[5:15]), (across, rows), (rows, rows)):
        atoms = StreamedAtoms((array,))
        torch.testing.assert_close(atoms.double().mean(), torch.from_numpy(truth.mean(0)))
        few = atoms[torch.tensor([9, 2])]
        assert few.rows.tolist() == truth[[9, 2]].tolist()  # type: ignore[attr-defined]


def test_no_atoms_and_files_that_do_not_fit_are_told(tmp_path: Path) -> None:
    none = StreamedAtoms((np.empty((0, 3), np.float32),))
    assert none.squared_norms().shape == (0,)
    assert orthogonal_matching_pursuit(none, torch.ones(3), 2).indices.tolist() == []
    with pytest.raises(DataError, match="a mean over no example"):
        none.mean()
    with pytest.raises(DataError, match=r"arrays of \[3, 2\] rows; give one row of each"):
        StreamedAtoms((np.zeros((3, 1)), np.zeros((2, 1))), GradientFactors)
    with pytest.raises(DataError, match=r"arrays of \[\] rows"):
        StreamedAtoms(())
    file = on_disk(tmp_path, "rows", np.ones((400, 30)))
    atoms = StreamedAtoms((file,))
    with (tmp_path / "rows.npy").open("r+b") as stream:
        stream.truncate(5000)
    with pytest.raises(DataError, match="ends early; write the candidates anew"):
        atoms.squared_norms()
