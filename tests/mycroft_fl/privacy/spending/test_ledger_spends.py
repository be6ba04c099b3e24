"""What the ledger says of noised releases: charged first, never refunded, never overspent."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from mycroft_fl.errors import InputError, Refused
from mycroft_fl.privacy.noise.accounting import SgdRun, Spend
from mycroft_fl.privacy.spending.budget import Budget, Limits
from mycroft_fl.privacy.spending.ledger import Key, PrivacyLedger

GENEROUS = Limits(Budget.of(epsilon=3.0, delta=1e-5, epsilon_minus=1.0))


def key(digest: str, peer: str = "lab") -> Key:
    return Key("scans", peer, digest)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> PrivacyLedger:
    return PrivacyLedger(path)


def spent(ledger: PrivacyLedger) -> float:
    return sum(row.rho for row in ledger.rows())


def test_a_charge_is_on_disk_before_any_noise_is_drawn(ledger: PrivacyLedger, path: Path) -> None:
    ledger.charge(key("a"), "score", Spend(rho=0.01), GENEROUS)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT rho FROM spend").fetchall() == [(0.01,)]
        assert other.execute("SELECT * FROM answer").fetchall() == []
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_it_waits_for_the_disk_at_every_commit(ledger: PrivacyLedger) -> None:
    with ledger._writing() as connection:
        full = 2
        assert connection.execute("PRAGMA synchronous").fetchone() == (full,)


def test_asked_again_the_same_bytes_return_and_nothing_is_charged(ledger: PrivacyLedger) -> None:
    for content in (b"first", b"second"):
        ledger.charge(key("a"), "score", Spend(rho=0.01), GENEROUS)
        assert ledger.store(key("a"), content) == b"first"
    assert ledger.recall(key("a")) == b"first"
    assert spent(ledger) == 0.01


def test_an_answer_to_what_was_never_charged_is_not_kept(ledger: PrivacyLedger) -> None:
    with pytest.raises(Refused, match="was never charged"):
        ledger.store(key("a"), b"answer")
    with pytest.raises(Refused, match="was never charged"):
        ledger.draw(key("a"), lambda disclosed: np.array([1]))


def test_after_a_crash_between_charge_and_answer_it_is_drawn_again_for_nothing(
    ledger: PrivacyLedger, path: Path
) -> None:
    ledger.charge(key("a"), "score", Spend(rho=0.01), GENEROUS)
    again = PrivacyLedger(path)
    assert again.recall(key("a")) is None
    again.charge(key("a"), "score", Spend(rho=0.01), GENEROUS)
    assert again.store(key("a"), b"drawn later") == b"drawn later"
    assert spent(again) == 0.01


def test_one_request_of_two_trainers_is_two_requests(ledger: PrivacyLedger) -> None:
    for peer in ("lab", "clinic"):
        ledger.charge(key("a", peer), "score", Spend(rho=0.01), GENEROUS)
    assert spent(ledger) == 0.02


def test_trainers_share_one_budget_and_none_passes_its_own(ledger: PrivacyLedger) -> None:
    limits = Limits(Budget.of(epsilon=1.0, delta=1e-5), Budget.of(epsilon=0.5, delta=1e-5))
    assert limits.peer is not None
    assert limits.peer.privacy is not None
    assert limits.overall.privacy is not None
    once = Spend(rho=limits.peer.privacy.rho)
    for peer in ("a", "b"):
        ledger.charge(key("1", peer), "score", once, limits)
        with pytest.raises(Refused, match=r"over the 0\.5 for this trainer"):
            ledger.charge(key("2", peer), "score", once, limits)
    ledger.charge(key("1", "c"), "score", once, limits)
    with pytest.raises(Refused, match=r"over the 1 over all trainers \(spent: .*delta: 1e-05\)"):
        ledger.charge(key("1", "d"), "score", once, limits)
    assert spent(ledger) <= limits.overall.privacy.rho


def test_all_kinds_of_releases_add_up(ledger: PrivacyLedger) -> None:
    limits = Limits(Budget.of(records=10, epsilon=2.0, delta=1e-5, epsilon_minus=0.3))
    run = SgdRun(sample_rate=0.01, noise_multiplier=1.5, steps=50)
    ledger.charge(key("a"), "score", Spend(rho=0.05), limits)
    ledger.charge(key("b"), "dp-sgd", Spend(sgd=run), limits)
    ledger.charge(key("c"), "raw-gumbel", Spend(records=6, epsilon_minus=0.2), limits)
    assert limits.overall.privacy is not None
    total = limits.overall.privacy.spent([row.spend for row in ledger.rows()])
    left = (limits.overall.privacy.limit - total) / limits.overall.privacy.order
    with pytest.raises(Refused, match="over the 2 over all trainers"):
        ledger.charge(key("d"), "score", Spend(rho=left * 1.01), limits)
    ledger.charge(key("d"), "score", Spend(rho=left * 0.99), limits)
    with pytest.raises(Refused, match=r"0.2 more would pass the epsilon-minus of 0.3"):
        ledger.charge(key("e"), "raw-gumbel", Spend(records=1, epsilon_minus=0.2), limits)
    with pytest.raises(Refused, match="5 more records would pass the limit of 10"):
        ledger.charge(key("e"), "raw-gumbel", Spend(records=5, epsilon_minus=0.01), limits)


def test_without_an_epsilon_nothing_noised_may_leave(ledger: PrivacyLedger) -> None:
    for spend in (Spend(rho=1e-9), Spend(sgd=SgdRun(0.01, 10.0, 1))):
        with pytest.raises(Refused, match="there is no epsilon over all trainers"):
            ledger.charge(key("a"), "score", spend, Limits(Budget()))
    with pytest.raises(Refused, match="epsilon-minus of 0"):
        ledger.charge(key("a"), "raw-gumbel", Spend(epsilon_minus=1e-9), Limits(Budget()))


def test_examples_are_drawn_once_and_none_that_was_handed_over(ledger: PrivacyLedger) -> None:
    ledger.disclose(key("raw"), np.array([1, 2]), GENEROUS)
    ledger.charge(key("a"), "raw-gumbel", Spend(records=2, epsilon_minus=0.1), GENEROUS)
    seen: list[list[int]] = []

    def choose(disclosed: np.ndarray) -> np.ndarray:
        seen.append(sorted(disclosed.tolist()))
        return np.array([5, 3])

    assert ledger.draw(key("a"), choose).tolist() == [5, 3]
    assert ledger.draw(key("a"), choose).tolist() == [5, 3]
    assert seen == [[1, 2]]
    assert ledger.problems() == []
    ledger.charge(key("b"), "raw-gumbel", Spend(records=1, epsilon_minus=0.1), GENEROUS)
    with pytest.raises(Refused, match="2 records were drawn, 1 are paid for"):
        ledger.draw(key("b"), choose)
    ledger.charge(key("c"), "raw-gumbel", Spend(records=2, epsilon_minus=0.1), GENEROUS)
    with pytest.raises(Refused, match="was handed over before"):
        ledger.draw(key("c"), choose)


# What somebody does to the file


def tampered(path: Path, *statements: str) -> None:
    """The file changed by somebody who knows SQLite: triggers dropped first."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in found.fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)


def filled(path: Path) -> PrivacyLedger:
    ledger = PrivacyLedger(path)
    for number in range(3):
        ledger.charge(key(str(number)), "score", Spend(rho=0.01), GENEROUS)
        ledger.store(key(str(number)), b"answer")
    ledger.disclose(key("raw"), np.array([4, 5]), GENEROUS)
    return ledger


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE spend SET rho = 0.001 WHERE seq = 2", "entry 2 was changed after it was made"),
        ("UPDATE spend SET peer = 'clinic' WHERE seq = 1", "entry 1 was changed"),
        ("DELETE FROM spend WHERE seq = 2", "entry 3 does not follow the one before it"),
        ("UPDATE answer SET content = x'00' WHERE spend = 1", "the answer to entry 1 was changed"),
        ("DELETE FROM answer WHERE spend = 2", "an answer before that to entry 3 is missing"),
        ("DELETE FROM disclosure WHERE example = 5", "the examples of entry 4 are not those"),
        ("UPDATE disclosure SET example = 9 WHERE example = 5", "the examples of entry 4"),
    ],
)
def test_a_tampered_row_is_detected(path: Path, statement: str, said: str) -> None:
    ledger = filled(path)
    assert ledger.problems() == []
    tampered(path, statement)
    assert any(said in problem for problem in ledger.problems())


def test_the_last_row_cannot_be_cut_off_unseen(path: Path) -> None:
    filled(path)
    tampered(path, "DELETE FROM spend WHERE seq = 4")
    with pytest.raises(InputError, match="is not the ledger that reached entry 4"):
        PrivacyLedger(path)


def test_an_older_copy_is_refused_even_while_running(path: Path, tmp_path: Path) -> None:
    ledger = PrivacyLedger(path, head=tmp_path / "elsewhere.head")
    ledger.charge(key("a"), "score", Spend(rho=0.01), GENEROUS)
    older = tmp_path / "older.sqlite"
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(older)) as target:
        source.backup(target)
    ledger.charge(key("b"), "score", Spend(rho=0.01), GENEROUS)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    shutil.copy(older, path)
    with pytest.raises(InputError, match="older copy was put in its place"):
        ledger.charge(key("c"), "score", Spend(rho=0.01), GENEROUS)
    with pytest.raises(InputError, match="older copy was put in its place"):
        PrivacyLedger(path, head=tmp_path / "elsewhere.head")


def test_an_older_copy_that_lacks_an_answer_alone_is_refused(path: Path, tmp_path: Path) -> None:
    # Charged in both, answered in one: the older copy would draw other noise for nothing.
    ledger = PrivacyLedger(path)
    ledger.charge(key("a"), "score", Spend(rho=0.01), GENEROUS)
    older = tmp_path / "older.sqlite"
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(older)) as target:
        source.backup(target)
    ledger.store(key("a"), b"answer")
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    shutil.copy(older, path)
    with pytest.raises(InputError, match="is not the ledger that reached answer 1"):
        ledger.store(key("a"), b"another")
    with pytest.raises(InputError, match="is not the ledger that reached answer 1"):
        PrivacyLedger(path)


def test_a_ledger_without_its_head_is_refused(path: Path) -> None:
    ledger = filled(path)
    path.with_suffix(".head").unlink()
    for opened in (lambda: PrivacyLedger(path), lambda: ledger.recall(key("0"))):
        with pytest.raises(InputError, match="is not there; name the right file"):
            opened()


def test_a_ledger_whose_spends_were_lowered_sells_nothing_more(path: Path) -> None:
    filled(path)
    tampered(path, "UPDATE spend SET rho = 0 WHERE seq < 4")
    with pytest.raises(InputError, match="does not add up: entry 1 was changed after it was made"):
        PrivacyLedger(path)
    assert PrivacyLedger(path, examined=False).problems()


def test_what_was_charged_under_an_earlier_policy_is_not_answered_with_less_noise(
    ledger: PrivacyLedger,
) -> None:
    ledger.charge(key("a"), "score", Spend(rho=0.01), GENEROUS)
    with pytest.raises(Refused, match="charged at another price"):
        ledger.charge(key("a"), "score", Spend(rho=0.1), GENEROUS)
    ledger.store(key("a"), b"answer")
    ledger.charge(key("a"), "score", Spend(rho=0.1), GENEROUS)  # answered: the same bytes return
    assert spent(ledger) == 0.01


def test_an_answer_leaves_only_once_the_head_knows_it(
    ledger: PrivacyLedger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.with_suffix(".head").read_text()
    with monkeypatch.context() as dying:
        dying.setattr(ledger._head, "advance", lambda *_: None)  # killed after its commit
        ledger.disclose(key("a"), np.array([1, 2]), GENEROUS)
    assert path.with_suffix(".head").read_text() == before
    assert PrivacyLedger(path).recall_ids(key("a")) is not None
    assert path.with_suffix(".head").read_text() != before


def test_a_ledger_that_vanished_is_not_begun_anew(path: Path) -> None:
    filled(path)
    path.unlink()
    for _ in range(2):  # nor by the first attempt
        with pytest.raises(
            InputError, match=r"is not there, but .* says that it has reached entry 4"
        ):
            PrivacyLedger(path)
        assert not path.exists()


def test_a_file_that_is_no_ledger_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE request (digest TEXT)")
    with pytest.raises(InputError, match="is not a ledger of this version"):
        PrivacyLedger(path)
    path.write_bytes(b"no database at all, but longer than the header of one" * 40)
    with pytest.raises(InputError, match="cannot be read as a ledger"):
        PrivacyLedger(path)


def test_a_head_that_is_none_is_refused(path: Path) -> None:
    filled(path)
    path.with_suffix(".head").write_text("nonsense")
    with pytest.raises(InputError, match="is no ledger's head"):
        PrivacyLedger(path)


def test_the_limits_noted_last_are_the_ones_shown(ledger: PrivacyLedger) -> None:
    assert ledger.limits() is None
    for content in ("{}", "{}", '{"a": 1}'):
        ledger.note_limits(content)
    assert ledger.limits() == '{"a": 1}'


# Processes that race and die

RACER = """
import sys
from pathlib import Path
from mycroft_fl.errors import Refused
from mycroft_fl.privacy.noise.accounting import Spend
from mycroft_fl.privacy.spending.budget import Budget, Limits
from mycroft_fl.privacy.spending.ledger import Key, PrivacyLedger

path, racer, first, step, rho, epsilon = Path(sys.argv[1]), *sys.argv[2:]
ledger = PrivacyLedger(path)
limits = Limits(Budget.of(epsilon=float(epsilon), delta=1e-5))
number = int(first)
while True:
    # Every third request is one that all of them ask.
    name = f"all-{number}" if number % 3 == 0 else f"{racer}-{number}"
    key = Key("d", "p", name)
    try:
        ledger.charge(key, "score", Spend(rho=float(rho)), limits)
    except Refused:
        print("refused", flush=True)
        break
    content = ledger.store(key, f"{racer} {number}".encode())
    print(name, content.decode(), sep="|", flush=True)
    number += int(step)
"""


def race(path: Path, charges: int) -> tuple[PrivacyLedger, dict[str, set[str]], int]:
    """Four processes charge until the budget for `charges` is gone, killed now and then."""
    epsilon = 1.0
    privacy = Budget.of(epsilon=epsilon, delta=1e-5).privacy
    assert privacy is not None
    rho = privacy.rho / charges * (1 - 1e-6)
    rng, printed, deaths = random.Random(0), dict[str, set[str]](), 0

    def started(racer: int, first: int) -> subprocess.Popen:
        arguments = [str(path), str(racer), str(first), "1", repr(rho), str(epsilon)]
        # A file for each process: one that is killed may leave half a line, which the next one's
        # first line would complete to a name that nobody was ever told.
        with (path.parent / f"racer-{racer}-{first}.txt").open("x") as output:
            return subprocess.Popen([sys.executable, "-c", RACER, *arguments], stdout=output)

    racers = [started(racer, 0) for racer in range(4)]
    deadline = time.monotonic() + 60 + charges / 5
    while any(racer.poll() is None for racer in racers) and time.monotonic() < deadline:
        time.sleep(rng.uniform(0.3, 1.0))
        victim = rng.randrange(4)
        if racers[victim].poll() is None and deaths < max(6, charges // 100):
            racers[victim].send_signal(signal.SIGKILL)
            racers[victim].wait()
            deaths += 1
            racers[victim] = started(victim, 100_000 * deaths)
    assert [racer.poll() for racer in racers] == [0] * 4
    for output in path.parent.glob("racer-*.txt"):
        for line in output.read_text().splitlines(keepends=True):
            if line.endswith("\n") and "|" in line:
                name, content = line.removesuffix("\n").split("|")
                printed.setdefault(name, set()).add(content)
    return PrivacyLedger(path), printed, deaths


def assert_nothing_was_overspent(path: Path, charges: int) -> None:
    ledger, output, deaths = race(path, charges)
    rows = ledger.rows()
    assert len(rows) == charges  # to the last, and not one more
    assert deaths >= 3
    assert ledger.problems() == []
    # Whatever was told is on record, and every process was told the same.
    digests = {row.digest: row for row in rows}
    assert set(output) <= set(digests)
    assert all(len(contents) == 1 for contents in output.values())
    for name, contents in output.items():
        assert ledger.recall(Key("d", "p", name)) == next(iter(contents)).encode()


def test_racing_and_dying_processes_never_overspend(path: Path) -> None:
    assert_nothing_was_overspent(path, 1000)


@pytest.mark.slow
def test_racing_and_dying_processes_never_overspend_ten_thousand_charges(path: Path) -> None:
    assert_nothing_was_overspent(path, 10_000)


def test_limits_are_written_and_read_back() -> None:
    budget = Budget.of(records=3, epsilon=0.5, delta=1e-6, epsilon_minus=0.2)
    assert Budget.from_json(json.loads(json.dumps(budget.as_json()))) == budget
    assert Budget.from_json(json.loads(json.dumps(Budget().as_json()))) == Budget()
