"""`mf.select` on data of every kind, against brute force over the same distances and gradients."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

import mycroft_fl as mf
from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.selection.result import Selection

RNG = np.random.default_rng(0)


class Own(nn.Module):
    """A convolution, batch statistics and dropout, as anybody would write it."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(4, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.norm(self.conv(x))).mean(dim=(2, 3))
        return self.fc(self.drop(hidden))


def images(n: int) -> tuple[np.ndarray, np.ndarray]:
    return RNG.integers(0, 256, (n, 1, 8, 8), dtype=np.uint8), RNG.integers(0, 3, n)


def gradients_of(net: nn.Module, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Each example's gradient by the last layer, one backward pass an example."""
    net = net.eval()
    rows = []
    for image, label in zip(x, y, strict=True):
        net.zero_grad()
        logits = net(torch.from_numpy(image[None]).float() / 255)
        nn.functional.cross_entropy(logits, torch.tensor([label])).backward()
        rows.append(torch.cat([net.fc.weight.grad.flatten(), net.fc.bias.grad]).numpy().copy())
    return np.stack(rows)


def test_a_plain_module_picks_by_the_gradients_that_autograd_gives():
    x, y = images(40)
    xh, yh = images(6)
    net = Own()
    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    picks = mf.select(x, y, hard=(xh, yh), k=1, method="omp-whole", model=net)
    rows, hard = gradients_of(net, x, y), gradients_of(net, xh, yh).mean(axis=0)
    cosines = rows @ hard / np.linalg.norm(rows, axis=1)
    assert picks.indices.tolist() == [int(cosines.argmax())]
    assert picks.weights == pytest.approx(cosines.max() / np.linalg.norm(rows[cosines.argmax()]))
    # The model is left as it was: no batch statistic has moved.
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_never_more_than_k_never_twice_and_weights_are_not_negative():
    x, y = images(60)
    picks = mf.select(x, y, hard=images(9), k=7, model=Own())
    assert 0 < len(picks) <= 7
    assert len(set(picks.indices.tolist())) == len(picks)
    assert (picks.weights >= 0).all()
    assert picks.labels == tuple(str(y[place]) for place in picks.indices)
    assert list(picks.frame().columns) == ["index", "label", "weight"]
    assert "<table" in picks._repr_html_()


class Pairs(torch.utils.data.Dataset):
    """A torch Dataset with names for its classes."""

    classes = ("cat", "dog", "wolf")

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = torch.from_numpy(x).float() / 255, y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        return self.x[place], int(self.y[place])


@pytest.mark.parametrize("form", ["arrays", "tensors", "list of tensors", "images", "names"])
def test_the_same_examples_in_any_form_give_the_same_picks(form):
    x, y = images(30)
    xh, yh = images(5)
    wanted = mf.select(x, y, hard=(xh, yh), k=5).indices.tolist()
    names = np.array(["cat", "dog", "wolf"])
    given = {
        "arrays": lambda a, b: (a.transpose(0, 2, 3, 1), b.astype(float)),
        "tensors": lambda a, b: (torch.from_numpy(a), torch.from_numpy(b)),
        "list of tensors": lambda a, b: (list(torch.from_numpy(a)), b.tolist()),
        "images": lambda a, b: ([Image.fromarray(each[0]) for each in a], b),
        "names": lambda a, b: (a, pd.Series(names[b], dtype="category")),
    }[form]
    assert mf.select(*given(x, y), hard=given(xh, yh), k=5).indices.tolist() == wanted


def test_a_dataset_brings_its_labels_and_their_names():
    x, y = images(30)
    hard = Pairs(*images(5))
    picks = mf.select(Pairs(x, y), hard=hard, k=5)
    assert picks.indices.tolist() == mf.select(x, y, hard=hard_arrays(hard), k=5).indices.tolist()
    assert set(picks.labels) <= set(Pairs.classes)


def hard_arrays(data: Pairs) -> tuple[np.ndarray, np.ndarray]:
    return (data.x.numpy() * 255).round().astype(np.uint8), data.y


class HubLike:
    """What `datasets.Dataset` offers, as far as it is used."""

    def __init__(self, columns: dict[str, list], names: list[str] | None = None) -> None:
        self._columns = columns
        feature = type("ClassLabel", (), {"names": names})() if names else object()
        self.features = dict.fromkeys(columns, feature)
        self.column_names = list(columns)

    def __getitem__(self, name: str) -> list:
        return self._columns[name]


def test_a_hugging_face_dataset_of_images_and_one_of_columns():
    x, y = images(20)
    pictures = HubLike(
        {"image": [Image.fromarray(each[0]) for each in x], "label": y.tolist()}, ["a", "b", "c"]
    )
    picks = mf.select(pictures, hard=pictures, k=3)
    assert picks.indices.tolist() == mf.select(x, y, hard=(x, y), k=3).indices.tolist()
    assert set(picks.labels) <= {"a", "b", "c"}
    table = HubLike({"age": [1, 2, 30, 31], "kind": ["p", "q", "p", "q"], "label": [0, 0, 1, 1]})
    assert len(mf.select(table, hard=table, k=2)) == 2


def test_a_frame_is_compared_by_scaled_numbers_and_names():
    frame = pd.DataFrame(
        {
            "bytes": [1e6, 2e6, 1.1e6, 9e6],
            "proto": ["tcp", "udp", "udp", "tcp"],
            "attack": list("nnaa"),
        }
    )
    hard = pd.DataFrame({"bytes": [8.5e6], "proto": ["tcp"], "attack": ["a"]})
    picks = mf.select(frame, "attack", hard=hard, k=1)
    assert picks.indices.tolist() == [3]
    assert picks.labels == ("a",)
    apart = mf.select(
        frame.drop(columns="attack"),
        frame["attack"],
        hard=(hard.drop(columns="attack"), ["a"]),
        k=1,
    )
    assert apart.indices.tolist() == [3]


def test_without_labels_all_examples_are_of_one_class():
    x, _ = images(10)
    picks = mf.select(x, hard=x[:2], k=2)
    assert picks.indices.tolist() == [0, 1]
    assert "one class" in picks.notes[0]


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"k": 0}, SettingError, "k is 0"),
        pytest.param({"k": "3"}, SettingError, "k is '3'; give", marks=pytest.mark.unchecked),
        pytest.param({"k": 3.5}, SettingError, "k is 3.5; give", marks=pytest.mark.unchecked),
        ({"seed": -1}, SettingError, "seed is -1; give"),
        ({"k": 99}, SettingError, "holds 10 candidates"),
        ({"method": "gradmatch"}, SettingError, "unknown method"),
        ({"method": "omp"}, SettingError, "give model="),
        ({"method": "detector-cover"}, SettingError, "not by hard examples"),
        ({"method": len}, SettingError, "must be a function of"),
        ({"device": "gpu"}, SettingError, "device is 'gpu'; choose from"),
        ({"colour": 3}, SettingError, "no setting 'colour'"),
        ({"gradient_layers": "most"}, SettingError, "gradient-layers is 'most'"),
        ({"hard": np.zeros((2, 1, 4, 4), np.uint8)}, DataError, "one shape and type"),
        ({"y": [1, 2]}, DataError, "10 examples but 2 labels"),
        ({"y": np.linspace(0, 1, 10)}, DataError, "a measurement"),
        ({"y": [None] * 10}, DataError, "missing in row 0"),
        ({"y": ["a", float("nan")] * 5}, DataError, "missing in row 1"),
        ({"x": "images/"}, DataError, "is the path"),
        ({"x": np.full((10, 1, 8, 8), np.nan, np.float32)}, DataError, "hard uint8"),
        ({"model": "mine"}, SettingError, "import path"),
        pytest.param(
            {"model": np.eye}, SettingError, "torch.nn.Module", marks=pytest.mark.unchecked
        ),
        ({"hard": (np.zeros((2, 1, 8, 8), np.uint8), [7, 7])}, DataError, "no candidate is of"),
    ],
)
def test_each_mistake_is_told_in_one_line(change, error, said):
    x, y = images(10)
    given = {"x": x, "y": y, "hard": images(4), "k": 3} | change
    if change.keys() == {"hard"} and not isinstance(change["hard"], tuple):
        given["hard"] = (change["hard"], [0, 1])
    with pytest.raises(error, match=said) as raised:
        mf.select(given.pop("x"), given.pop("y"), **given)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("net", "said"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Softmax(1)), "leave the softmax out"),
        (nn.Sequential(nn.Flatten(), nn.Linear(9, 3)), "cannot take examples of shape"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), "one logit for each class"),
        (nn.Conv2d(1, 3, 3), "one logit for each class"),
    ],
)
def test_a_model_that_does_not_fit_is_told(net, said):
    x = RNG.integers(0, 256, (10, 1, 8, 8), dtype=np.uint8)
    y = np.arange(10) % 3
    with pytest.raises(SettingError, match=said):
        mf.select(x, y, hard=(x[:3], y[:3]), k=2, model=net)


def test_a_model_whose_last_layer_is_not_linear_is_looked_through_by_all_layers(caplog):
    x, y = images(30)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Tanh())
    picks = mf.select(x, y, hard=(x[:4], y[:4]), k=4, model=net)
    assert len(picks)
    assert "randomly projected" in caplog.text


def as_frame(x: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(x).assign(y=y)


@pytest.mark.parametrize("form", ["names", "frame of numbers", "frame of names", "objects"])
def test_a_label_is_the_same_output_of_the_model_in_any_form(form):
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 4)).astype(np.float32)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y, net, names = 1 + np.arange(60) % 2, nn.Linear(4, 3), np.array(["a", "b", "c"])
    # The same rows twice, so that a frame's scale is that of the arrays.
    wanted = mf.select(x, y, hard=(x, y), k=5, model=net).indices.tolist()
    classes = ["a", "b", "c"] if "names" in form else None
    given = {
        "names": (x, names[y]),
        "frame of numbers": as_frame(x, y.astype(float)),
        "frame of names": as_frame(x, names[y]),
        "objects": (x, pd.array(y, dtype="Int64")),
    }[form]
    first, label = given if isinstance(given, tuple) else (given, None)
    picks = mf.select(first, label, hard=given, k=5, model=net, classes=classes)
    assert picks.indices.tolist() == wanted
    assert set(picks.labels) <= ({"b", "c"} if classes else {"1", "2"})


@pytest.mark.parametrize(
    ("classes", "error", "said"),
    [
        (None, SettingError, "3 logits, and the labels show 2 classes: b, c; give classes="),
        (["a", "b"], DataError, "labels hold 'c', which classes does not name"),
        (["b", "c", "c"], SettingError, "name each class once"),
        ("bc", SettingError, "give a list"),
    ],
)
def test_names_without_the_order_of_the_outputs_are_refused(classes, error, said):
    x, y = np.eye(4, dtype=np.float32), list("bcbc")
    with pytest.raises(error, match=said):
        mf.select(x, y, hard=(x, y), k=1, model=nn.Linear(4, 3), classes=classes)


@pytest.mark.parametrize("method", ["features", "omp"])
def test_negative_labels_are_names_though_the_hard_examples_show_none(method):
    x, y = np.eye(4, dtype=np.float32), [-1, 1, -1, 1]
    net = nn.Linear(4, 2) if method == "omp" else None
    picks = mf.select(x, y, hard=(x[1:2], [1]), k=1, method=method, model=net)
    assert picks.labels == ("1",)


def test_a_frame_of_whole_floats_matches_one_of_ints():
    frame = pd.DataFrame({"size": [1.0, 2.0, 8.0, 9.0], "label": [0, 0, 1, 1]})
    hard = pd.DataFrame({"size": [8.9], "label": [1.0]})
    picks = mf.select(frame, hard=hard, k=1)
    assert (picks.indices.tolist(), picks.labels, picks.notes) == ([3], ("1",), ())


@pytest.mark.parametrize("framed", [True, False])
def test_that_a_frame_reaches_a_model_standardised_is_said(framed, caplog):
    x, y = np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1])
    given, label = (as_frame(x, y), None) if framed else (x, y)
    mf.select(given, label, hard=given if framed else (x, y), k=1, model=nn.Linear(4, 2))
    assert ("standardised" in caplog.text) == framed


def test_a_function_is_a_method():
    def last(candidates, query, k):
        assert len(query.hard) == 4
        return Selection.unweighted(np.arange(len(candidates))[-k:])

    x, y = images(10)
    picks = mf.select(x, y, hard=images(4), k=3, method=last)
    assert picks.indices.tolist() == [7, 8, 9]
    assert picks.method == "last"


def test_columns_of_two_levels_are_told_how_to_become_one():
    columns = pd.MultiIndex.from_product([["a", "b"], ["low", "high"]])
    frame = pd.DataFrame(np.zeros((4, 4)), columns=columns)
    with pytest.raises(DataError, match="columns of 2 levels; join their names first"):
        mf.select(frame, [0, 1, 0, 1], hard=(frame, [0, 1, 0, 1]))
    frame.columns = ["_".join(map(str, each)) for each in frame.columns]  # as it says
    assert len(mf.select(frame, [0, 1, 0, 1], hard=(frame, [0, 1, 0, 1]), k=2)) == 2
