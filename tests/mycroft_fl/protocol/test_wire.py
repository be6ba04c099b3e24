"""Every byte that crosses the network: whole round trips, and nothing hostile gets through."""

from __future__ import annotations

import io
import pickle
import struct
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples
from mycroft_fl.foreign_text import SAFE_NAME
from mycroft_fl.protocol import wire
from mycroft_fl.protocol.messages import Expected, OwnerReport, Request
from mycroft_fl.protocol.wire import (
    pack_failure,
    pack_introduction,
    pack_introduction_request,
    pack_report,
    pack_request,
    report_status,
    unpack_introduction,
    unpack_report,
    unpack_request,
)
from mycroft_fl.texts import as_bytes, as_texts

CLASSES = 4
IMAGE = (1, 3, 3)
EXPECTED = Expected(IMAGE, np.dtype(np.uint8), CLASSES, at_most=5)

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


def images(count: int) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.uint8, (count, *IMAGE), fill=st.nothing())


def vectors(count: int) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float32, (count, 3), elements=finite, fill=st.nothing())


@st.composite
def example_sets(draw: st.DrawFn, least: int = 0) -> Examples:
    n = draw(st.integers(least, 5))
    x = draw(images(n) | vectors(n))
    y = draw(hnp.arrays(np.int64, n, elements=st.integers(0, CLASSES - 1)))
    examples = Examples(x, y)
    return examples[np.unique(examples.ids, return_index=True)[1]]


def some_examples(count: int = 3) -> Examples:
    x = np.arange(count * 9, dtype=np.uint8).reshape(count, *IMAGE)
    return Examples(x, np.arange(count) % CLASSES)


def make_request(**changed: Any) -> Request:
    plain: dict[str, Any] = {
        "server_round": 1,
        "method": "omp",
        "k": 5,
        "hard": some_examples(),
        "num_classes": CLASSES,
        "model": "mlp",
        "weights": None,
        "feature_space": "pixels",
        "owner_epochs": 1,
        "seed": 0,
    }
    return Request(**(plain | changed))


def over_the_wire(content: RecordDict) -> RecordDict:
    """Sent as bytes and read again, as Flower does it."""
    return RecordDict.inflate(
        content.deflate(),
        {each.object_id: inflated(each) for each in content.children.values()},
    )


def inflated(record: Any) -> Any:
    children = getattr(record, "children", None) or {}
    read = {each.object_id: inflated(each) for each in children.values()}
    return type(record).inflate(record.deflate(), read or None)


def same(one: Examples, other: Examples) -> bool:
    return (
        one.x.dtype == other.x.dtype
        and one.y.dtype == other.y.dtype
        and np.array_equal(one.x, other.x)
        and np.array_equal(one.y, other.y)
    )


# Whole round trips


@given(
    hard=example_sets(least=1),
    weights=st.none() | hnp.arrays(np.float32, st.integers(0, 6), elements=finite),
    k=st.integers(1, wire.MAX_EXAMPLES),
    seed=st.integers(-(2**63), 2**63 - 1),
    method=st.text(st.characters(exclude_categories=("Cs",)), max_size=200),
    space=st.sampled_from(["pixels", "model"]),
)
def test_a_request_arrives_as_it_was_sent(hard, weights, k, seed, method, space) -> None:
    request = make_request(
        hard=hard, weights=weights, k=k, seed=seed, method=method, feature_space=space
    )
    arrived = unpack_request(over_the_wire(pack_request(request)))
    assert same(arrived.hard, hard)
    assert (arrived.weights is None) == (weights is None)
    assert weights is None or np.array_equal(arrived.weights, weights)
    plain = {key: value for key, value in vars(request).items() if key not in ("hard", "weights")}
    assert plain == {key: vars(arrived)[key] for key in plain}


def test_the_arrays_of_a_noised_gradient_arrive_as_they_were_sent() -> None:
    rng = np.random.default_rng(0)
    sent = {
        "head": rng.normal(size=6).astype(np.float32),
        "whitening": rng.normal(size=(2, 3)).astype(np.float32),
    }
    arrived = unpack_request(over_the_wire(pack_request(make_request(mode="gradient", **sent))))
    for name, array in sent.items():
        assert np.array_equal(getattr(arrived, name), array)


@given(example_sets())
def test_a_report_arrives_as_it_was_sent(disclosed: Examples) -> None:
    expected = Expected(disclosed.x.shape[1:], disclosed.x.dtype, CLASSES, at_most=len(disclosed))
    content = over_the_wire(pack_report(OwnerReport(disclosed)))
    assert report_status(content) == "answered"
    assert same(unpack_report(content, expected).disclosed, disclosed)


@pytest.mark.parametrize("status", ["refused", "error"])
def test_a_failure_arrives_as_its_status_and_carries_nothing_else(status: str) -> None:
    content = over_the_wire(pack_failure(status))
    assert report_status(content) == status
    assert {key: dict(content[key]) for key in content} == {"report": {"status": status}}


@settings(max_examples=30)
@given(st.from_regex(SAFE_NAME, fullmatch=True))
def test_an_introduction_arrives_as_it_was_sent(name: str) -> None:
    content = over_the_wire(pack_introduction(name))
    assert report_status(content) == "answered"
    assert unpack_introduction(content) == name


def test_the_request_for_an_introduction_says_nothing_of_the_trainer() -> None:
    assert {key: dict(value) for key, value in pack_introduction_request().items()} == {
        "introduce": {"version": 1}
    }


def test_fortran_order_arrives_with_the_same_content_and_ids() -> None:
    plain = some_examples()
    turned = Examples(np.asfortranarray(plain.x), plain.y)
    arrived = unpack_report(pack_report(OwnerReport(turned)), EXPECTED).disclosed
    assert np.array_equal(arrived.x, plain.x)
    assert np.array_equal(arrived.ids, plain.ids)


# Arrays that are no arrays


def raw(data: bytes) -> Array:
    """An array as an attacker declares it: the declaration is fine, the bytes are theirs."""
    return Array(dtype="uint8", shape=(3, *IMAGE), stype="numpy.ndarray", data=data)


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def with_header(header: str, payload: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode("latin1")
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + payload


def describing(descr: str, shape: str, payload: bytes = b"") -> bytes:
    return with_header(
        f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}", payload=payload
    )


def report_with(x: Array | None = None, y: Array | None = None, **more: Array) -> RecordDict:
    arrays = {
        "x": x or Array(some_examples().x),
        "y": y or Array(some_examples().y),
        **more,
    }
    return RecordDict(
        {"arrays": ArrayRecord(arrays), "report": ConfigRecord({"status": "answered"})}
    )


def said_of(content: RecordDict, expected: Expected = EXPECTED) -> str:
    with pytest.raises(BadMessage) as error:
        unpack_report(content, expected)
    return str(error.value)


def test_a_header_that_claims_a_terabyte_is_refused_before_anything_is_allocated() -> None:
    data = describing("'|u1'", "(1000000000000,)", payload=b"1234")
    tracemalloc.start()
    try:
        message = said_of(report_with(x=raw(data)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert message == "an array whose header and payload disagree"
    assert peak < 10_000_000


@settings(max_examples=60)
@given(st.data())
def test_no_truncated_payload_is_read(data: st.DataObject) -> None:
    whole = npy(some_examples().x)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert said_of(report_with(x=raw(cut))).startswith("an array")


def test_a_payload_that_is_too_long_is_not_read() -> None:
    longer = npy(some_examples().x) + b"more"
    assert said_of(report_with(x=raw(longer))) == "an array whose header and payload disagree"


class Bomb:
    """Unpickled, it would write down that it was."""

    def __reduce__(self):
        return exec, ("import sys; sys.exploded = True",)


def test_nothing_is_ever_unpickled() -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([Bomb()] * 3, dtype=object), allow_pickle=True)
    pickled = pickle.dumps(Bomb())
    header = describing("'|O'", "(3,)", payload=b"0" * 24)
    structured = describing("[('a', '|O')]", "(3,)", payload=b"0" * 24)
    for data in (stream.getvalue(), pickled, header, structured):
        assert said_of(report_with(x=raw(data))) in (
            "an array whose header and payload disagree",
            "an array that cannot be decoded",
        )
    assert not hasattr(sys, "exploded")


def test_a_zip_in_place_of_an_array_is_not_opened() -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, x=np.zeros(1000))
    assert said_of(report_with(x=raw(stream.getvalue()))) == "an array that cannot be decoded"


@pytest.mark.parametrize("version", [(2, 0), (3, 0), (9, 9)])
def test_other_npy_versions_are_not_read(version: tuple[int, int]) -> None:
    message = said_of(report_with(x=raw(with_header("{}", version=bytes(version)))))
    assert message == f"an array in npy format {version}; only (1, 0) is read"


HEADERS_THAT_BREAK_THE_PARSER = {
    "TokenError": "(((",
    "TokenError in a string": "{'a': '''",
    "MemoryError": "-" * 9000 + "1",
    "RecursionError": "1+" * 4500 + "1",
    "nesting": "[" * 199 + "]" * 199,
    "header too long": " " * 20000,
    "not a dictionary": "[1]",
    "a null byte": "\x00",
    "no keys": "{}",
    "code": "__import__('sys').exit()",
}


@pytest.mark.parametrize(
    "header", HEADERS_THAT_BREAK_THE_PARSER.values(), ids=HEADERS_THAT_BREAK_THE_PARSER.keys()
)
def test_a_header_that_breaks_numpys_parser_is_only_a_bad_message(header: str) -> None:
    assert said_of(report_with(x=raw(with_header(header)))) == "an array that cannot be decoded"


@pytest.mark.parametrize(
    ("descr", "shape"),
    [
        ("()", "(1,)"),
        ("('<f4',)", "(0,)"),
        ("[()]", "(1,)"),
        ("None", "(1,)"),
        ("{'names': 1}", "(1,)"),
        ("'no-such-type'", "(1,)"),
        ("'|u1'", "(-1, -4)"),
        ("'|u1'", "(100000000000000000000, 0)"),
        ("'|u1'", "(4611686018427387904, 4, 0)"),
        ("'|u1'", "(0, 9223372036854775808)"),
        ("'|u1'", "(4)"),
        ("'|u1'", "(1.0,)"),
        ("'|u1'", "(" + "1," * 70 + ")"),
    ],
)
def test_a_header_with_impossible_fields_is_only_a_bad_message(descr: str, shape: str) -> None:
    for payload in (b"", b"1234"):
        data = describing(descr, shape, payload=payload)
        assert said_of(report_with(x=raw(data))).startswith("an array")


@settings(max_examples=150)
@given(st.binary(max_size=80), st.booleans(), st.booleans())
def test_whatever_the_bytes_are_they_are_only_a_bad_message(
    data: bytes, magic: bool, in_x: bool
) -> None:
    array = raw(b"\x93NUMPY\x01\x00" + data if magic else data)
    said_of(report_with(x=array) if in_x else report_with(y=array))


@settings(max_examples=150)
@given(st.data())
def test_one_byte_changed_gives_a_bad_message_or_other_valid_examples(data: st.DataObject) -> None:
    changed = bytearray(npy(some_examples().x))
    place = data.draw(st.integers(0, len(changed) - 1))
    changed[place] ^= data.draw(st.integers(1, 255))
    try:
        disclosed = unpack_report(report_with(x=raw(bytes(changed))), EXPECTED).disclosed
    except BadMessage:
        return
    assert disclosed.x.shape == (3, *IMAGE)
    assert disclosed.x.dtype == np.uint8


def test_more_bytes_than_a_message_may_have_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_BYTES", 100)
    assert said_of(report_with()) == f"an array of {len(npy(some_examples().x))} bytes; at most 100"


def test_what_the_sender_declares_counts_for_nothing() -> None:
    lied = Array(dtype="object", shape=(10**9,), stype="other", data=npy(some_examples().x))
    assert np.array_equal(
        unpack_report(report_with(x=lied), EXPECTED).disclosed.x, some_examples().x
    )


# Arrays that are no examples of what was asked for


def test_a_scalar_in_place_of_an_array_is_refused() -> None:
    scalar = Array(np.array(3))
    assert said_of(report_with(x=scalar)) == "x of shape () and y of shape (3,) are not examples"
    assert said_of(report_with(y=scalar)).endswith("y of shape () are not examples")


@pytest.mark.parametrize("shape", [(3,), (3, 9, 1), (3, 1, 1, 3, 3), (2, *IMAGE)])
def test_x_of_another_rank_or_length_is_refused(shape: tuple[int, ...]) -> None:
    message = said_of(report_with(x=Array(np.zeros(shape, np.uint8))))
    assert message == f"x of shape {shape} and y of shape (3,) are not examples"


@pytest.mark.parametrize(
    "y",
    [
        np.zeros((3, 1), np.int64),
        np.zeros(3, np.int32),
        np.zeros(3, np.uint64),
        np.zeros(3, ">i8"),
        np.zeros(3, np.float64),
        np.zeros(3, bool),
    ],
    ids=lambda y: f"{y.dtype.str}{y.shape}",
)
def test_labels_that_are_not_a_row_of_int64_are_refused(y: np.ndarray) -> None:
    assert said_of(report_with(y=Array(y))).endswith("are not examples")


@pytest.mark.parametrize("label", [-1, CLASSES, 2**62, -(2**63)])
def test_a_label_out_of_range_is_refused(label: int) -> None:
    y = np.array([0, label, 1])
    assert said_of(report_with(y=Array(y))) == "a label outside 0..3"


def test_more_examples_than_asked_for_are_refused() -> None:
    content = pack_report(OwnerReport(some_examples(6)))
    assert said_of(content) == "6 examples, more than the 5 asked for"


def test_fewer_examples_than_asked_for_are_an_answer_even_none() -> None:
    for count in (0, 1, 5):
        content = pack_report(OwnerReport(some_examples(count)))
        assert len(unpack_report(content, EXPECTED).disclosed) == count


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(bad: float) -> None:
    x = np.zeros((3, 4), np.float32)
    x[1, 2] = bad
    expected = Expected((4,), np.dtype(np.float32), CLASSES, at_most=5)
    assert said_of(report_with(x=Array(x)), expected) == (
        "examples must be uint8 or finite float32, not float32"
    )


@pytest.mark.parametrize("dtype", [np.float64, np.int8, np.float16, ">f4", bool, "S1", "M8[s]"])
def test_examples_of_a_type_that_no_model_takes_are_refused(dtype: Any) -> None:
    message = said_of(report_with(x=Array(np.zeros((3, 4), dtype))))
    assert message == f"examples must be uint8 or finite float32, not {np.dtype(dtype)}"


@pytest.mark.unchecked
def test_examples_of_another_type_than_asked_for_are_refused() -> None:
    x = np.arange(27, dtype=np.float32).reshape(3, *IMAGE)
    assert said_of(report_with(x=Array(x))) == "examples are float32, asked for uint8"


def test_examples_of_another_shape_than_asked_for_are_refused() -> None:
    x = np.arange(36, dtype=np.uint8).reshape(3, 1, 3, 4)
    assert said_of(report_with(x=Array(x))) == "examples of shape (1, 3, 4), asked for (1, 3, 3)"


def test_examples_that_hold_nothing_are_refused() -> None:
    x = np.zeros((3, 1, 0, 3), np.uint8)
    assert said_of(report_with(x=Array(x))) == "examples of shape (1, 0, 3) hold nothing"


def test_the_same_example_twice_is_refused_whatever_its_labels() -> None:
    x = some_examples().x.copy()
    x[2] = x[0]
    assert said_of(report_with(x=Array(x))) == "an example stands twice in one answer"


# Records that are not the ones that were agreed on


def test_missing_and_additional_arrays_are_refused() -> None:
    status = {"report": ConfigRecord({"status": "answered"})}
    only_x = RecordDict({"arrays": ArrayRecord({"x": Array(some_examples().x)}), **status})
    for content in (
        only_x,
        RecordDict(status),
        RecordDict({"arrays": ConfigRecord({"x": 1}), **status}),
        report_with(weights=Array(np.zeros(3, np.float32))),
    ):
        assert said_of(content) == "no well-formed 'arrays' record"


FIELDS = dict(pack_request(make_request())["request"])


def request_with(
    weights: np.ndarray | None = None, whitening: np.ndarray | None = None, **changed: Any
) -> RecordDict:
    mode = {} if whitening is None else {"mode": "gradient"}
    fields = FIELDS | mode | {key.replace("_", "-"): value for key, value in changed.items()}
    arrays = {"x": Array(some_examples().x), "y": Array(some_examples().y)}
    if weights is not None:
        arrays["weights"] = Array(weights)
    if whitening is not None:
        arrays["whitening"] = Array(whitening)
    return RecordDict({"arrays": ArrayRecord(arrays), "request": ConfigRecord(fields)})


def refused(content: RecordDict) -> str:
    with pytest.raises(BadMessage) as error:
        unpack_request(content)
    return str(error.value)


@pytest.mark.parametrize("field", FIELDS)
def test_a_request_without_one_of_its_fields_is_refused(field: str) -> None:
    content = request_with()
    del content["request"][field]
    assert refused(content) == "no well-formed 'request' record"


def test_a_request_with_one_field_more_is_refused() -> None:
    assert refused(request_with(max_records=10**6)) == "no well-formed 'request' record"
    assert refused(RecordDict({"request": MetricRecord({"k": 1})})) == (
        "no well-formed 'request' record"
    )


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_another_type_is_refused(field: str) -> None:
    kind = type(FIELDS[field])
    wrong: dict[type, list[Any]] = {
        int: [True, 1.0, "1", b"1", [1]],
        float: [True, 1, "1", b"1", [1.0]],
        str: [True, 1, 1.0, b"a", ["a"]],
    }
    for value in wrong[kind]:
        assert refused(request_with(**{field: value})) == f"'{field}' must be {kind.__name__}"


def test_a_text_that_is_far_too_long_is_refused() -> None:
    assert refused(request_with(method="a" * 201)) == "'method' is longer than 200 characters"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"k": 0}, "k is 0; it must be from 1 to 10000000"),
        ({"k": -5}, "k is -5; it must be from 1 to 10000000"),
        ({"k": wire.MAX_EXAMPLES + 1}, "k is 10000001; it must be from 1 to 10000000"),
        ({"owner_epochs": 0}, "owner-epochs is 0; it must be from 1 to 1000"),
        ({"owner_epochs": 1001}, "owner-epochs is 1001; it must be from 1 to 1000"),
        ({"num_classes": 0}, "num-classes is 0; it must be from 1 to 1000000"),
        ({"num_classes": 10**7}, "num-classes is 10000000; it must be from 1 to 1000000"),
        ({"num_classes": 2}, "a label outside 0..1"),
        ({"feature_space": "elsewhere"}, "no such feature-space"),
        ({"gradient_layers": "first"}, "gradient-layers must be 'last' or 'all'"),
        ({"gradient_layers": ""}, "gradient-layers must be 'last' or 'all'"),
        ({"feature_weight": -0.1}, "feature-weight must be from 0 to 1e+06"),
        ({"feature_weight": 1.1e6}, "feature-weight must be from 0 to 1e+06"),
        ({"feature_weight": float("nan")}, "feature-weight must be from 0 to 1e+06"),
        ({"feature_weight": float("inf")}, "feature-weight must be from 0 to 1e+06"),
        ({"weights": np.zeros(3)}, "weights must be one vector of finite float32"),
        ({"weights": np.zeros((3, 1), np.float32)}, "weights must be one vector of finite float32"),
        ({"weights": np.float32([np.nan])}, "weights must be one vector of finite float32"),
        ({"weights": np.float32([np.inf])}, "weights must be one vector of finite float32"),
        (
            {"whitening": np.zeros((2, 2), np.float32), "mode": "raw"},
            "mode 'raw' takes no whitening",
        ),
        ({"whitening": np.zeros((2, 2))}, "a whitening must be one matrix of finite float32"),
        (
            {"whitening": np.zeros(4, np.float32)},
            "a whitening must be one matrix of finite float32",
        ),
        ({"whitening": np.float32([[np.nan]])}, "a whitening must be one matrix of finite float32"),
    ],
)
@pytest.mark.unchecked
def test_a_request_out_of_bounds_is_refused(changed: dict[str, Any], message: str) -> None:
    assert refused(request_with(**changed)) == message


def test_an_empty_hard_set_and_one_too_large_are_refused() -> None:
    assert refused(pack_request(make_request(hard=some_examples(0)))) == "the hard set is empty"
    many = Examples(np.zeros((wire.MAX_HARD + 1, 2), np.float32), np.zeros(4097, np.int64))
    assert refused(pack_request(make_request(hard=many))) == (
        "4097 examples, more than the 4096 asked for"
    )


@pytest.mark.parametrize("status", ["", "ANSWERED", "answered ", "timeout", "ok"])
def test_an_unknown_status_is_refused(status: str) -> None:
    with pytest.raises(BadMessage, match=r"^unknown status$"):
        report_status(pack_failure(status))


def test_a_status_with_anything_beside_it_is_refused() -> None:
    for record in ({"status": "error", "reason": "secret"}, {"reason": "x"}, {}):
        with pytest.raises(BadMessage, match="no well-formed 'report' record"):
            report_status(RecordDict({"report": ConfigRecord(record)}))
    with pytest.raises(BadMessage, match="'status' must be str"):
        report_status(RecordDict({"report": ConfigRecord({"status": 1})}))
    with pytest.raises(BadMessage, match="no well-formed 'report' record"):
        report_status(RecordDict())


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../up", "a/b", "a\\b", "/etc", "a\x00", "a b", "a\n", "é", "-a", "a" * 101]
)  # fmt: skip
def test_a_name_that_is_not_fit_for_a_file_is_refused(name: str) -> None:
    with pytest.raises(BadMessage, match="an owner's name has 1 to 100 letters"):
        unpack_introduction(pack_introduction(name))


def test_an_introduction_with_anything_beside_the_name_is_refused() -> None:
    with pytest.raises(BadMessage, match="no well-formed 'owner' record"):
        unpack_introduction(RecordDict({"owner": ConfigRecord({"name": "a", "node": 1})}))
    with pytest.raises(BadMessage, match="'name' must be str"):
        unpack_introduction(RecordDict({"owner": ConfigRecord({"name": 1})}))


# What is loaded where


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(ran.stdout.split())


@pytest.mark.parametrize("module", ["mycroft_fl.protocol.wire", "clients.client_app"])
def test_what_every_message_starts_anew_loads_no_torch(module: str) -> None:
    assert not {"torch", "torchvision", "sklearn", "opacus"} & loaded_by(f"import {module}")


def test_the_package_alone_loads_neither_flower_nor_opacus_nor_torch() -> None:
    assert not {"flwr", "opacus", "torch"} & loaded_by("import mycroft_fl")


@pytest.mark.parametrize("row", [b"", b"a\0b", b"\xff"])
def test_rows_of_bytes_that_are_no_text_are_refused(row: bytes) -> None:
    x = np.zeros((3, 8), np.uint8)
    x[:, :2] = [[104, place] for place in (65, 66, 67)]
    x[1, :] = np.frombuffer(row.ljust(8, b"\0"), np.uint8)
    expected = replace(EXPECTED, shape=(8,))
    assert said_of(report_with(x=Array(x)), expected) == (
        "a text that is empty, no UTF-8, or goes on behind its end"
    )


def test_texts_arrive_as_they_were_sent() -> None:
    texts = ["Grüße", "hello", "🙂"]
    sent = Examples(as_bytes(texts)[0], np.zeros(3, np.int64))
    content = over_the_wire(pack_report(OwnerReport(sent)))
    answer = unpack_report(content, replace(EXPECTED, shape=(32,)))
    assert answer.disclosed is not None
    assert as_texts(answer.disclosed.x) == texts
