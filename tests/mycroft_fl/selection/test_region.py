"""The cover of a detector's region: by its definition, by brute force, and nothing from outside."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mycroft_fl.errors import SettingError
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import Classifier, build
from mycroft_fl.modes import MODES
from mycroft_fl.protocol.detector import Detector
from mycroft_fl.selection import region
from mycroft_fl.selection.methods import METHODS, sent_in
from mycroft_fl.selection.query import Query
from mycroft_fl.selection.region import KNOWN, detector_cover, flat_inputs, hidden_layer, seen_by
from mycroft_fl.settings.run_config import RunConfig

CLASSES, D = 3, 4
seeds = st.integers(0, 10**6)


def drawn(n: int, seed: int, classes: int = CLASSES) -> Examples:
    rng = np.random.default_rng(seed)
    return Examples(rng.normal(size=(n, D)).astype(np.float32), rng.integers(0, classes, n))


def make_detector(seed: int = 0, threshold: float = 0.4) -> Detector:
    weights = np.random.default_rng(seed).normal(size=(2, 2 * D + CLASSES))
    plain = np.ones(D, np.float32)
    return Detector(
        None, False, 0 * plain, plain, np.array([1]), weights.astype(np.float32),
        np.zeros(2, np.float32), threshold,
    )  # fmt: skip


def asked(detector: Detector, model: Classifier | None = None, **more: Examples) -> Query:
    return Query(
        hard=drawn(0, 0), model=model, feature_space="pixels", seed=0, detector=detector, **more
    )


def likely(detector: Detector, examples: Examples) -> np.ndarray:
    return detector.probability(detector.seen(examples.x, None), examples.y)


def worth(model: Classifier | None, examples: Examples) -> np.ndarray:
    """The weight of each record beside its probability, by its definition."""
    if model is None:
        return np.ones(len(examples))
    with torch.no_grad():
        q = torch.softmax(model(torch.from_numpy(examples.x)), 1).numpy()
    return KNOWN + (1 - KNOWN) * (1 - q[np.arange(len(examples)), examples.y])


def served(
    detector: Detector, model: Classifier | None, examples: Examples, picks: tuple[int, ...]
) -> float:
    """F(S) of the records in the region, by its definition, one record after the other."""
    probability = likely(detector, examples)
    inside = np.flatnonzero(probability >= detector.threshold)
    z, weight = detector.seen(examples.x, None), probability * worth(model, examples)
    total = 0.0
    for label in range(CLASSES):
        there = [each for each in inside if examples.y[each] == label]
        squared = np.array([[((z[a] - z[b]) ** 2).sum() for b in there] for a in there])
        if not len(there):
            continue
        typical = np.median(squared) or 1.0
        for row, each in enumerate(there):
            near = [np.exp(-squared[row, there.index(p)] / typical) for p in picks if p in there]
            total += weight[each] * max(near, default=0.0)
    return total


@settings(max_examples=25, deadline=None)
@given(seed=seeds, k=st.integers(1, 4), with_model=st.booleans())
def test_picks_reach_the_greedy_share_of_the_best_cover_by_brute_force(
    seed: int, k: int, with_model: bool
) -> None:
    detector, examples = make_detector(seed), drawn(10, seed)
    model = build("mlp", (D,), CLASSES, seed=0) if with_model else None
    picks = tuple(detector_cover(examples, asked(detector, model), k).indices.tolist())
    inside = np.flatnonzero(likely(detector, examples) >= detector.threshold).tolist()
    assert set(picks) <= set(inside)
    assert len(picks) == min(k, len(inside))
    # The first pick is the best of all, and all together reach 1 - 1/e of the best set.
    reached = {one: served(detector, model, examples, (one,)) for one in inside}
    if inside:
        assert reached[picks[0]] == pytest.approx(max(reached.values()), rel=1e-5)
    best = max(
        (
            served(detector, model, examples, each)
            for each in itertools.combinations(inside, len(picks))
        ),
        default=0.0,
    )
    mine = served(detector, model, examples, picks)
    assert (1 - 1 / np.e) * best - 1e-6 <= mine <= best + 1e-6


@settings(max_examples=25, deadline=None)
@given(seed=seeds, k=st.integers(1, 30))
def test_the_order_of_candidates_decides_nothing(seed: int, k: int) -> None:
    detector, examples = make_detector(seed), drawn(30, seed)
    order = np.random.default_rng(seed).permutation(30)
    there = detector_cover(examples, asked(detector), k).indices
    here = detector_cover(examples[order], asked(detector), k).indices
    assert order[here].tolist() == there.tolist()


@settings(max_examples=25, deadline=None)
@given(seed=seeds, first=st.integers(1, 8), then=st.integers(1, 8))
def test_a_second_choice_goes_on_where_the_first_ended(seed: int, first: int, then: int) -> None:
    detector, examples = make_detector(seed), drawn(40, seed)
    at_once = detector_cover(examples, asked(detector), first + then).indices
    begun = detector_cover(examples, asked(detector), first).indices
    left = np.setdiff1d(np.arange(40), begun)
    later = asked(detector, disclosed=examples[begun])
    rest = left[detector_cover(examples[left], later, then).indices]
    assert not set(begun) & set(rest)
    assert sorted([*begun, *rest]) == sorted(at_once)


def test_what_was_disclosed_counts_even_where_it_lies_outside_the_region() -> None:
    detector, examples = make_detector(), drawn(40, 3)
    outside = examples[likely(detector, examples) < detector.threshold]
    assert len(outside)
    plain = detector_cover(examples, asked(detector), 9).indices
    beside = detector_cover(examples, asked(detector, disclosed=outside), 9).indices
    assert plain.tolist() == beside.tolist()


def test_labels_beyond_the_trainers_classes_are_left_out() -> None:
    detector = make_detector(threshold=1e-6)
    examples = drawn(60, 5, classes=CLASSES + 3)
    picks = detector_cover(examples, asked(detector), 60).indices
    known = np.flatnonzero(examples.y < CLASSES)
    assert len(known) < 45
    assert sorted(picks) == known.tolist()
    # A model that knows no such label is not asked about it.
    model = build("mlp", (D,), CLASSES, seed=0)
    through = detector_cover(examples, asked(detector, model), 60).indices
    assert sorted(through) == known.tolist()


@pytest.mark.parametrize("n", [0, 20])
def test_nothing_in_the_region_is_no_pick(n: int) -> None:
    picks = detector_cover(drawn(n, 1), asked(make_detector(threshold=1 - 1e-9)), 5)
    assert picks.indices.tolist() == []
    assert picks.weights.tolist() == []


def test_likely_failures_come_first() -> None:
    # One far from all others, and of one label: each serves itself alone.
    detector = make_detector(threshold=1e-6)
    x = 5.0 * np.eye(D, dtype=np.float32)
    examples = Examples(x, np.zeros(D, np.int64))
    picks = detector_cover(examples, asked(detector), D).indices
    assert picks.tolist() == np.argsort(-likely(detector, examples)).tolist()


def test_a_record_that_the_model_gets_right_for_certain_counts_for_less() -> None:
    detector = make_detector(threshold=1e-6)
    model = build("linear", (D,), CLASSES, seed=0)
    x = np.eye(D, dtype=np.float32)[:2] * 0.5
    examples = Examples(x, np.array([0, 0]))
    p = likely(detector, examples)
    assert min(p) > KNOWN * max(p)
    sure = int(p.argmax())
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
        model.head.weight[0, sure] = 9.0
        model.head.weight[0, 1 - sure] = -9.0
    assert detector_cover(examples, asked(detector), 1).indices.tolist() == [sure]
    assert detector_cover(examples, asked(detector, model), 1).indices.tolist() == [1 - sure]


def test_through_a_hidden_layer_a_record_is_seen_as_the_network_sees_it() -> None:
    images = Examples(
        np.random.default_rng(0).integers(0, 256, (6, 1, 8, 8), dtype=np.uint8), np.arange(6) % 3
    )
    model = build("cnn", (1, 8, 8), CLASSES, seed=0)
    basis = np.random.default_rng(1).normal(size=(2, 64)).astype(np.float32)
    d = 2 + 128
    detector = Detector(
        basis, True, np.zeros(d, np.float32), np.ones(d, np.float32), np.array([], np.int64),
        np.zeros((2, d + CLASSES), np.float32), np.zeros(2, np.float32), 0.4,
    )  # fmt: skip
    pixels = images.x.reshape(6, 64) / 255
    assert np.allclose(flat_inputs(images), pixels, atol=1e-6)
    with torch.no_grad():
        hidden = model.features(torch.from_numpy(images.x).float() / 255).numpy()
    assert np.allclose(hidden_layer(model, images), hidden, atol=1e-5)
    wanted = np.clip(np.concatenate([pixels @ basis.T, hidden], axis=1), -6, 6)
    assert np.allclose(seen_by(detector, model, images), wanted, atol=1e-4)


def test_without_a_detector_there_is_nothing_to_go_by() -> None:
    query = replace(asked(make_detector()), detector=None)
    with pytest.raises(SettingError, match="goes by a failure detector, and the request brought"):
        detector_cover(drawn(5, 0), query, 3)


# What is sent


@pytest.mark.parametrize("name", METHODS)
def test_by_itself_a_method_is_sent_hard_examples_where_it_can_and_else_what_it_goes_by(
    name: str,
) -> None:
    wanted = "detector" if name == "detector-cover" else "hard-set"
    assert sent_in(RunConfig(method=name)) == wanted
    assert sent_in(RunConfig(method=name, mode="score-then-raw")) == wanted


@pytest.mark.parametrize("mode", MODES)
def test_what_is_sent_follows_the_method_in_every_mode(mode: str) -> None:
    assert sent_in(RunConfig(method="detector-cover", mode=mode)) == "detector"
    assert sent_in(RunConfig(method="omp", mode=mode)) == "hard-set"


def test_by_blocks_the_same_records_are_picked(monkeypatch) -> None:
    query, pool = asked(make_detector()), drawn(60, 3)
    whole = detector_cover(pool, query, 9).indices.tolist()
    assert len(whole) == 9
    monkeypatch.setattr(region, "BLOCK", 7)
    assert detector_cover(pool, query, 9).indices.tolist() == whole


@pytest.mark.parametrize("said", ["hard-set", "target", "detector"])
def test_what_is_set_is_sent(said: str) -> None:
    for mode in ("raw", "score", "score-then-raw"):
        assert sent_in(RunConfig(request=said, mode=mode)) == said
