"""Weights as one flat vector and as a file: round trips, and what does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mycroft_fl.errors import BadMessage, DataError
from mycroft_fl.models.networks import NETWORKS, build
from mycroft_fl.models.weights import flat_weights, load_flat_weights, load_weights, save_weights

SHAPE = (1, 8, 8)


def equal(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", NETWORKS)
def test_flat_weights_make_the_same_model_again(name: str) -> None:
    model, other = (build(name, SHAPE, 3, seed=seed) for seed in (1, 2))
    flat = flat_weights(model)
    assert flat.dtype == np.float32
    statistics = [b for b in model.buffers() if b.is_floating_point()]
    assert len(flat) == sum(v.numel() for v in [*model.parameters(), *statistics])
    load_flat_weights(other, flat)
    assert equal(model, other)


def test_flat_weights_are_the_parameters_in_order() -> None:
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0]]))
        layer.bias.fill_(3.0)
    assert flat_weights(layer).tolist() == [1.0, 2.0, 3.0]


def test_a_model_shares_no_memory_with_the_vector_it_was_loaded_from() -> None:
    model = build("mlp", SHAPE, 3, seed=1)
    flat = flat_weights(model)
    load_flat_weights(model, flat)
    flat[:] = 0
    assert flat_weights(model).any()
    taken = flat_weights(model)
    taken[:] = 0
    assert flat_weights(model).any()


@pytest.mark.parametrize("change", [-1, 1])
@pytest.mark.unchecked
def test_a_vector_of_another_length_is_a_bad_message_and_changes_nothing(change: int) -> None:
    model = build("mlp", SHAPE, 3, seed=1)
    before = flat_weights(model)
    wrong = np.zeros(len(before) + change, np.float32)
    with pytest.raises(BadMessage, match=rf"weights of shape \({len(wrong)},\); this model has"):
        load_flat_weights(model, wrong)
    with pytest.raises(BadMessage, match=r"weights of shape \(1, "):
        load_flat_weights(model, before[None])
    assert np.array_equal(flat_weights(model), before)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_file_makes_the_same_model_again(name: str, tmp_path: Path) -> None:
    model, other = (build(name, SHAPE, 3, seed=seed) for seed in (1, 2))
    save_weights(model, tmp_path / "model.safetensors")
    load_weights(other, tmp_path / "model.safetensors")
    assert equal(model, other)


def test_a_model_loaded_from_a_vector_can_be_saved(tmp_path: Path) -> None:
    # Its parameters are views of one storage, which safetensors is careful about.
    model, other = (build("mlp", SHAPE, 3, seed=seed) for seed in (1, 2))
    load_flat_weights(model, flat_weights(model))
    save_weights(model, tmp_path / "model.safetensors")
    load_weights(other, tmp_path / "model.safetensors")
    assert equal(model, other)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(
            DataError, match=r"^no weights at .*; name a file of safetensors or of a"
        ):
            load_weights(build("mlp", SHAPE, 3, seed=1), path)


def test_a_file_for_another_architecture_is_refused_with_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_weights(build("cnn", SHAPE, 3, seed=1), path)
    said = (
        r"does not hold this model's weights: 1 of 4 keys match\nfirst .*body.1.weight is missing"
    )
    with pytest.raises(DataError, match=said):
        load_weights(build("mlp", SHAPE, 3, seed=1), path)
    save_weights(build("mlp", SHAPE, 4, seed=1), path)
    said = r"does not hold this model's weights: 2 of 4 keys match\nfirst .*head.weight is \(4, "
    with pytest.raises(DataError, match=said):
        load_weights(build("mlp", SHAPE, 3, seed=1), path)


@pytest.mark.parametrize("kept", [0, 4, 40, -1])
def test_a_corrupt_file_is_refused_and_changes_nothing(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model = build("mlp", SHAPE, 3, seed=1)
    save_weights(build("mlp", SHAPE, 3, seed=2), path)
    path.write_bytes(path.read_bytes()[:kept])
    before = flat_weights(model)
    with pytest.raises(DataError, match="does not hold this model's weights: "):
        load_weights(model, path)
    assert np.array_equal(flat_weights(model), before)


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    torch.save(build("mlp", SHAPE, 3, seed=1).state_dict(), path)
    with pytest.raises(DataError, match="does not hold this model's weights: "):
        load_weights(build("mlp", SHAPE, 3, seed=1), path)
