"""Seeds by purpose, the same in every process."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mycroft_fl.seeds import derived_seed

words = st.text(st.characters(exclude_characters="\x1f", exclude_categories=("Cs",)), max_size=5)
purposes = st.lists(words, max_size=4)


@given(st.integers(0, 2**40), purposes)
def test_a_seed_has_63_bits_and_fits_numpy_torch_and_flower(seed: int, purpose: list[str]) -> None:
    derived = derived_seed(seed, *purpose)
    assert 0 <= derived < 2**63
    assert derived == derived_seed(seed, *purpose)
    np.random.default_rng(derived)


@given(st.integers(0, 9), purposes, st.integers(0, 9), purposes)
def test_seeds_are_equal_only_where_run_and_purpose_are(
    seed: int, purpose: list[str], other_seed: int, other_purpose: list[str]
) -> None:
    equal = (seed, *purpose) == (other_seed, *other_purpose)
    assert (derived_seed(seed, *purpose) == derived_seed(other_seed, *other_purpose)) == equal


def test_words_are_not_run_together() -> None:
    assert derived_seed(0, "ab", "c") != derived_seed(0, "a", "bc")
    assert derived_seed(1, 2) != derived_seed(12)


def test_a_seed_is_the_same_in_another_process() -> None:
    code = "from mycroft_fl.seeds import derived_seed; print(derived_seed(7, 'select', 'a', 3))"
    ran = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    # printf '7\x1fselect\x1fa\x1f3' | b2sum -l 64, less the last bit
    assert int(ran) == derived_seed(7, "select", "a", 3) == 0x2E468A3847C51D88 >> 1
