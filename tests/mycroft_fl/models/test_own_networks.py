"""Networks and pipelines of one's own: found, kept as they are, and given weights that others wrote."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch import nn
from torchvision.models import ResNet, VisionTransformer, resnet18

from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.given import Frame, data_table
from mycroft_fl.data.tables.fit import fit_schema
from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.examples import Examples
from mycroft_fl.models.catalogue import build_model
from mycroft_fl.models.estimators import Estimator, load_estimator, save_estimator
from mycroft_fl.models.fitting import FitSettings, fit, logits
from mycroft_fl.models.foreign.own_objects import given
from mycroft_fl.models.foreign.state_dicts import state_for
from mycroft_fl.models.networks import build, is_network
from mycroft_fl.models.own import OwnNetwork, as_classifier
from mycroft_fl.models.weights import flat_weights, load_flat_weights, load_weights, save_weights
from mycroft_fl.represent.gradients.per_example import gradients, last_layer_gradients

SHAPE = (3, 32, 32)
X = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(1))
Y = torch.arange(5) % 4


def own_resnet() -> ResNet:
    return resnet18(num_classes=4)


def taking_both(shape: tuple[int, ...], num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), num_classes))


def taking_classes(num_classes: int = 9) -> nn.Module:
    return taking_both(SHAPE, num_classes)


def taking_nothing():
    return taking_both(SHAPE, 4)


def failing():
    raise RuntimeError("no such card")


def halved(x: torch.Tensor) -> torch.Tensor:
    return x / 2


class WithoutBias(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(12, 4, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x.mean(dim=3).flatten(1)[:, :12])


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of somebody's own, importable as `mine`."""
    module = types.ModuleType("mine")
    for each in (own_resnet, taking_both, taking_classes, taking_nothing, failing, halved):
        setattr(module, each.__name__, each)
    module.WithoutBias = WithoutBias
    module.net = taking_nothing()
    module.forest = functools.partial(LogisticRegression, max_iter=50)
    module.number = 7
    monkeypatch.setitem(sys.modules, "mine", module)
    return "mine"


@pytest.mark.parametrize(
    "name", ["own_resnet", "taking_both", "taking_classes", "taking_nothing", "net", "WithoutBias"]
)
def test_a_factory_a_class_and_a_module_are_networks_by_their_path(mine, name):
    assert is_network(f"mine:{name}")
    model = build_model(f"mine:{name}", SHAPE, 4, seed=3)
    assert isinstance(model, OwnNetwork)
    assert model.last_is_linear
    assert logits(model, X.numpy()).shape == (5, 4)
    again = build_model(f"mine:{name}", SHAPE, 4, seed=3)
    np.testing.assert_array_equal(flat_weights(model), flat_weights(again))


@pytest.mark.parametrize(
    "net",
    [
        own_resnet(),
        taking_nothing(),
        nn.Sequential(nn.Flatten(), nn.Linear(3072, 8), nn.ReLU(), nn.Linear(8, 4), nn.LogSoftmax(1)),
        VisionTransformer(
            image_size=32, patch_size=8, num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=16,
            num_classes=4,
        ),
    ],
    ids=["resnet18", "linear", "log-softmax", "vision transformer"],
)  # fmt: skip
def test_the_last_linear_layer_is_found_and_its_gradients_are_those_of_autograd(net):
    model = as_classifier(net, SHAPE, 4).eval()
    assert model.last_is_linear
    torch.testing.assert_close(
        model.head(model.features(X)).log_softmax(1), net.eval()(X).log_softmax(1)
    )
    found = last_layer_gradients(model, X, Y)
    for row, (image, label) in enumerate(zip(X, Y, strict=True)):
        model.zero_grad()
        nn.functional.cross_entropy(model(image[None]), label[None]).backward()
        wanted = torch.cat([model.head.weight.grad, model.head.bias.grad[:, None]], dim=1)
        one = torch.outer(found.delta[row], torch.cat([found.inputs[row], torch.ones(1)]))
        torch.testing.assert_close(one.detach(), wanted, atol=1e-5, rtol=1e-3)


def test_a_last_layer_that_is_not_linear_gives_gradients_by_all_layers(caplog):
    net = nn.Sequential(nn.Flatten(), nn.Linear(3072, 4), nn.PReLU())
    model = as_classifier(net, SHAPE, 4, name="bent")
    assert not model.last_is_linear
    assert caplog.text.count("randomly projected") == 1
    atoms = gradients(model.eval(), X, Y, layers="all")
    assert len(atoms) == 5
    torch.testing.assert_close(model.head(model.features(X)), net.eval()(X))


def test_a_head_is_taken_by_name_and_another_name_is_told(mine):
    assert build("mine:own_resnet?head=fc", SHAPE, 4, seed=0).head.in_features == 512
    with pytest.raises(
        SettingError, match=r"no linear layer 'conv1'.*its linear layers are \['fc'\]"
    ):
        build("mine:own_resnet?head=conv1", SHAPE, 4, seed=0)


def test_a_transform_prepares_what_the_network_sees(mine):
    plain = build("mine:taking_nothing", SHAPE, 4, seed=0)
    prepared = build("mine:taking_nothing?transform=mine:halved", SHAPE, 4, seed=0)
    torch.testing.assert_close(prepared(X), plain(X / 2))


def test_a_network_trains_with_its_batch_statistics_and_is_the_same_from_flat_weights(mine):
    model = build("mine:own_resnet", (3, 16, 16), 4, seed=0)
    rng = np.random.default_rng(0)
    some = Examples(rng.integers(0, 256, (16, 3, 16, 16), dtype=np.uint8), np.arange(16) % 4)
    fitted = fit(model, some, None, FitSettings(1, 8, 1e-3), seed=0)
    assert not torch.equal(fitted.net.bn1.running_mean, model.net.bn1.running_mean)
    other = build("mine:own_resnet", (3, 16, 16), 4, seed=9)
    load_flat_weights(other, flat_weights(fitted))
    torch.testing.assert_close(logits(other, some.x), logits(fitted, some.x))


def test_a_last_layer_without_a_bias_is_given_one_of_zeros(mine):
    model = build("mine:WithoutBias", SHAPE, 4, seed=0)
    torch.testing.assert_close(model(X), WithoutBias.forward(model.net, X))
    assert not model.head.bias.any()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mine:nothing", "cannot be imported"),
        ("nowhere:net", "cannot be imported"),
        ("mine:number", "give a network"),
        ("mine:failing", "no such card"),
        ("mine:net?colour=3", "an option 'colour=3'"),
        ("mine:net?transform=mine:nothing", "cannot be imported"),
        ("object:Net-1234", "a Python process that has ended"),
        ("mine:", "no import path"),
    ],
)
def test_what_is_no_model_is_told(mine, name, said):
    with pytest.raises(SettingError, match=said):
        build_model(name, SHAPE, 4, seed=0)


def test_an_object_has_a_name_while_it_is_given_and_is_left_as_it_is():
    net = taking_nothing().half()
    with given(net) as name:
        model = build(name, SHAPE, 4, seed=0)
        assert next(model.parameters()).dtype == torch.float32
        torch.testing.assert_close(model.net[1].weight, net[1].weight.float())
    assert next(net.parameters()).dtype == torch.float16
    with pytest.raises(SettingError, match="has ended"):
        build(name, SHAPE, 4, seed=0)


def written(state: dict, form: str, path: Path) -> Path:
    """A ResNet's weights as people keep them."""
    if form == "safetensors":
        save_file(state, path.with_suffix(".safetensors"))
        return path.with_suffix(".safetensors")
    if form == "DataParallel":
        state = nn.DataParallel(with_weights(state)).state_dict()
    if form == "compiled in DataParallel":
        state = {f"module._orig_mod.{name}": value for name, value in state.items()}
    if form == "bfloat16":
        state = {n: v.bfloat16() if v.is_floating_point() else v for n, v in state.items()}
    content = {"epoch": 3, "state_dict": state} if form == "checkpoint" else state
    torch.save(content, path, _use_new_zipfile_serialization=form != "old pickle")
    return path


def with_weights(state: dict) -> nn.Module:
    net = own_resnet()
    net.load_state_dict(state)
    return net


FORMS = [
    "pth", "safetensors", "DataParallel", "compiled in DataParallel", "bfloat16", "checkpoint",
    "old pickle",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_weights_of_resnet18_are_read_however_they_were_kept(mine, form, tmp_path):
    net = own_resnet().eval()
    model = build("mine:own_resnet", SHAPE, 4, seed=5)
    load_weights(model, written(net.state_dict(), form, tmp_path / "weights.pth"))
    near = {"atol": 0.1, "rtol": 0.05} if form == "bfloat16" else {"atol": 1e-5, "rtol": 1e-5}
    torch.testing.assert_close(logits(model, X.numpy()), net(X).detach(), **near)


def test_weights_of_torchvision_are_read_into_the_network_of_that_name(tmp_path):
    net = resnet18(num_classes=4).eval()
    torch.save(net.state_dict(), tmp_path / "weights.pth")
    model = build("resnet18", (3, 64, 64), 4, seed=5)
    load_weights(model, tmp_path / "weights.pth")
    x = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(logits(model, x.numpy()), net(x).detach())


def test_wrong_weights_are_told_in_three_lines(mine, tmp_path):
    torch.save(resnet18(num_classes=7).state_dict(), tmp_path / "weights.pth")
    model = build("mine:own_resnet", SHAPE, 4, seed=5)
    before = flat_weights(model)
    with pytest.raises(DataError) as raised:
        load_weights(model, tmp_path / "weights.pth")
    lines = str(raised.value).split("\n")
    assert len(lines) == 3
    assert "120 of 122 keys match" in lines[0]
    assert "fc.weight is (7, 512), the model's (4, 512)" in lines[1]
    np.testing.assert_array_equal(flat_weights(model), before)


def test_a_whole_pickled_model_is_not_run(mine, tmp_path):
    torch.save(own_resnet(), tmp_path / "whole.pth")
    with pytest.raises(DataError, match=r"torch.save\(net.state_dict"):
        load_weights(build("mine:own_resnet", SHAPE, 4, seed=5), tmp_path / "whole.pth")


def test_what_we_write_of_an_own_network_its_user_reads_under_its_own_names(mine, tmp_path):
    from safetensors.torch import load_file

    model = build("mine:own_resnet", SHAPE, 4, seed=5)
    save_weights(model, tmp_path / "final.safetensors")
    net = own_resnet()
    net.load_state_dict(load_file(tmp_path / "final.safetensors"))
    torch.testing.assert_close(net.eval()(X), model.eval()(X))


def table_of_flows():
    import pandas as pd

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "bytes": rng.lognormal(8, 2, 80).round(2), "port": rng.choice([22, 80, 443], 80),
        "proto": rng.choice(["tcp", "udp"], 80), "label": rng.choice(["ok", "bad"], 80),
    })  # fmt: skip
    table = data_table(Frame(frame, "label"), DatasetSpec("flows", label="label"))
    schema = fit_schema(table, DatasetSpec("flows", label="label"))
    return (
        frame,
        schema,
        Examples(schema.encode(table), (frame["label"] == "ok").to_numpy(np.int64)),
    )


def encoding_pipeline():
    columns = ColumnTransformer([
        ("numbers", StandardScaler(), ["bytes"]),
        ("names", OneHotEncoder(handle_unknown="ignore"), ["proto", "port"]),
    ])  # fmt: skip
    return make_pipeline(columns, LogisticRegression(max_iter=500))


def test_a_pipeline_takes_the_columns_as_they_stand(mine, tmp_path):
    frame, schema, examples = table_of_flows()
    with given(encoding_pipeline()) as name:
        assert not is_network(name)
        model = build_model(name, (schema.width,), 2, seed=0, table=schema)
        assert isinstance(model, Estimator)
        fitted = model.fitted(examples, seed=0)
        theirs = encoding_pipeline().fit(frame.drop(columns="label"), examples.y)
        wanted = theirs.predict_proba(frame.drop(columns="label"))
        np.testing.assert_allclose(fitted.probabilities(examples.x), wanted, atol=1e-3)
        save_estimator(fitted, tmp_path / "model.skops")
        again = load_estimator(model, tmp_path / "model.skops")
        np.testing.assert_array_equal(
            again.probabilities(examples.x), fitted.probabilities(examples.x)
        )


def test_a_pipelines_weights_go_to_its_last_step(mine):
    _, schema, examples = table_of_flows()
    with given(encoding_pipeline()) as name:
        model = build_model(name, (schema.width,), 2, seed=0, table=schema)
        weights = np.where(examples.y == 1, 9.0, 1.0)
        heavy = model.fitted(examples, seed=0, weights=weights)
        plain = model.fitted(examples, seed=0)
    assert (
        heavy.probabilities(examples.x)[:, 1].mean() > plain.probabilities(examples.x)[:, 1].mean()
    )


def of_itself() -> dict:
    itself: dict = {}
    itself["state_dict"] = itself
    return itself


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (of_itself, "0 of 2 keys match"),
        (lambda: {"weight": torch.eye(3).to_sparse(), "bias": torch.zeros(3)}, "weight is no dense"),
        (lambda: {"weight": torch.eye(3, device="meta"), "bias": torch.zeros(3)}, "weight is no dense"),
        (
            lambda: {"weight": torch.quantize_per_tensor(torch.eye(3), 0.1, 0, torch.qint8),
             "bias": torch.zeros(3)},
            "weight is no dense",
        ),
    ],
    ids=["a dict in itself", "sparse", "meta", "quantised"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_a_state_dict_without_end_or_of_other_tensors_is_refused(
    content: Callable[[], dict], words: str, tmp_path: Path
) -> None:
    torch.save(content(), tmp_path / "net.pt")
    with pytest.raises(DataError, match=words):
        state_for(tmp_path / "net.pt", nn.Linear(3, 3).state_dict())


def test_a_frozen_network_is_thawed_in_its_copy_and_one_without_gradients_refused() -> None:
    for net in (taking_both(SHAPE, 4), build("mlp", SHAPE, 4, seed=0)):
        frozen = net.requires_grad_(False)
        model = as_classifier(frozen, SHAPE, 4)
        assert all(each.requires_grad for each in model.parameters())
        assert not any(each.requires_grad for each in frozen.parameters())

    class Without(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = taking_both(SHAPE, 4)

        @torch.no_grad()
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x)

    with pytest.raises(SettingError, match="no gradient"):
        as_classifier(Without(), SHAPE, 4)
