"""The methods keep their promises, each against its definition."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from mycroft_fl.errors import SettingError
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import Classifier, build
from mycroft_fl.protocol.detector import Detector
from mycroft_fl.selection.methods import METHODS, Query, Selection, method_named, shares

CLASSES, DIMENSIONS = 4, 6
THROUGH_A_MODEL = [
    "funcfeat", "gradient-neighbours", "hard-features", "omp", "omp-coverage", "omp-each",
    "omp-whole",
]  # fmt: skip


def drawn(n: int, seed: int, classes: tuple[int, ...] = tuple(range(CLASSES))) -> Examples:
    rng = np.random.default_rng(seed)
    return Examples(rng.normal(size=(n, DIMENSIONS)).astype(np.float32), rng.choice(classes, n))


@pytest.fixture(scope="module")
def model() -> Classifier:
    return build("mlp", (DIMENSIONS,), CLASSES, seed=0)


def a_detector(seed: int = 0) -> Detector:
    """A detector in whose region most candidates are, some more likely failures than others."""
    weights = np.random.default_rng(seed).normal(size=(2, 2 * DIMENSIONS + CLASSES))
    plain = np.ones(DIMENSIONS, np.float32)
    return Detector(
        None, False, 0 * plain, plain, np.array([2]), weights.astype(np.float32),
        np.zeros(2, np.float32), threshold=0.1,
    )  # fmt: skip


def query(hard: Examples, model: Classifier | None, space: str = "pixels", seed: int = 0) -> Query:
    """A query with all that a method may go by."""
    return Query(hard=hard, model=model, feature_space=space, seed=seed, detector=a_detector())


def gradient(model: Classifier, examples: Examples, i: int) -> np.ndarray:
    """One example's gradient by the last layer, by automatic differentiation."""
    loss = cross_entropy(
        model(torch.from_numpy(examples.x[i : i + 1])), torch.from_numpy(examples.y[i : i + 1])
    )
    parts = torch.autograd.grad(loss, list(model.head.parameters()))
    return torch.cat([part.flatten() for part in parts]).numpy()


# Every method


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=15, deadline=None)
@given(n=st.integers(0, 20), m=st.integers(1, 5), k=st.integers(1, 25), seed=st.integers(0, 99))
def test_never_more_than_k_never_twice_never_negative(
    name: str, n: int, m: int, k: int, seed: int
) -> None:
    model = build("mlp", (DIMENSIONS,), CLASSES, seed=seed)
    picked = METHODS[name].select(drawn(n, seed), query(drawn(m, seed + 1), model), k)
    assert len(picked.indices) == len(picked.weights) <= min(k, n)
    assert len(set(picked.indices.tolist())) == len(picked.indices)
    assert all(0 <= index < n for index in picked.indices)
    assert (picked.weights >= 0).all()
    assert np.issubdtype(picked.indices.dtype, np.integer)


@pytest.mark.parametrize("name", METHODS)
def test_the_same_query_gives_the_same_picks(name: str, model: Classifier) -> None:
    candidates, asked = drawn(40, 1), query(drawn(5, 2), model)
    first, second = (METHODS[name].select(candidates, asked, 7) for _ in range(2))
    assert np.array_equal(first.indices, second.indices)


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"random", "full"}))
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 25))
def test_the_order_of_candidates_decides_nothing(name: str, seed: int, k: int) -> None:
    # Two hard examples a class: a single one is at the same distance from a label's mean and itself.
    model = build("mlp", (DIMENSIONS,), CLASSES, seed=0)
    candidates, asked = drawn(30, seed), query(drawn(8, seed + 1), model)
    order = np.random.default_rng(seed).permutation(30)
    there = METHODS[name].select(candidates, asked, k).indices
    here = METHODS[name].select(candidates[order], asked, k).indices
    assert sorted(order[here].tolist()) == sorted(there.tolist())


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), first=st.integers(1, 10), then=st.integers(1, 10))
def test_a_later_choice_never_repeats_what_was_disclosed(
    name: str, seed: int, first: int, then: int
) -> None:
    begun, rest = asked_twice(name, seed, first, then)
    assert len(rest) <= then
    assert len(set(rest)) == len(rest)
    assert not set(begun) & set(rest)


@pytest.mark.parametrize(
    "name",
    ["coverage", "features", "features-to-set", "gradient-neighbours", "hard-features",
     "knn-shapley", "transport"],
)  # fmt: skip
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), first=st.integers(1, 10), then=st.integers(1, 10))
def test_asked_twice_is_asked_at_once(name: str, seed: int, first: int, then: int) -> None:
    model = build("mlp", (DIMENSIONS,), CLASSES, seed=0)
    candidates, asked = drawn(40, seed), query(drawn(5, seed + 1), model)
    at_once = METHODS[name].select(candidates, asked, first + then).indices.tolist()
    begun, rest = asked_twice(name, seed, first, then)
    assert sorted([*begun, *rest]) == sorted(at_once)


def asked_twice(name: str, seed: int, first: int, then: int) -> tuple[list[int], list[int]]:
    """What is picked among the same 40 candidates at first, and later from those left."""
    model = build("mlp", (DIMENSIONS,), CLASSES, seed=0)
    candidates, asked = drawn(40, seed), query(drawn(5, seed + 1), model)
    begun = METHODS[name].select(candidates, asked, first).indices
    left = np.setdiff1d(np.arange(40), begun)
    later = replace(asked, disclosed=candidates[begun])
    rest = METHODS[name].select(candidates[left], later, then).indices
    return begun.tolist(), left[rest].tolist()


def test_picks_without_weights_all_weigh_the_same() -> None:
    assert Selection.unweighted(np.array([4, 2])).weights.tolist() == [1.0, 1.0]


# omp


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_omp_never_offers_a_class_that_is_not_hard(seed: int, k: int) -> None:
    model = build("mlp", (DIMENSIONS,), CLASSES, seed=0)
    candidates, hard = drawn(30, seed), drawn(4, seed + 1, classes=(0, 2))
    picked = METHODS["omp"].select(candidates, query(hard, model), k)
    assert set(candidates.y[picked.indices].tolist()) <= set(hard.y.tolist())


def test_omp_spends_k_as_the_hard_set_is_divided_over_classes(model: Classifier) -> None:
    hard = drawn(8, 3, classes=(1,))
    hard = Examples(hard.x, np.array([0, 0, 0, 0, 0, 1, 1, 2]))
    candidates = drawn(400, 4)
    picked = METHODS["omp"].select(candidates, query(hard, model), 16)
    assert Counter(candidates.y[picked.indices].tolist()) == {0: 10, 1: 4, 2: 2}


def test_omp_gives_others_what_a_class_without_candidates_cannot_spend(model: Classifier) -> None:
    hard = drawn(4, 3)
    hard = Examples(hard.x, np.array([0, 0, 1, 1]))
    candidates = Examples(drawn(200, 4).x, np.r_[np.zeros(1, np.int64), np.ones(199, np.int64)])
    picked = METHODS["omp"].select(candidates, query(hard, model), 8)
    assert Counter(candidates.y[picked.indices].tolist()) == {0: 1, 1: 7}


def test_omp_offers_nothing_where_no_candidate_is_of_a_hard_class(model: Classifier) -> None:
    candidates, hard = drawn(20, 1, classes=(0, 1)), drawn(3, 2, classes=(2, 3))
    picked = METHODS["omp"].select(candidates, query(hard, model), 5)
    assert picked.indices.tolist() == []


@pytest.mark.parametrize("seed", range(5))
def test_omp_with_one_pick_takes_the_gradient_most_aligned_by_autograd(
    seed: int, model: Classifier
) -> None:
    candidates, hard = drawn(40, seed), drawn(6, seed + 100, classes=(1,))
    target = np.mean([gradient(model, hard, i) for i in range(len(hard))], axis=0)
    cosines = [
        g @ target / np.linalg.norm(g) if label == 1 else -np.inf
        for g, label in (
            (gradient(model, candidates, i), candidates.y[i]) for i in range(len(candidates))
        )
    ]
    picked = METHODS["omp"].select(candidates, query(hard, model), 1)
    assert picked.indices.tolist() == [int(np.argmax(cosines))]


# features, hard-features


def by_definition(candidates: np.ndarray, hard: np.ndarray, allowed: np.ndarray, k: int) -> list:
    """Each hard example's nearest, then each one's second nearest, within one depth by distance."""
    pairs = []
    for h, row in enumerate(hard):
        distance = np.linalg.norm(candidates.astype(np.float64) - row, axis=1)
        order = [i for i in np.argsort(distance, kind="stable") if allowed[h, i]]
        pairs += [(depth, distance[i], int(i)) for depth, i in enumerate(order)]
    return list(dict.fromkeys(i for _, _, i in sorted(pairs)))[:k]


@pytest.mark.parametrize("seed", range(4))
def test_features_are_the_nearest_of_the_same_class_in_the_input(seed: int) -> None:
    candidates, hard = drawn(60, seed), drawn(5, seed + 50)
    picked = METHODS["features"].select(candidates, query(hard, None), 12)
    allowed = hard.y[:, None] == candidates.y
    assert picked.indices.tolist() == by_definition(candidates.x, hard.x, allowed, 12)


@pytest.mark.parametrize("seed", range(4))
def test_features_in_the_models_space_are_the_nearest_there(seed: int, model: Classifier) -> None:
    candidates, hard = drawn(60, seed), drawn(5, seed + 50)
    picked = METHODS["features"].select(candidates, query(hard, model, "model"), 12)
    with torch.no_grad():
        inner, outer = (model.body(torch.from_numpy(each.x)).numpy() for each in (candidates, hard))
    allowed = hard.y[:, None] == candidates.y
    assert picked.indices.tolist() == by_definition(inner, outer, allowed, 12)


@pytest.mark.unchecked
def test_images_are_compared_as_shares_of_white_whatever_their_shape() -> None:
    x = np.arange(5 * 2 * 3 * 3, dtype=np.uint8).reshape(5, 2, 3, 3)
    seen = query(Examples(x, np.zeros(5, np.int64)), None).features(Examples(x, np.zeros(5)))
    assert torch.allclose(seen, torch.from_numpy(x.reshape(5, -1) / 255.0).float())


@pytest.mark.parametrize("seed", range(4))
def test_hard_features_are_the_nearest_of_what_the_model_gets_wrong(
    seed: int, model: Classifier
) -> None:
    candidates, hard = drawn(60, seed), drawn(5, seed + 50)
    with torch.no_grad():
        wrong = model(torch.from_numpy(candidates.x)).argmax(1).numpy() != candidates.y
    picked = METHODS["hard-features"].select(candidates, query(hard, model), 12)
    allowed = (hard.y[:, None] == candidates.y) & wrong
    assert picked.indices.tolist() == by_definition(candidates.x, hard.x, allowed, 12)


def test_hard_features_offer_nothing_where_the_model_is_always_right(model: Classifier) -> None:
    candidates = drawn(20, 1)
    with torch.no_grad():
        output = model(torch.from_numpy(candidates.x)).argmax(1).numpy()
    picked = METHODS["hard-features"].select(
        Examples(candidates.x, output), query(drawn(3, 2), model), 5
    )
    assert picked.indices.tolist() == []


# random, full


def test_random_hangs_on_the_seed_and_reaches_every_candidate_alike() -> None:
    candidates, hard = drawn(10, 0), drawn(1, 1)
    counts = Counter(
        int(i)
        for seed in range(500)
        for i in METHODS["random"].select(candidates, query(hard, None, seed=seed), 4).indices
    )
    # Binomial(500, 0.4): mean 200, standard deviation 11.
    assert all(140 < counts[i] < 260 for i in range(10))


def test_full_is_everything_where_k_allows_it() -> None:
    candidates, asked = drawn(10, 0), query(drawn(1, 1), None)
    assert METHODS["full"].select(candidates, asked, 10).indices.tolist() == list(range(10))
    assert len(METHODS["full"].select(candidates, asked, 3).indices) == 3


# What a method looks through


@pytest.mark.parametrize("name", THROUGH_A_MODEL)
def test_a_method_that_looks_through_a_model_says_so_and_cannot_do_without(name: str) -> None:
    assert METHODS[name].looks_through != "nothing"
    with pytest.raises(SettingError, match="looks through a model, and the request brought none"):
        METHODS[name].select(drawn(5, 0), query(drawn(2, 1), None), 2)


@pytest.mark.parametrize("name", sorted(set(METHODS) - set(THROUGH_A_MODEL)))
def test_a_method_that_looks_through_nothing_does_without_a_model(name: str) -> None:
    assert METHODS[name].looks_through == "nothing"
    assert len(METHODS[name].select(drawn(30, 0), query(drawn(2, 1), None), 2).indices) == 2


# Methods by name


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of a user's own."""
    name = "own_methods_of_a_test"
    (tmp_path / f"{name}.py").write_text(
        "def first(candidates, query, k): return candidates\n"
        "def two(candidates, query): return candidates\n"
        "constant = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


def test_a_built_in_method_is_found_by_its_name() -> None:
    assert all(method_named(name) is method for name, method in METHODS.items())
    assert sorted(METHODS) == [
        "coverage",
        "detector-cover",
        "features",
        "features-diverse",
        "features-to-set",
        "full",
        "funcfeat",
        "gradient-neighbours",
        "hard-features",
        "knn-shapley",
        "omp",
        "omp-coverage",
        "omp-each",
        "omp-whole",
        "random",
        "transport",
    ]


def test_an_own_method_is_found_by_its_import_path(importable: str) -> None:
    method = method_named(f"{importable}:first")
    assert method.select("these", None, 0) == "these"  # type: ignore[arg-type]
    # Nobody knows what it will look at: it gets a model.
    assert method.looks_through == "a-model"
    assert not method.everything


def refused(name: str) -> str:
    with pytest.raises(SettingError) as error:
        method_named(name)
    return str(error.value)


def test_an_unknown_method_is_refused_with_the_nearest_or_with_all() -> None:
    assert refused("ompp") == "unknown method 'ompp'; did you mean 'omp'?"
    assert refused("zzz") == f"unknown method 'zzz'; choose from {sorted(METHODS)}"


@pytest.mark.parametrize(
    "path", ["no_such_package.x:f", ":f", ".relative:f", "..:f", "numpy:no_such", "numpy:", ":"]
)
def test_a_path_that_leads_nowhere_is_refused_with_what_it_should_be(path: str) -> None:
    message = refused(path)
    assert message.startswith(f"method '{path}' cannot be imported (")
    assert "give package.module:function, importable from the folder you are in" in message


@pytest.mark.parametrize("function", ["two", "constant"])
def test_what_is_no_function_of_three_is_refused(function: str, importable: str) -> None:
    path = f"{importable}:{function}"
    assert refused(path) == f"method '{path}' must be a function of (candidates, query, k)"


def test_a_function_that_does_not_tell_its_parameters_is_refused() -> None:
    assert "must be a function of" in refused("builtins:max")


# Shares


@st.composite
def divisions(draw: st.DrawFn) -> tuple[int, np.ndarray, np.ndarray]:
    n = draw(st.integers(1, 6))
    weights = draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    most = draw(st.lists(st.integers(0, 30), min_size=n, max_size=n))
    return draw(st.integers(0, 60)), np.array(weights), np.array(most)


@settings(max_examples=100, deadline=None)
@given(divisions())
def test_shares_spend_all_that_caps_allow_and_nothing_on_no_weight(case) -> None:
    total, weights, most = case
    granted = shares(total, weights, most)
    assert (granted >= 0).all()
    assert (granted <= most).all()
    assert (granted[weights == 0] == 0).all()
    assert granted.sum() == min(total, most[weights > 0].sum())


@settings(max_examples=100, deadline=None)
@given(divisions(), st.randoms())
def test_a_heavier_weight_never_gets_less_where_caps_are_equal(case, random) -> None:
    total, weights, _ = case
    granted = shares(total, weights, np.full(len(weights), total))
    for i in range(len(weights)):
        for j in range(len(weights)):
            assert weights[i] <= weights[j] or granted[i] >= granted[j]


@pytest.mark.parametrize(
    ("total", "weights", "most", "granted"),
    [
        (10, [3, 3, 4], [99, 99, 99], [3, 3, 4]),
        (10, [1, 1], [3, 99], [3, 7]),
        (10, [1, 1], [3, 4], [3, 4]),
        (2, [1, 1, 1], [9, 9, 9], [1, 1, 0]),
        (5, [0, 1], [9, 9], [0, 5]),
        (5, [0, 0], [9, 9], [0, 0]),
        (0, [1, 2], [9, 9], [0, 0]),
        (3, [10**6, 1], [3, 3], [3, 0]),
    ],
)
def test_shares_by_hand(total: int, weights: list, most: list, granted: list) -> None:
    assert shares(total, np.array(weights), np.array(most)).tolist() == granted


def exact_shares(total: int, weights: np.ndarray, most: np.ndarray) -> np.ndarray:
    """In proportion to the weights up to the caps, in real numbers: one level for all, bisected."""
    low, high = 0.0, float(total) + 1
    for _ in range(200):
        level = (low + high) / 2
        low, high = (
            (level, high) if np.minimum(level * weights, most).sum() < total else (low, level)
        )
    return np.minimum(high * weights, most)


@settings(max_examples=300, deadline=None, phases=[Phase.generate])
@given(divisions())
def test_no_share_is_a_whole_example_from_its_exact_one(case) -> None:
    total, weights, most = case
    granted = shares(total, weights, most)
    assert (np.abs(granted - exact_shares(total, weights, most)) < 1 + 1e-6).all()
