"""A failure detector on the network: a whole round trip, and nothing hostile gets through."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st

from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples
from mycroft_fl.protocol.detector import COMPONENTS, Detector
from mycroft_fl.protocol.messages import NoisedTarget, Request
from mycroft_fl.protocol.signed import as_bytes, from_bytes
from mycroft_fl.protocol.wire import pack_request, unpack_request

CLASSES = 4
NOBODY = Examples(np.zeros((0, 1, 3, 3), np.uint8), np.zeros(0, np.int64))
SOMEBODY = Examples(np.zeros((1, 1, 3, 3), np.uint8), np.zeros(1, np.int64))
TARGET = NoisedTarget(np.ones(4, np.float32), 0.25, 2.0, 16)


def make_detector(d: int = 5, labels: tuple[int, ...] = (1, 3), seed: int = 0) -> Detector:
    """A detector of two components of nine inputs and `d - 2` hidden units."""
    rng = np.random.default_rng(seed)

    def drawn(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    terms = d * (1 + len(labels)) + CLASSES
    return Detector(
        basis=drawn(2, 9), hidden=True, mean=drawn(d), scale=np.abs(drawn(d)),
        classes=np.array(labels, np.int64), weights=drawn(2, terms), bias=drawn(2), threshold=0.375,
    )  # fmt: skip


DETECTOR = make_detector()


def make_request(**changed: Any) -> Request:
    plain: dict[str, Any] = {
        "server_round": 1, "method": "detector-cover", "k": 5, "hard": NOBODY,
        "num_classes": CLASSES, "model": "mlp", "weights": np.ones(6, np.float32),
        "feature_space": "pixels", "owner_epochs": 1, "seed": 0, "detector": DETECTOR,
    }  # fmt: skip
    return Request(**(plain | changed))


def arrived(request: Request) -> Request:
    return unpack_request(from_bytes(as_bytes(pack_request(request))))


def with_arrays(changed: dict[str, np.ndarray | None]) -> RecordDict:
    """A packed request some of whose detector's arrays are others, or (None) missing."""
    packed = pack_request(make_request())
    arrays = {key: each.numpy() for key, each in packed["arrays"].items()}
    arrays |= {f"detector-{name}": array for name, array in changed.items()}
    packed["arrays"] = ArrayRecord(
        {key: Array(each) for key, each in arrays.items() if each is not None}
    )
    return packed


@settings(max_examples=20, deadline=None)
@given(
    d=st.integers(1, 6),
    labels=st.sets(st.integers(0, CLASSES - 1)),
    seed=st.integers(0, 99),
    with_basis=st.booleans(),
)
def test_a_detector_arrives_to_the_bit_and_no_hard_example_with_it(
    d: int, labels: set[int], seed: int, with_basis: bool
) -> None:
    sent = make_detector(d, tuple(sorted(labels)), seed)
    sent = sent if with_basis else replace(sent, basis=None, hidden=False)
    got = arrived(make_request(detector=sent))
    assert got.detector is not None
    assert got.detector.digest == sent.digest
    assert (got.detector.hidden, got.detector.threshold) == (sent.hidden, sent.threshold)
    assert (got.detector.num_classes, got.detector.size) == (CLASSES, sent.size)
    assert {name: each.tobytes() for name, each in got.detector.arrays().items()} == {
        name: each.tobytes() for name, each in sent.arrays().items()
    }
    assert (got.brought, len(got.hard), got.hard.x.shape) == ("detector", 0, (0, 1, 3, 3))


def test_a_basis_of_no_component_arrives_too() -> None:
    sent = replace(DETECTOR, basis=np.empty((0, 9), np.float32))
    got = arrived(make_request(detector=sent)).detector
    assert got is not None
    assert got.basis is not None
    assert got.basis.shape == (0, 9)


def test_the_size_is_the_count_of_all_numbers() -> None:
    assert DETECTOR.size == 2 * 9 + 5 + 5 + 2 + 2 * (5 * 3 + 4) + 2


FLOATS = {"basis": 2, "mean": 1, "scale": 1, "weights": 2, "bias": 1}


@pytest.mark.unchecked
@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("kind", ["nan", "inf", "huge", "double", "big-endian", "flat", "deep"])
def test_an_array_that_is_not_finite_float32_of_its_dimensions_is_a_bad_message(
    name: str, kind: str
) -> None:
    array = DETECTOR.arrays()[name].copy()
    if kind in ("nan", "inf", "huge"):
        array.flat[-1] = {"nan": math.nan, "inf": math.inf, "huge": 2e30}[kind]
    hostile = {
        "double": array.astype(np.float64),
        "big-endian": array.astype(">f4"),
        "flat": np.array(array.sum(), np.float32),
        "deep": array[None],
    }.get(kind, array)
    said = (
        f"a detector's {name} has a number that is not finite, or too large"
        if kind in ("nan", "inf", "huge")
        else f"a detector's {name} must be float32 of {FLOATS[name]} dimensions"
    )
    with pytest.raises(BadMessage, match=said):
        unpack_request(with_arrays({name: hostile}))


def of_components(rows: int) -> RecordDict:
    """A packed request with a detector of so many components of nine inputs."""
    wide = rows + 3
    terms = wide * (1 + len(DETECTOR.classes)) + CLASSES
    arrays = {"basis": (rows, 9), "mean": (wide,), "scale": (wide,), "weights": (2, terms)}
    return with_arrays({name: np.ones(shape, np.float32) for name, shape in arrays.items()})


def test_more_components_than_a_trainer_makes_are_a_bad_message() -> None:
    detector = unpack_request(of_components(COMPONENTS)).detector
    assert detector is not None
    assert detector.basis.shape == (40, 9)
    with pytest.raises(BadMessage, match="a detector of 41 components; at most 40"):
        unpack_request(of_components(COMPONENTS + 1))


@pytest.mark.unchecked
@pytest.mark.parametrize(
    "classes",
    [
        np.array([3, 1]), np.array([1, 1]), np.array([-1, 1]), np.array([1, 4]),
        np.array([1, 2**62]), np.array([1, 3], np.int32), np.array([1.0, 3.0]), np.array([[1, 3]]),
        np.array(1),
    ],
    ids=["turned", "twice", "below", "beyond", "far beyond", "int32", "float", "deep", "scalar"],
)  # fmt: skip
def test_classes_that_are_not_labels_in_order_are_a_bad_message(classes: np.ndarray) -> None:
    with pytest.raises(BadMessage, match="classes must be distinct labels in order"):
        unpack_request(with_arrays({"classes": classes}))


def of(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"mean": of(0), "scale": of(0)}, "a mean and a scale for each feature, and two biases"),
        ({"scale": of(4)}, "a mean and a scale for each feature, and two biases"),
        ({"scale": -of(5)}, "a mean and a scale for each feature, and two biases"),
        ({"bias": of(3)}, "a mean and a scale for each feature, and two biases"),
        ({"weights": of(2, 18)}, r"weights are of \(2, 18\); they must be 2 x 19"),
        ({"weights": of(3, 19)}, r"weights are of \(3, 19\); they must be 2 x 19"),
        ({"mean": of(6), "scale": of(6)}, r"weights are of \(2, 19\); they must be 2 x 22"),
        ({"classes": np.array([1])}, r"weights are of \(2, 19\); they must be 2 x 14"),
    ],
)
def test_arrays_that_do_not_fit_together_are_a_bad_message(
    changed: dict[str, np.ndarray | None], said: str
) -> None:
    with pytest.raises(BadMessage, match=said):
        unpack_request(with_arrays(changed))


@pytest.mark.parametrize("name", ["mean", "scale", "classes", "weights", "bias"])
def test_an_array_that_is_missing_is_a_bad_message(name: str) -> None:
    with pytest.raises(BadMessage, match="a detector without all of its arrays"):
        unpack_request(with_arrays({name: None}))


def test_an_array_that_no_detector_has_is_a_bad_message() -> None:
    with pytest.raises(BadMessage, match="no well-formed 'arrays' record"):
        unpack_request(with_arrays({"more": of(2)}))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        *(({"threshold": each}, "must be between 0 and 1") for each in (0.0, 1.0, -0.5, math.nan, math.inf)),
        ({"threshold": 1}, "'threshold' must be float"),
        ({"hidden": 1}, "'hidden' must be bool"),
        ({"more": 1}, "no well-formed 'detector' record"),
    ],
)  # fmt: skip
def test_hostile_fields_beside_them_are_a_bad_message(changed: dict[str, Any], said: str) -> None:
    packed = pack_request(make_request())
    packed["detector"] = ConfigRecord({"hidden": True, "threshold": 0.5, **changed})
    with pytest.raises(BadMessage, match=said):
        unpack_request(packed)


def test_arrays_without_fields_and_fields_without_arrays_are_a_bad_message() -> None:
    packed = pack_request(make_request())
    alone = RecordDict({key: packed[key] for key in packed if key != "detector"})
    with pytest.raises(BadMessage, match="no well-formed 'detector' record"):
        unpack_request(alone)
    nothing = dict.fromkeys(("basis", "mean", "scale", "classes", "weights", "bias"))
    with pytest.raises(BadMessage, match="a detector without all of its arrays"):
        unpack_request(with_arrays(nothing))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"hard": SOMEBODY}, "hard examples, a target or a detector, and only one of them"),
        ({"target": TARGET}, "hard examples, a target or a detector, and only one of them"),
        ({"detector": None}, "the hard set is empty"),
        ({"mode": "score", "score_by": "class"}, "needs hard examples, and something else came"),
    ],
    ids=["examples too", "a target too", "nothing", "by class"],
)
def test_one_thing_tells_of_the_failures_and_only_one(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(BadMessage, match=said):
        unpack_request(pack_request(make_request(**changed)))
