"""Every byte that crosses the network: `pack_*` writes it, `unpack_*` checks it as hostile input.

The only file of the method that knows Flower; it loads no torch, since an owner's ClientApp
starts anew for every message. Array shapes and types are what the sender *declares*: only what
comes out of the decoder counts.
"""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from mycroft_fl.errors import BadMessage, SettingError
from mycroft_fl.examples import Examples
from mycroft_fl.foreign_text import SAFE_NAME
from mycroft_fl.modes import COUNTS, answer_names
from mycroft_fl.protocol.card import Card
from mycroft_fl.protocol.description import read_description
from mycroft_fl.protocol.detector import ARRAYS as DETECTOR_ARRAYS
from mycroft_fl.protocol.detector import Detector, checked_detector
from mycroft_fl.protocol.messages import (
    Described,
    Expected,
    NoisedTarget,
    OwnerReport,
    Request,
    Statistic,
)
from mycroft_fl.protocol.request_checks import check_mode, is_finite_float32
from mycroft_fl.settings.run_config import MAX_EXAMPLES, MAX_HARD
from mycroft_fl.settings.selection import MAX_FEATURE_WEIGHT
from mycroft_fl.settings.space_names import check_space
from mycroft_fl.texts import are_well_formed, is_text

SELECT = "query.select"
INTRODUCE = "query.introduce"
LOOK = "look"
MAX_BYTES = 1 << 30
MAX_TARGET = 1e9

_REQUEST_FIELDS: dict[str, type] = {
    "server-round": int,
    "method": str,
    "k": int,
    "num-classes": int,
    "model": str,
    "feature-space": str,
    "owner-epochs": int,
    "seed": int,
    "mode": str,
    "gradient-layers": str,
    "feature-weight": float,
    "rate": float,
    "score-by": str,
}

_WHOLE_NUMBERS = {"k": MAX_EXAMPLES, "owner-epochs": 1000, "num-classes": 1_000_000}
"""The largest values of a request's whole numbers; each is at least 1."""

_TARGET_FIELDS: dict[str, type] = {"scale": float, "clip": float, "stands-for": int}

_DETECTOR_FIELDS: dict[str, type] = {"hidden": bool, "threshold": float}
_DETECTOR = {f"detector-{name}" for name in ("basis", *DETECTOR_ARRAYS)}

_CARD_FIELDS: dict[str, type] = {
    each.name: {"str": str, "int": int, "float": float, "bool": bool}[str(each.type)]
    for each in dataclasses.fields(Card)
}


def pack_request(request: Request) -> RecordDict:
    """Pack a request as Flower records: one array each for x, y, the flat weights, a noised target."""
    arrays = {"x": Array(request.hard.x), "y": Array(request.hard.y)}
    if request.weights is not None:
        arrays["weights"] = Array(request.weights)
    if request.head is not None:
        arrays["head"] = Array(request.head)
    if request.whitening is not None:
        arrays["whitening"] = Array(request.whitening)
    fields = {key: getattr(request, key.replace("-", "_")) for key in _REQUEST_FIELDS}
    content = RecordDict({"request": ConfigRecord(fields)})
    target = request.target
    if target is not None:
        arrays["target"] = Array(target.direction)
        target_fields = {key: getattr(target, key.replace("-", "_")) for key in _TARGET_FIELDS}
        content["target"] = ConfigRecord(target_fields)
    detector = request.detector
    if detector is not None:
        for name, array in detector.arrays().items():
            arrays[f"detector-{name}"] = Array(array)
        fields_of_detector = {key: getattr(detector, key) for key in _DETECTOR_FIELDS}
        content["detector"] = ConfigRecord(fields_of_detector)
    content["arrays"] = ArrayRecord(arrays)
    return content


def unpack_request(content: RecordDict) -> Request:
    """Read the request in `content`. `BadMessage` on anything that is not one."""
    _check_records(content, {"request", "target", "detector", "arrays"})
    fields = _fields(content, "request", _REQUEST_FIELDS)
    arrays = _arrays(content, {"x", "y"}, {"weights", "head", "whitening", "target"} | _DETECTOR)
    _check_limits(fields)
    hard = _examples(arrays, fields["num-classes"], at_most=MAX_HARD)
    target = _target(content, arrays)
    detector = _detector(content, arrays, fields["num-classes"])
    brought = (len(hard) > 0) + (target is not None) + (detector is not None)
    if not brought:
        raise BadMessage("the hard set is empty")
    if brought > 1:
        raise BadMessage(
            "a request brings hard examples, a target or a detector, and only one of them"
        )
    weights, head, whitening = map(arrays.get, ("weights", "head", "whitening"))
    if weights is not None and not is_finite_float32(weights, dimensions=1):
        raise BadMessage("weights must be one vector of finite float32")
    named = {key.replace("-", "_"): value for key, value in fields.items()}
    request = Request(
        hard=hard, weights=weights, head=head, whitening=whitening, target=target,
        detector=detector, **named,
    )  # fmt: skip
    check_mode(request)
    return request


def _check_limits(fields: Mapping[str, Any]) -> None:
    """Raise `BadMessage` where a number or a name that all modes share is out of its limits."""
    for key, most in _WHOLE_NUMBERS.items():
        if not 1 <= fields[key] <= most:
            raise BadMessage(f"{key} is {fields[key]}; it must be from 1 to {most}")
    try:
        check_space(fields["feature-space"])
    except SettingError as error:
        raise BadMessage("no such feature-space") from error
    if fields["gradient-layers"] not in ("last", "all"):
        raise BadMessage("gradient-layers must be 'last' or 'all'")
    if not 0 <= fields["feature-weight"] <= MAX_FEATURE_WEIGHT:  # nor is NaN
        raise BadMessage(f"feature-weight must be from 0 to {MAX_FEATURE_WEIGHT:g}")


def _target(content: RecordDict, arrays: Mapping[str, np.ndarray]) -> NoisedTarget | None:
    """Read the noised target in a request, None where there is none."""
    if "target" not in content and "target" not in arrays:
        return None
    fields = _fields(content, "target", _TARGET_FIELDS)
    direction = arrays.get("target")
    if direction is None or not is_finite_float32(direction, dimensions=1):
        raise BadMessage("a target must be one vector of finite float32")
    # So large a one would overflow in the products that owners make of it; of zeros, there are none.
    if not 0 < np.abs(direction).max(initial=0.0) <= MAX_TARGET:
        raise BadMessage(f"a target whose largest number is 0, or beyond {MAX_TARGET:g}")
    if not (0 < fields["scale"] < math.inf and 0 < fields["clip"] < math.inf):  # nor is NaN
        raise BadMessage("a target's scale and clip must be above 0 and finite")
    if not 1 <= fields["stands-for"] <= MAX_HARD:
        raise BadMessage(f"a target must stand for 1 to {MAX_HARD} hard examples")
    return NoisedTarget(direction, fields["scale"], fields["clip"], stands_for=fields["stands-for"])


def _detector(
    content: RecordDict, arrays: Mapping[str, np.ndarray], num_classes: int
) -> Detector | None:
    """Read the detector in a request, None where there is none."""
    came = {name.removeprefix("detector-"): arrays[name] for name in _DETECTOR & set(arrays)}
    if "detector" not in content and not came:
        return None
    fields = _fields(content, "detector", _DETECTOR_FIELDS)
    if not set(DETECTOR_ARRAYS) <= set(came):
        raise BadMessage("a detector without all of its arrays")
    return checked_detector(came, num_classes=num_classes, **fields)


def pack_report(report: OwnerReport) -> RecordDict:
    """Pack an owner's answer as Flower records."""
    arrays: dict[str, Array] = {}
    if report.disclosed is not None:
        arrays = {"x": Array(report.disclosed.x), "y": Array(report.disclosed.y)}
    if report.statistic is not None:
        arrays["values"] = Array(report.statistic.values)
        arrays["sigma"] = Array(np.array([report.statistic.sigma]))
    content = RecordDict(
        {"arrays": ArrayRecord(arrays), "report": ConfigRecord({"status": "answered"})}
    )
    if report.card is not None:
        content["card"] = ConfigRecord(dict(vars(report.card)))
    return content


def pack_failure(status: str) -> RecordDict:
    """Pack an owner's "refused" or "error": a fixed text, nothing of the reason."""
    return RecordDict({"report": ConfigRecord({"status": status})})


def report_status(content: RecordDict) -> str:
    """Read the status of an owner's answer: "answered", "refused" or "error"."""
    status: str = _fields(content, "report", {"status": str})["status"]
    if status not in ("answered", "refused", "error"):
        raise BadMessage("unknown status")
    return status


def unpack_report(content: RecordDict, expected: Expected) -> OwnerReport:
    """Read the answer in `content`. `BadMessage` on whatever is not as the request allows."""
    _check_records(content, {"arrays", "report", "card"})
    card = _card(content) if "card" in content else None
    if expected.values:
        return OwnerReport(card=card, statistic=_statistic(content, expected.values))
    arrays = _arrays(content, {"x", "y"}, set())
    disclosed = _examples(arrays, expected.num_classes, at_most=expected.at_most)
    if disclosed.x.dtype != expected.dtype:
        raise BadMessage(f"examples are {disclosed.x.dtype}, asked for {expected.dtype}")
    if disclosed.x.shape[1:] != expected.shape:
        raise BadMessage(f"examples of shape {disclosed.x.shape[1:]}, asked for {expected.shape}")
    if disclosed.x.size and np.abs(disclosed.x).max() > expected.largest:
        raise BadMessage(f"a value beyond {expected.largest:g}")
    if len(np.unique(disclosed.ids)) < len(disclosed):
        raise BadMessage("an example stands twice in one answer")
    return OwnerReport(disclosed, card)


def _statistic(content: RecordDict, size: int) -> Statistic:
    arrays = _arrays(content, {"values", "sigma"}, set())
    values, sigma = arrays["values"], arrays["sigma"]
    if values.shape != (size,) or sigma.shape != (1,):
        raise BadMessage(f"a statistic of shape {values.shape}, asked for {size} numbers")
    if values.dtype != np.float64 or sigma.dtype != np.float64:
        raise BadMessage("a statistic must be float64")
    # So far below the largest float that no sum over owners can overflow.
    if not ((np.abs(values) < 1e30).all() and 0 < sigma[0] < 1e30):
        raise BadMessage("a statistic that is not finite, or has no noise")
    return Statistic(values, float(sigma[0]))


def _card(content: RecordDict) -> Card:
    """Read a card's numbers; what they mean is written by whoever shows it, never taken from the sender."""
    fields = _fields(content, "card", _CARD_FIELDS)
    numbers = [value for value in fields.values() if not isinstance(value, str | bool)]
    if not all(math.isfinite(value) and value >= 0 for value in numbers):
        raise BadMessage("a privacy card with a number that is negative or not finite")
    if fields["mode"] not in (*answer_names(), COUNTS.name) or fields["unit"] not in (
        "record",
        "person",
    ):
        raise BadMessage("a privacy card of an unknown mode or unit")
    if fields["noise"] not in ("none", "os-entropy", "SIMULATED"):
        raise BadMessage("a privacy card with an unknown source of noise")
    return Card(**fields)


def pack_introduction_request() -> RecordDict:
    """Ask an owner for its name."""
    return RecordDict({"introduce": ConfigRecord({"version": 1})})


def pack_introduction(name: str) -> RecordDict:
    """Pack an owner's name, by which it is known from run to run."""
    return RecordDict(
        {"report": ConfigRecord({"status": "answered"}), "owner": ConfigRecord({"name": name})}
    )


def unpack_introduction(content: RecordDict) -> str:
    """Read the name in an introduction. `BadMessage` unless it is fit to be a file's name."""
    name: str = _fields(content, "owner", {"name": str})["name"]
    if not SAFE_NAME.fullmatch(name):
        raise BadMessage("an owner's name has 1 to 100 letters, digits, '-', '_' or '.'")
    return name


def pack_look() -> RecordDict:
    """Ask an owner what it shows of its data. The owner's policy alone says how much that is."""
    return RecordDict({LOOK: ConfigRecord({"version": 1})})


def asks_to_look(content: RecordDict) -> bool:
    """Tell a question for a description from a request. `BadMessage` for what is neither."""
    if LOOK not in content:
        return False
    _check_records(content, {LOOK})
    if _fields(content, LOOK, {"version": int})["version"] != 1:
        raise BadMessage("a question of another version")
    return True


def pack_described(described: Described) -> RecordDict:
    """Pack an owner's description, with its noised counts and their card where there are any."""
    content = pack_report(OwnerReport(card=described.card, statistic=described.counts))
    fields: dict[str, Any] = {"content": described.description.as_bytes()}
    content["description"] = ConfigRecord(fields)
    return content


def unpack_described(content: RecordDict) -> Described:
    """Read an owner's description. `BadMessage` on whatever is none; its names are printable then."""
    _check_records(content, {"arrays", "report", "card", "description"})
    description = read_description(_fields(content, "description", {"content": bytes})["content"])
    if "card" not in content:
        _arrays(content, set(), set())
        return Described(description)
    card = _card(content)
    if card.mode != COUNTS.name:
        raise BadMessage("a description with the card of something else")
    return Described(description, _statistic(content, description.num_classes), card)


def _check_records(content: RecordDict, known: set[str]) -> None:
    """Raise `BadMessage` for anything beside what is asked for: nobody would look at it, and it is kept."""
    if not set(content) <= known:
        raise BadMessage(f"{len(set(content) - known)} records that nothing asks for")


def _fields(content: RecordDict, name: str, kinds: Mapping[str, type]) -> dict[str, Any]:
    record = content.get(name)
    if not isinstance(record, ConfigRecord) or set(record) != set(kinds):
        raise BadMessage(f"no well-formed '{name}' record")
    for key, kind in kinds.items():
        if type(record[key]) is not kind:
            raise BadMessage(f"'{key}' must be {kind.__name__}")
        if kind is str and len(str(record[key])) > 200:
            raise BadMessage(f"'{key}' is longer than 200 characters")
    return dict(record)


def _arrays(content: RecordDict, wanted: set[str], optional: set[str]) -> dict[str, np.ndarray]:
    record = content.get("arrays")
    if not isinstance(record, ArrayRecord) or not wanted <= set(record) <= wanted | optional:
        raise BadMessage("no well-formed 'arrays' record")
    return {name: _array(array) for name, array in record.items()}


def _array(array: Array) -> np.ndarray:
    """Decode one array without pickle, and only where header and payload agree in size."""
    if len(array.data) > MAX_BYTES:
        raise BadMessage(f"an array of {len(array.data)} bytes; at most {MAX_BYTES}")
    stream = io.BytesIO(array.data)
    try:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise BadMessage(f"an array in npy format {version}; only (1, 0) is read")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        # Before anything is allocated: a header may claim far more than was sent.
        if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(array.data) - stream.tell():
            raise BadMessage("an array whose header and payload disagree")
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)
    except BadMessage:
        raise
    except Exception as error:
        # All of them: numpy parses the header as Python, and a hostile one ends that parser with
        # tokenize.TokenError, MemoryError, RecursionError, IndexError or OverflowError as well.
        raise BadMessage("an array that cannot be decoded") from error


def _examples(arrays: Mapping[str, np.ndarray], num_classes: int, *, at_most: int) -> Examples:
    x, y = arrays["x"], arrays["y"]
    if y.ndim != 1 or y.dtype != np.int64 or x.ndim not in (2, 4) or len(x) != len(y):
        raise BadMessage(f"x of shape {x.shape} and y of shape {y.shape} are not examples")
    if len(y) > at_most:
        raise BadMessage(f"{len(y)} examples, more than the {at_most} asked for")
    if len(y) and not (y.min() >= 0 and y.max() < num_classes):
        raise BadMessage(f"a label outside 0..{num_classes - 1}")
    if not (x.dtype == np.uint8 or is_finite_float32(x, dimensions=x.ndim)):
        raise BadMessage(f"examples must be uint8 or finite float32, not {x.dtype}")
    if is_text(x) and not are_well_formed(x).all():
        raise BadMessage("a text that is empty, no UTF-8, or goes on behind its end")
    if math.prod(x.shape[1:]) == 0:
        raise BadMessage(f"examples of shape {x.shape[1:]} hold nothing")
    return Examples(x, y)
