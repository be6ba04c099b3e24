"""An owner's records are read, whatever method reads them, and never written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clients.answering.policy import Policy
from clients.answering.private_records import PrivateRecords
from clients.answering.vault import Vault
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import build
from mycroft_fl.protocol.messages import Request
from mycroft_fl.selection.methods import METHODS, Method, Query, Selection, method_named

SHAPE, CLASSES = (1, 8, 8), 3


def drawn(n: int, seed: int, dtype: type = np.uint8) -> Examples:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (n, *SHAPE)).astype(np.uint8)
    if dtype is np.float32:
        x = rng.normal(size=(n, 64)).astype(np.float32)
    return Examples(x, rng.integers(0, CLASSES, n))


def asked(method: str, hard: Examples, **changed: Any) -> Request:
    given = {"server_round": 1, "seed": 0} | changed
    return Request(
        k=6, hard=hard, num_classes=CLASSES, model="mlp", weights=None, method=method, **given
    )


@pytest.fixture
def warned_every_time() -> Iterator[None]:
    """Otherwise torch warns of an array that nobody may write once a process, in whichever test."""
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(False)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("method", [name for name in METHODS if "hard-set" in METHODS[name].takes])
def test_every_method_reads_what_it_may_not_write_without_a_warning(
    method: str, dtype: type, warned_every_time: None
) -> None:
    held, hard = drawn(40, 1, dtype), drawn(6, 2, dtype)
    network = build("mlp", held.x.shape[1:], CLASSES, seed=0)
    query = Query(hard=hard, model=network, disclosed=held[30:].read_only(), seed=0)
    found = method_named(method).select(held[:30].read_only(), query, 6)
    assert len(found.indices) == len(set(found.indices.tolist())) > 0


def scribbling(candidates: Examples, query: Query, k: int) -> Selection:
    candidates.x[:] = 0
    return Selection.unweighted(np.arange(k))


def relabelling(candidates: Examples, query: Query, k: int) -> Selection:
    candidates.y[:] = 0
    return Selection.unweighted(np.arange(k))


@pytest.mark.parametrize("method", ["scribbling", "relabelling"])
@pytest.mark.parametrize("twice", [False, True])
def test_a_method_that_writes_fails_and_the_records_stay_as_they_are(
    method: str, twice: bool, tmp_path: Path
) -> None:
    held = drawn(20, 3)
    if twice:  # then what may leave is a part of the records
        held = held[np.r_[0:20, 0]]
    before = held.x.copy(), held.y.copy()
    vault = Vault("a", PrivateRecords(held), Policy(), tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, method, Method(globals()[method], "nothing"))
        with pytest.raises(ValueError, match="read-only"):
            vault.answer(asked(method, drawn(4, 4)))
    np.testing.assert_array_equal(held.x, before[0])
    np.testing.assert_array_equal(held.y, before[1])
    left = vault.answer(asked("features", drawn(4, 4), server_round=2)).disclosed
    assert left is not None
    assert set(left.ids.tolist()) <= set(Examples(*before).ids.tolist())
    np.testing.assert_array_equal(Examples(left.x, left.y).ids, left.ids)
