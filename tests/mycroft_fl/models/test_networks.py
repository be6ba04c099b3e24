"""The networks by name: shapes, seeds, and what they refuse."""

from __future__ import annotations

import pytest
import torch

from mycroft_fl.errors import SettingError
from mycroft_fl.models.networks import NETWORKS, Classifier, build

IMAGES = (2, 9, 9)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("classes", [2, 7])
def test_every_network_is_a_linear_head_on_its_features(name: str, classes: int) -> None:
    model = build(name, IMAGES, classes, seed=0)
    x = torch.rand(3, *IMAGES)
    assert isinstance(model, Classifier)
    assert model(x).shape == (3, classes)
    by_hand = model.features(x) @ model.head.weight.T + model.head.bias
    assert torch.allclose(model(x), by_hand, atol=1e-6)


@pytest.mark.parametrize("shape", [(5,), (1, 8, 8), (3, 32, 32)])
def test_an_mlp_takes_vectors_and_images(shape: tuple[int, ...]) -> None:
    assert build("mlp", shape, 4, seed=0)(torch.rand(2, *shape)).shape == (2, 4)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 14), (3, 32, 32)])
def test_a_cnn_takes_images_from_eight_by_eight_up(shape: tuple[int, ...]) -> None:
    assert build("cnn", shape, 4, seed=0)(torch.rand(2, *shape)).shape == (2, 4)


def test_a_cnn_refuses_vectors_and_says_what_to_take() -> None:
    with pytest.raises(SettingError, match=r"needs images; .* have shape \(5,\); use 'mlp'"):
        build("cnn", (5,), 2, seed=0)


def test_an_unknown_network_is_refused_with_the_nearest_or_with_all() -> None:
    with pytest.raises(SettingError, match=r"^unknown model 'mpl'; did you mean 'mlp'\?$"):
        build("mpl", (5,), 2, seed=0)
    with pytest.raises(
        SettingError, match=r"^unknown model 'zzz'; choose from \['cnn', 'linear', 'mlp', "
    ):
        build("zzz", (5,), 2, seed=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_seed_alone_decides_the_weights_and_torchs_own_state_is_left_alone(name: str) -> None:
    before = torch.get_rng_state()
    first = build(name, IMAGES, 3, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    again, other = build(name, IMAGES, 3, seed=1), build(name, IMAGES, 3, seed=2)
    for key, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])
    assert not torch.equal(first.head.weight, other.head.weight)
