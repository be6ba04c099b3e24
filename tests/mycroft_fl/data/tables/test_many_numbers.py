"""Many texts read at once mean what each means by itself."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mycroft_fl.data.tables.cells import TextColumn
from mycroft_fl.data.tables.values import PLAIN, Spelling, number_of, numbers_of

NUMBERLIKE = st.one_of(
    st.text("0123456789+-.eE", max_size=6),
    st.text("0123456789+-.eE,_ infnaN", max_size=6),
    st.floats().map(repr),
    st.integers().map(str),
)


@given(
    st.lists(NUMBERLIKE, max_size=8), st.sampled_from([PLAIN, Spelling(","), Spelling(".", ",")])
)
def test_numbers_together_are_those_alone(texts, spelling):
    np.testing.assert_array_equal(
        numbers_of(texts, spelling), [number_of(text, spelling) for text in texts]
    )


@given(
    st.lists(st.sampled_from([None, "a", "b", "c", "d"]), min_size=1),
    st.randoms(use_true_random=False),
)
def test_what_is_used_of_a_column_is_what_its_texts_say(texts, random):
    column = TextColumn.of(texts)
    rows = np.array([random.randrange(len(texts)) for _ in range(5)])
    some = column[rows]
    wanted = TextColumn.of(some.texts)
    assert some.used().names == wanted.names
    np.testing.assert_array_equal(some.used().codes, wanted.codes)
