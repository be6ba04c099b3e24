"""Nearest candidates, against scikit-learn and a plain reading of the definition."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.match import nearest as module
from mycroft_fl.match.nearest import nearest, nearest_each


def gaussian(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def by_definition(
    candidates: Tensor,
    hard: Tensor,
    k: int,
    per: str,
    classes: tuple[list[int], list[int]] | None = None,
) -> list[int]:
    """All distances one by one in float64, sorted, then the definition word for word."""
    ranked = []
    for h, target in enumerate(hard.double()):
        mine = [
            (float(np.float32((row - target).norm())), c)
            for c, row in enumerate(candidates.double())
            if classes is None or classes[0][c] == classes[1][h]
        ]
        ranked.append(sorted(mine))
    if per == "set":
        order = [c for _, c in sorted(itertools.chain(*ranked))]
    else:
        deepest = max(map(len, ranked))
        layers = [[row[depth] for row in ranked if depth < len(row)] for depth in range(deepest)]
        order = [c for layer in layers for _, c in sorted(layer)]
    return list(dict.fromkeys(order))[:k]


@pytest.mark.parametrize("k", [1, 7, 300])
def test_each_ones_nearest_agree_with_scikit_learn(k: int) -> None:
    candidates, hard = gaussian(300, 20), gaussian(9, 20, seed=1)
    exact = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(candidates.double().numpy())
    distances, indices = exact.kneighbors(hard.double().numpy())
    found = nearest_each(candidates, hard, k)
    assert torch.equal(found.candidate.reshape(9, k), torch.from_numpy(indices))
    np.testing.assert_allclose(found.distance.reshape(9, k), distances, rtol=1e-6)
    assert torch.equal(found.hard, torch.arange(9).repeat_interleave(k))
    assert torch.equal(found.depth, torch.arange(k).repeat(9))


@pytest.mark.parametrize("per", ["example", "set"])
@pytest.mark.parametrize("labelled", [False, True])
@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_agrees_with_the_definition_ties_included(
    per: str, labelled: bool, data: st.DataObject
) -> None:
    n, m, k = (data.draw(st.integers(low, 12)) for low in (0, 1, 1))
    # Small integers: many duplicates and many equal distances.
    draw = st.lists(st.integers(-2, 2), min_size=2 * (n + m), max_size=2 * (n + m))
    points = torch.tensor(data.draw(draw), dtype=torch.float32).reshape(-1, 2)
    of_class = data.draw(st.lists(st.integers(0, 2), min_size=n + m, max_size=n + m))
    classes = (of_class[:n], of_class[n:])
    labels = {
        "candidate_labels": torch.tensor(classes[0], dtype=torch.int64),
        "hard_labels": torch.tensor(classes[1]),
    }
    chosen = nearest(points[:n], points[n:], k, per=per, **(labels if labelled else {}))  # type: ignore[arg-type]
    expected = by_definition(points[:n], points[n:], k, per, classes if labelled else None)
    assert chosen.tolist() == expected


@pytest.mark.parametrize("per", ["example", "set"])
def test_blocks_change_nothing(per: str, monkeypatch: pytest.MonkeyPatch) -> None:
    candidates, hard = gaussian(200, 6).round(decimals=0), gaussian(23, 6, seed=1)
    whole = nearest(candidates, hard, 60, per=per)  # type: ignore[arg-type]
    monkeypatch.setattr(module, "_BLOCK_NUMBERS", 40)
    monkeypatch.setattr(module, "_HARD_ROWS", 5)
    assert torch.equal(nearest(candidates, hard, 60, per=per), whole)  # type: ignore[arg-type]
    assert whole.tolist() == by_definition(candidates, hard, 60, per)


def test_fills_up_by_the_next_nearest_where_hard_examples_share_their_neighbours() -> None:
    candidates = torch.arange(30.0)[:, None]
    hard = torch.full((10, 1), 4.1)
    assert nearest(candidates, hard, 25).tolist() == by_definition(candidates, hard, 25, "example")


def test_every_hard_example_is_served_before_any_is_served_twice() -> None:
    candidates = torch.tensor([[0.0], [0.1], [0.2], [100.0], [130.0]])
    hard = torch.tensor([[0.0], [110.0]])
    assert nearest(candidates, hard, 4).tolist() == [0, 3, 1, 4]
    assert nearest(candidates, hard, 4, per="set").tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("offset", [1e4, 1e6])
def test_a_common_offset_does_not_blur_distances(offset: float) -> None:
    candidates, hard = gaussian(150, 8) + offset, gaussian(4, 8, seed=1) + offset
    assert nearest(candidates, hard, 40).tolist() == by_definition(candidates, hard, 40, "example")


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e30])
def test_scale_changes_nothing_even_where_squares_leave_float32(scale: float) -> None:
    candidates, hard = gaussian(80, 5), gaussian(6, 5, seed=1)
    # Scaled in float64 back and forth: the very same float32 numbers on both sides.
    scaled, scaled_hard = (candidates * scale, hard * scale)
    expected = nearest(scaled.double(), scaled_hard.double(), 30)
    assert torch.equal(nearest(scaled, scaled_hard, 30), expected)
    assert set(expected.tolist()) == set(nearest(candidates, hard, 30).tolist())


def test_duplicates_come_lowest_index_first_on_any_number_of_threads() -> None:
    candidates, hard = gaussian(7, 33).repeat(300, 1), gaussian(5, 33, seed=1)
    threads, chosen = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            chosen.append(nearest(candidates, hard, 20, per="set"))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(chosen[0], chosen[1])
    assert torch.equal(chosen[0], chosen[2])
    first = int(chosen[0][0])
    assert chosen[0].tolist() == [first + 7 * copy for copy in range(20)]
    assert first < 7


def test_a_class_that_no_candidate_has_brings_nothing() -> None:
    candidates, hard = gaussian(6, 3), gaussian(2, 3, seed=1)
    labels, absent = torch.tensor([0, 0, 1, 1, 1, 2]), torch.tensor([2, 5])
    chosen = nearest(candidates, hard, 4, candidate_labels=labels, hard_labels=absent)
    assert chosen.tolist() == [5]
    none = nearest(candidates, hard, 4, candidate_labels=labels, hard_labels=absent + 9)
    assert none.tolist() == []
    assert none.dtype == torch.int64


def test_no_candidates_is_an_answer_of_none() -> None:
    assert nearest(torch.empty(0, 3), gaussian(2, 3), 4).tolist() == []


def test_vectors_at_norm_one_are_near_by_cosine() -> None:
    candidates, hard = gaussian(50, 4), gaussian(1, 4, seed=1)
    cosine = torch.nn.functional.cosine_similarity(candidates.double(), hard.double())
    chosen = nearest(*map(torch.nn.functional.normalize, (candidates, hard)), 10)
    assert chosen.tolist() == cosine.argsort(descending=True)[:10].tolist()


NAN, INFINITE = gaussian(4, 3), gaussian(2, 3)
NAN[2, 1], INFINITE[1, 0] = torch.nan, -torch.inf


@pytest.mark.parametrize(
    ("error", "message", "candidates", "hard", "options"),
    [
        (SettingError, "k is 0; ask for 1", gaussian(4, 3), gaussian(2, 3), {"k": 0}),
        (
            SettingError,
            "per is 'each'; choose from",
            gaussian(4, 3),
            gaussian(2, 3),
            {"per": "each"},
        ),
        (DataError, r"shape \(4, 3\), hard examples \(2, 4\)", gaussian(4, 3), gaussian(2, 4), {}),
        (DataError, "one vector a row", gaussian(4, 3)[0], gaussian(2, 3), {}),
        (DataError, "no hard example to be near to", gaussian(4, 3), gaussian(0, 3), {}),
        (DataError, "row 2 of the candidates holds NaN", NAN, gaussian(2, 3), {}),
        (DataError, "row 1 of the hard examples holds NaN", gaussian(4, 3), INFINITE, {}),
        (
            DataError,
            "labels on one side only",
            gaussian(4, 3),
            gaussian(2, 3),
            {"hard_labels": torch.zeros(2, dtype=torch.int64)},
        ),
        (
            DataError,
            "labels on one side only",
            gaussian(4, 3),
            gaussian(2, 3),
            {"candidate_labels": torch.zeros(4, dtype=torch.int64)},
        ),
        (
            DataError,
            "4 candidates with 3 labels, 2 hard examples with 2",
            gaussian(4, 3),
            gaussian(2, 3),
            {
                "candidate_labels": torch.zeros(3, dtype=torch.int64),
                "hard_labels": torch.zeros(2, dtype=torch.int64),
            },
        ),
    ],
)
@pytest.mark.unchecked
def test_bad_input_is_one_clear_line(
    error: type[Exception], message: str, candidates: Tensor, hard: Tensor, options: dict
) -> None:
    with pytest.raises(error, match=message) as raised:
        nearest(candidates, hard, **{"k": 2, **options})
    assert "\n" not in str(raised.value)
