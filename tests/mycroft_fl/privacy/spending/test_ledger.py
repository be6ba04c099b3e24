"""The disclosure ledger: nothing leaves uncharged, nothing twice, nothing is forgotten."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mycroft_fl.errors import Refused
from mycroft_fl.privacy.noise.accounting import Spend
from mycroft_fl.privacy.spending.budget import Budget, Limits
from mycroft_fl.privacy.spending.ledger import Key, PrivacyLedger

BIGGEST, SMALLEST = 2**63 - 1, -(2**63)


def key(digest: str, peer: str = "lab") -> Key:
    return Key("scans", peer, digest)


def most(records: int | None) -> Limits:
    return Limits(Budget(records=records))


def ids(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> PrivacyLedger:
    return PrivacyLedger(path)


def test_a_new_ledger_knows_nothing(ledger: PrivacyLedger) -> None:
    assert ledger.disclosed().tolist() == []
    assert ledger.disclosed().dtype == np.int64
    assert ledger.recall_ids(key("any")) is None


def test_what_was_charged_is_recalled_in_its_order(ledger: PrivacyLedger) -> None:
    answer = ids(7, BIGGEST, -3, 0, SMALLEST)
    assert np.array_equal(ledger.disclose(key("a"), answer, most(None)), answer)
    recalled = ledger.recall_ids(key("a"))
    assert recalled is not None
    assert recalled.tolist() == answer.tolist()
    assert recalled.dtype == np.int64
    assert sorted(ledger.disclosed().tolist()) == sorted(answer.tolist())


def test_a_charge_is_on_disk_before_it_returns(ledger: PrivacyLedger, path: Path) -> None:
    may_leave = ledger.disclose(key("a"), ids(1, 2), most(None))
    with closing(sqlite3.connect(path)) as other:
        output = other.execute("SELECT example FROM disclosure ORDER BY position").fetchall()
    assert [row[0] for row in output] == may_leave.tolist()


def test_asked_again_the_first_answer_returns_and_nothing_is_charged(
    ledger: PrivacyLedger,
) -> None:
    ledger.disclose(key("a"), ids(1, 2), most(2))
    assert ledger.disclose(key("a"), ids(3, 4), most(2)).tolist() == [1, 2]
    assert sorted(ledger.disclosed().tolist()) == [1, 2]


def test_an_empty_answer_is_remembered_too(ledger: PrivacyLedger) -> None:
    ledger.disclose(key("a"), ids(), most(1))
    recalled = ledger.recall_ids(key("a"))
    assert recalled is not None
    assert recalled.tolist() == []
    assert ledger.disclose(key("a"), ids(5), most(None)).tolist() == []


def test_an_answer_that_finds_nothing_costs_a_record_of_the_budget(ledger: PrivacyLedger) -> None:
    for digest in "abc":
        ledger.disclose(key(digest), ids(), most(3))
    with pytest.raises(Refused, match="1 more records would pass the limit of 3"):
        ledger.disclose(key("d"), ids(), most(3))
    assert [row.records for row in ledger.rows()] == [1, 1, 1]
    assert ledger.handed_over("lab") == len(ledger.disclosed()) == 0
    assert ledger.problems() == []


def test_answers_of_any_kind_are_counted(ledger: PrivacyLedger) -> None:
    limits = Limits(Budget.of(epsilon=1.0, requests=2))
    ledger.disclose(key("a"), ids(1, 2), limits)
    ledger.charge(key("b"), "score", Spend(rho=1e-6), limits)
    for refused in (
        lambda: ledger.disclose(key("c"), ids(), limits),
        lambda: ledger.charge(key("c"), "score", Spend(rho=1e-6), limits),
        lambda: ledger.require(key("c"), Spend(rho=1e-6), limits),
    ):
        with pytest.raises(Refused, match="all 2 requests that are answered over all trainers"):
            refused()
    ledger.require(key("b"), Spend(rho=1e-6), limits)  # charged before: nothing more is needed


def test_what_is_left_is_the_least_of_both_budgets(ledger: PrivacyLedger) -> None:
    limits = Limits(Budget(records=5), Budget(records=3))
    assert ledger.records_left("lab", limits) == 3
    ledger.disclose(key("a"), ids(1, 2), limits)
    assert ledger.records_left("lab", limits) == 1
    assert ledger.records_left("another", limits) == 3
    assert ledger.records_left("lab", Limits(Budget())) is None
    ledger.disclose(key("b"), ids(3), limits)
    with pytest.raises(Refused, match="all 3 records that may leave for this trainer have left"):
        ledger.records_left("lab", limits)
    ledger.disclose(Key("data", "another", "c"), ids(4, 5), limits)
    with pytest.raises(Refused, match="all 5 records that may leave over all trainers have left"):
        ledger.records_left("another", limits)


@pytest.mark.parametrize("again", [ids(3, 1), ids(1), ids(9, 9)])
def test_no_example_is_charged_twice_and_a_refusal_charges_nothing(
    ledger: PrivacyLedger, again: np.ndarray
) -> None:
    ledger.disclose(key("a"), ids(1, 2), most(None))
    with pytest.raises(Refused, match="an example of this answer was handed over before"):
        ledger.disclose(key("b"), again, most(None))
    assert sorted(ledger.disclosed().tolist()) == [1, 2]
    assert ledger.recall_ids(key("b")) is None


def test_the_limit_holds_over_all_requests_and_can_be_spent_to_the_last(
    ledger: PrivacyLedger,
) -> None:
    ledger.disclose(key("a"), ids(1, 2), most(4))
    with pytest.raises(Refused, match="3 more records would pass the limit of 4 over all trainers"):
        ledger.disclose(key("b"), ids(3, 4, 5), most(4))
    assert ledger.recall_ids(key("b")) is None
    ledger.disclose(key("c"), ids(3, 4), most(4))
    with pytest.raises(Refused, match="1 more records would pass the limit of 4 over all trainers"):
        ledger.disclose(key("d"), ids(6), most(4))


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sets(st.integers(0, 9), max_size=4)), max_size=8)
)
def test_a_ledger_behaves_as_a_dict_of_answers_would(tmp_path_factory, asked) -> None:
    ledger = PrivacyLedger(tmp_path_factory.mktemp("ledger") / "ledger.sqlite")
    answers: dict[str, list[int]] = {}
    for digest, wanted in asked:
        spent = set().union(*answers.values())
        charged = sum(len(each) or 1 for each in answers.values())
        allowed = not wanted & spent and (len(wanted) or 1) + charged <= 6
        if digest in answers:
            assert ledger.disclose(key(digest), ids(*wanted), most(6)).tolist() == answers[digest]
        elif allowed:
            answers[digest] = ledger.disclose(key(digest), ids(*wanted), most(6)).tolist()
            assert set(answers[digest]) == wanted
        else:
            with pytest.raises(Refused):
                ledger.disclose(key(digest), ids(*wanted), most(6))
    assert sorted(ledger.disclosed().tolist()) == sorted(chain.from_iterable(answers.values()))


def test_it_survives_reopening(ledger: PrivacyLedger, path: Path) -> None:
    ledger.disclose(key("a"), ids(2, 1), most(None))
    again = PrivacyLedger(path)
    recalled = again.recall_ids(key("a"))
    assert recalled is not None
    assert recalled.tolist() == [2, 1]
    with pytest.raises(Refused):
        again.disclose(key("b"), ids(1), most(None))
    with pytest.raises(Refused):
        again.disclose(key("b"), ids(3), most(2))


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("DELETE FROM disclosure", "cannot be taken back"),
        ("DELETE FROM disclosure WHERE example = 1", "cannot be taken back"),
        ("UPDATE disclosure SET example = 3 WHERE example = 1", "cannot be changed"),
        ("UPDATE disclosure SET spend = 2", "cannot be changed"),
        ("INSERT OR REPLACE INTO disclosure VALUES (1, 5, 1)", "cannot be changed"),
        ("DELETE FROM spend", "cannot be taken back"),
        ("UPDATE spend SET records = 0", "cannot be changed"),
        ("INSERT OR REPLACE INTO spend SELECT * FROM spend", "cannot be changed"),
        ("DELETE FROM answer", "cannot be taken back"),
        ("UPDATE answer SET content = x'00'", "cannot be changed"),
        ("INSERT OR REPLACE INTO answer VALUES (9, 1, x'00', '', '')", "cannot be changed"),
        ("INSERT OR REPLACE INTO answer VALUES (1, 1, x'00', '', '')", "cannot be changed"),
    ],
)
def test_no_statement_takes_a_disclosure_back(
    ledger: PrivacyLedger, path: Path, statement: str, reason: str
) -> None:
    ledger.disclose(key("a"), ids(1, 2), most(None))
    # By any program that opens the file, not only by this one.
    with (
        closing(sqlite3.connect(path)) as connection,
        pytest.raises(sqlite3.IntegrityError, match=reason),
    ):
        connection.execute(statement)
    assert sorted(PrivacyLedger(path).disclosed().tolist()) == [1, 2]


@pytest.mark.unchecked
def test_what_fails_in_the_middle_charges_nothing(ledger: PrivacyLedger) -> None:
    class Broken:
        """Fails at its third example."""

        def __len__(self) -> int:
            return 3

        def __iter__(self):
            yield from (1, 2)
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        ledger.disclose(key("a"), Broken(), most(None))  # type: ignore[arg-type]
    assert ledger.recall_ids(key("a")) is None
    assert ledger.disclosed().tolist() == []


# Several processes at once

RACE = """
import json, sys
import numpy as np
from pathlib import Path
from mycroft_fl.errors import Refused
from mycroft_fl.privacy.spending.budget import Budget, Limits
from mycroft_fl.privacy.spending.ledger import Key, PrivacyLedger

path, racer = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
ledger = PrivacyLedger(path)
limits = Limits(Budget(records=40))
rng = np.random.default_rng(racer)
shared = ledger.disclose(Key("d", "p", "shared"), np.arange(3) + 1000 * (racer + 1), limits).tolist()
mine = []
for attempt in range(12):
    fresh = np.setdiff1d(np.arange(60), ledger.disclosed())
    wanted = rng.choice(fresh, size=min(3, len(fresh)), replace=False)
    try:
        mine += ledger.disclose(Key("d", "p", f"{racer}-{attempt}"), wanted, limits).tolist()
    except Refused:
        pass
print(json.dumps([shared, mine]))
"""


def test_racing_processes_never_disclose_twice_nor_beyond_the_limit(path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(path), str(racer)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for racer in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    output = [json.loads(racer.communicate(timeout=60)[0]) for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 4
    # One request asked by all at once has one answer, charged once.
    assert len({tuple(shared) for shared, _ in output}) == 1
    left = [*chain.from_iterable(mine for _, mine in output), *output[0][0]]
    assert len(left) == len(set(left)) <= 40
    assert sorted(left) == sorted(PrivacyLedger(path).disclosed().tolist())
    assert len(left) > 35
