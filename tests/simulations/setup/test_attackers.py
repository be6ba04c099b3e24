"""Every behaviour does what its name says, and the trainer's checks see it."""

from __future__ import annotations

import logging
import time

import numpy as np
import pytest

from clients.answering.policy import Policy
from clients.answering.private_records import PrivateRecords
from clients.answering.vault import Vault
from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples
from mycroft_fl.protocol.messages import Expected, OwnerReport, Request
from mycroft_fl.protocol.wire import pack_report, unpack_report
from simulations.population.scenario_file import BEHAVIOURS
from simulations.setup.attackers import Misbehaving

K = 4
EXPECTED = Expected((1, 4, 4), np.dtype(np.uint8), 3, K, largest=255.0)
TIMEOUT = 0.2


def some(count: int, seed: int) -> Examples:
    rng = np.random.default_rng(seed)
    return Examples(
        rng.integers(0, 256, (count, 1, 4, 4), dtype=np.uint8),
        rng.integers(0, 3, count, dtype=np.int64),
    )


REQUEST = Request(
    server_round=1, method="random", k=K, hard=some(6, 1), num_classes=3, model="mlp",
    weights=None, feature_space="pixels", owner_epochs=1, seed=0,
)  # fmt: skip


@pytest.fixture
def vault(tmp_path) -> Vault:
    return Vault("a", PrivateRecords(some(30, 2)), Policy(), tmp_path)


def spoilt(vault: Vault, behaviour: str) -> OwnerReport:
    return Misbehaving(vault, behaviour, TIMEOUT, num_classes=3).answer(REQUEST)


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        ("wrong-shape", r"of shape \(1, 4, 3\), asked for \(1, 4, 4\)"),
        ("wrong-dtype", "must be uint8 or finite float32, not float64"),
        ("nan", "must be uint8 or finite float32, not float32"),
        ("bad-label", r"a label outside 0\.\.2"),
        ("too-many", "8 examples, more than the 4 asked for"),
    ],
)
def test_a_spoilt_answer_is_refused_for_what_was_spoilt(vault, behaviour, why):
    with pytest.raises(BadMessage, match=why):
        unpack_report(pack_report(spoilt(vault, behaviour)), EXPECTED)


def test_copies_of_the_hard_set_are_well_formed(vault):
    report = unpack_report(pack_report(spoilt(vault, "copies-hard-set")), EXPECTED)
    assert report.disclosed.ids.tolist() == REQUEST.hard.ids[:K].tolist()


def test_an_owner_that_raises_does_so_before_it_discloses_anything(vault):
    with pytest.raises(RuntimeError, match="fails whenever it is asked"):
        spoilt(vault, "raise")
    assert len(vault._ledger.disclosed()) == 0


def test_a_silent_owner_answers_honestly_but_after_the_timeout(vault):
    since = time.monotonic()
    report = spoilt(vault, "silent")
    assert TIMEOUT < time.monotonic() - since < 20 * TIMEOUT
    answer = unpack_report(pack_report(report), EXPECTED).disclosed
    assert sorted(answer.ids) == sorted(vault._ledger.disclosed())


def test_no_behaviour_is_left_untested():
    tested = {"wrong-shape", "wrong-dtype", "nan", "bad-label", "too-many"}
    assert set(BEHAVIOURS) == tested | {"copies-hard-set", "raise", "silent"}


def test_what_is_spoilt_was_disclosed_all_the_same_and_stands_in_the_ledger(vault):
    spoilt(vault, "nan")
    assert len(vault._ledger.disclosed()) == K


def test_the_owners_log_is_the_honest_vaults(vault):
    log = Misbehaving(vault, "raise", TIMEOUT, num_classes=3).log
    assert log is vault.log
    assert isinstance(log, logging.Logger)
