"""Labelled examples: an identity is content, the same in every process."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mycroft_fl.errors import DataError
from mycroft_fl.examples import Examples

images = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=4, max_dims=4, max_side=4), elements=st.integers(0, 3)
)


def labelled(x: np.ndarray) -> Examples:
    return Examples(x, np.zeros(len(x), np.int64))


@given(images)
def test_two_examples_share_an_id_exactly_where_they_share_their_content(x: np.ndarray) -> None:
    ids = labelled(x).ids
    for i in range(len(x)):
        for j in range(len(x)):
            assert (ids[i] == ids[j]) == np.array_equal(x[i], x[j])


def test_the_label_is_no_part_of_an_identity() -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    first, second = Examples(x, np.array([0, 1, 2])), Examples(x, np.array([2, 2, 2]))
    assert np.array_equal(first.ids, second.ids)


def test_ids_are_the_digests_that_another_program_finds() -> None:
    x = np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32)
    # printf '\x00\x00\x80\x3f\x00\x00\x00\x40' | b2sum -l 64, and the same of the second row.
    assert labelled(x).ids.tobytes().hex() == "0a108fd7267a5566" + "498d22f77d2733b1"


@given(images)
def test_ids_do_not_hang_on_the_layout_in_memory(x: np.ndarray) -> None:
    plain = labelled(x).ids
    assert np.array_equal(labelled(np.asfortranarray(x)).ids, plain)
    assert np.array_equal(labelled(x[::-1]).ids, plain[::-1])


def test_no_example_has_no_id() -> None:
    ids = labelled(np.empty((0, 3), np.float32)).ids
    assert ids.shape == (0,)
    assert ids.dtype == np.int64


def test_an_index_a_mask_and_a_slice_keep_labels_with_their_examples() -> None:
    examples = Examples(np.arange(5, dtype=np.float32)[:, None], np.arange(5) * 10)
    for index in (np.array([3, 1]), np.array([False, True, False, True, False]), slice(1, 4, 2)):
        picked = examples[index]
        assert np.array_equal(picked.x[:, 0] * 10, picked.y)
        assert len(picked) == 2


def test_concatenate_keeps_order() -> None:
    parts = [
        Examples(np.full((n, 2), n, np.float32), np.full(n, n, np.int64)) for n in (2, 0, 3, 1)
    ]
    whole = Examples.concatenate(parts)
    assert whole.y.tolist() == [2, 2, 3, 3, 3, 1]
    assert whole.x[:, 0].tolist() == [2, 2, 3, 3, 3, 1]


@pytest.mark.unchecked
def test_a_label_missing_is_said() -> None:
    with pytest.raises(DataError, match="3 examples but 2 labels; give one label per example"):
        Examples(np.zeros((3, 2), np.float32), np.zeros(2, np.int64))


@given(images, st.data())
def test_ids_that_are_carried_along_are_those_of_the_content(x: np.ndarray, data) -> None:
    whole = labelled(x)
    assert len(whole.ids) == len(x)
    index = data.draw(st.lists(st.integers(0, len(x) - 1)).map(lambda some: np.array(some, int)))
    part = whole[index]
    both = Examples.concatenate([whole, part])
    for each in (part, both, whole[: len(x) // 2], whole[whole.y == 0]):
        assert np.array_equal(each.ids, labelled(each.x).ids)
