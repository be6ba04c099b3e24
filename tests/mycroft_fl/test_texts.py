"""Texts as rows of bytes: nothing of them is lost, and a cut leaves whole characters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycroft_fl.examples import Examples
from mycroft_fl.texts import (
    STEP,
    are_well_formed,
    as_bytes,
    as_texts,
    fitted_width,
    is_text,
    joined_widths,
    whole_characters,
)

TEXTS = st.lists(
    st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1),
    min_size=1,
    max_size=5,
)


@given(TEXTS)
def test_texts_come_back_as_they_were(texts):
    x, cut = as_bytes(texts)
    assert as_texts(x) == texts
    assert cut == 0
    assert is_text(x)
    assert x.shape[1] % STEP == 0
    assert are_well_formed(x).all()


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1), st.integers(0, 40))
def test_a_cut_leaves_the_longest_beginning_of_whole_characters(text, at):
    encoded = text.encode()
    cut = whole_characters(encoded[:at])
    longest = max((text[:n] for n in range(len(text) + 1) if len(text[:n].encode()) <= at), key=len)
    assert cut == longest.encode()


@given(TEXTS, st.integers(1, 60))
def test_another_width_gives_the_same_as_to_encode_for_it(texts, width):
    wide, _ = as_bytes(texts, 4000)
    narrow, cut = fitted_width(wide, width)
    direct, cut_at_once = as_bytes(texts, width)
    np.testing.assert_array_equal(narrow, direct)
    assert cut == cut_at_once == sum(len(text.encode()) > width for text in texts)


@given(TEXTS)
def test_the_identity_of_a_text_does_not_hang_on_the_width_of_its_row(texts):
    narrow, wide = as_bytes(texts)[0], as_bytes(texts, 900)[0]
    y = np.zeros(len(texts), np.int64)
    assert Examples(narrow, y).ids.tolist() == Examples(wide, y).ids.tolist()


def test_texts_of_several_widths_are_brought_to_one():
    short, long = as_bytes(["a"])[0], as_bytes(["b" * 100])[0]
    both = np.concatenate(joined_widths([short, long]))
    assert as_texts(both) == ["a", "b" * 100]


def test_what_no_text_may_hold_becomes_a_question_mark():
    assert as_texts(as_bytes(["a\0b", "c\ud800"])[0]) == ["a?b", "c?"]


@pytest.mark.parametrize("row", [b"", b"a\0b", b"\xff", b"\0a"])
def test_a_row_that_is_no_text_is_found(row):
    x = np.zeros((1, 8), np.uint8)
    x[0, : len(row)] = np.frombuffer(row, np.uint8)
    assert not are_well_formed(x).any()
