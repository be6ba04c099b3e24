"""What an owner shows first: the task's form and nothing of the data, and counts that are paid for once."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from clients.answering import described as describing
from clients.answering.policy import Policy
from clients.answering.private_records import PrivateRecords
from clients.answering.trainer_limits import TrainerLimits
from clients.answering.vault import Vault, VaultStorage
from clients.owner.file import load_owner_file
from clients.owner.revoking import rotate
from clients.serving.service import VaultService
from clients.serving.socket_protocol import ANSWERED, FAILED, REFUSED
from mycroft_fl.data.task import Task
from mycroft_fl.errors import InputError, Refused
from mycroft_fl.examples import Examples
from mycroft_fl.privacy.audits.bounds import gaussian_epsilon
from mycroft_fl.privacy.noise.accounting import Filter
from mycroft_fl.privacy.noise.samplers import OS_ENTROPY
from mycroft_fl.privacy.relevance.counts import ClassRows, noised_counts
from mycroft_fl.protocol.envelope import open_request, sign_request
from mycroft_fl.protocol.keys import KeyPair
from mycroft_fl.protocol.messages import Described
from mycroft_fl.protocol.signed import as_bytes, carry, unpack_sealed
from mycroft_fl.protocol.wire import pack_look, unpack_described

Hospital = Any
COUNTS = {"describe": "counts", "describe-epsilon": 0.4}
BARELY = 0.00063475867405372
"""An epsilon that pays, at delta 1e-6, for a release with noise of thousands of millions."""
TASK = Task(("cat", "dog", "owl"), (4,), np.dtype(np.float32), "linear")
HELD = Examples(np.eye(9, 4, dtype=np.float32) + 1, np.array([0, 0, 1, 1, 1, 2, 2, 2, 2]))


def looked(
    service: VaultService, hospital: Hospital, key: KeyPair | None = None
) -> tuple[int, Described | None]:
    """A signed question through the vault's own path, and what it seals for the trainer that asked."""
    key, terms = key or hospital.trainer, hospital.terms()
    envelope = sign_request(as_bytes(pack_look()), terms, key)
    status, sealed = service.answer(open_request(envelope, "hospital", [key.public]))
    if not sealed:
        return status, None
    content, _ = unpack_sealed(carry(sealed, "answered"), terms, key)
    return status, unpack_described(content)


def shown(service: VaultService, hospital: Hospital, key: KeyPair | None = None) -> Described:
    status, found = looked(service, hospital, key)
    assert status == ANSWERED
    assert found is not None
    return found


def counts_of(found: Described) -> np.ndarray:
    assert found.counts is not None
    return found.counts.values


def vault_of(folder: Path, records: PrivateRecords | None = None, **policy: Any) -> Vault:
    plain: dict[str, Any] = {"epsilon": 1.0, "describe": "counts", "describe_epsilon": 0.4}
    return Vault(
        "a", records or PrivateRecords(HELD), Policy(**(plain | policy)), VaultStorage(folder),
        task=TASK,
    )  # fmt: skip


def test_two_owners_of_one_task_send_the_same_bytes_whatever_they_hold(
    make_hospital: Callable[..., Hospital],
) -> None:
    policy = {"describe": "schema"}
    plain = make_hospital(policy=policy)
    other = make_hospital(policy=policy, dataset={"unknown-labels": "drop", "drop": ["patient"]})
    # Other values, a class and columns that nobody else has, and two of three wards.
    rows = [
        f"{900 + n},{7000 + n},{'ew'[n % 2]},q{n},Xenon,{'ill' if n else 'dead'}" for n in range(9)
    ]
    text = "\n".join(["age,pressure,ward,patient,hobby,outcome", *rows]) + "\n"
    text = text.replace(",e,", ",east,").replace(",w,", ",west,")
    (other.base / "patients.csv").write_text(text)
    sent = [shown(VaultService(each.file), each) for each in (plain, other)]
    assert sent[0].description.as_bytes() == sent[1].description.as_bytes()
    assert all(each.counts is None and each.card is None for each in sent)
    assert [name for name, _ in sent[0].description.columns] == ["age", "pressure", "ward"]
    assert (sent[0].description.label, sent[0].description.classes) == ("outcome", ("ill", "well"))
    said = sent[1].description.as_bytes().decode()
    assert not any(each in said for each in ("Xenon", "hobby", "dead", "patient", "q1", "9000"))
    assert plain.ledger_rows() == other.ledger_rows() == []


def test_nothing_is_described_unless_the_owner_says_so(
    make_hospital: Callable[..., Hospital],
) -> None:
    hospital = make_hospital()
    assert looked(VaultService(hospital.file), hospital) == (REFUSED, None)
    assert "nothing is described before it is asked for" in hospital.log
    assert hospital.ledger_rows() == []


def test_a_key_that_is_not_listed_sees_nothing(make_hospital: Callable[..., Hospital]) -> None:
    hospital = make_hospital(policy={"describe": "schema"})
    service = VaultService(hospital.file)
    assert looked(service, hospital, KeyPair.generate()) == (REFUSED, None)
    ended = dataclasses.replace(hospital.file.policy, describe="nothing")
    with pytest.raises(Refused, match="is not one that this owner answers"):
        ended.check_look("somebody")


def test_counts_are_charged_once_and_come_again_as_they_were(
    make_hospital: Callable[..., Hospital],
) -> None:
    hospital = make_hospital(policy=COUNTS)
    first = shown(VaultService(hospital.file), hospital)
    again = [shown(VaultService(hospital.file), hospital) for _ in range(3)]
    assert all((counts_of(each) == counts_of(first)).all() for each in again)
    [row] = hospital.ledger_rows()
    assert (row.mode, row.spend) == ("counts", hospital.file.policy.counts_price())
    assert first.card is not None
    # By person: two records each, and the card says so.
    assert (first.card.mode, first.card.unit, first.card.noise) == (
        "counts",
        "person",
        "os-entropy",
    )
    assert 0 < first.card.epsilon <= 0.4
    assert "answered 'counts'" in hospital.log


def test_another_key_of_the_same_trainer_gets_the_same_counts_and_pays_nothing(
    make_hospital: Callable[..., Hospital],
) -> None:
    hospital = make_hospital(policy=COUNTS)
    before = shown(VaultService(hospital.file), hospital)
    new = KeyPair.generate()
    rotate(hospital.file, "lab", new.public)
    after = shown(VaultService(load_owner_file(hospital.folder / "owner.toml")), hospital, new)
    assert (counts_of(before) == counts_of(after)).all()
    assert len(hospital.ledger_rows()) == 1


def test_the_file_decides_at_once_and_a_question_of_another_kind_is_malformed(
    make_hospital: Callable[..., Hospital],
) -> None:
    hospital = make_hospital(policy={"describe": "schema"})
    service = VaultService(hospital.file)
    shown(service, hospital)
    path = hospital.folder / "owner.toml"
    path.write_text(path.read_text().replace('describe = "schema"', 'describe = "nothing"'))
    assert looked(service, hospital) == (REFUSED, None)
    question = pack_look()
    question["look"]["version"] = 2
    terms = hospital.terms()
    envelope = sign_request(as_bytes(question), terms, hospital.trainer)
    opened = open_request(envelope, "hospital", [hospital.trainer.public])
    assert service.answer(opened) == (FAILED, b"")
    assert "a question of another version" in hospital.log


def test_each_trainer_pays_for_noise_of_its_own(tmp_path: Path) -> None:
    trainers = (TrainerLimits("one"), TrainerLimits("two"), TrainerLimits("poor", epsilon=0.1))
    vault = vault_of(tmp_path, modes=("raw",), trainers=trainers, epsilon=2.0)
    one, two, poor = (vault.describe(each.name) for each in trainers)
    assert not (counts_of(one) == counts_of(two)).any()
    assert poor.counts is None  # its own epsilon does not pay for them
    assert poor.description == one.description
    assert [row.peer for row in vault._ledger.rows()] == ["one", "two"]
    assert "the counts are left out" in (tmp_path / "owner.log").read_text()
    assert (counts_of(vault.describe("one")) == counts_of(one)).all()


def test_counts_are_paid_for_before_a_record_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = vault_of(tmp_path)

    def looked_at(*_: Any) -> None:
        assert len(vault._ledger.rows()) == 1
        raise RuntimeError("the process dies here")

    with monkeypatch.context() as changed:
        changed.setattr(describing, "noised_counts", looked_at)
        with pytest.raises(RuntimeError, match="dies here"):
            vault.describe()
    # What was paid for and never drawn is drawn now, and paid for no second time.
    assert len(counts_of(vault.describe())) == 3
    assert len(vault._ledger.rows()) == 1


def test_a_vault_counts_persons_where_it_hides_persons(tmp_path: Path) -> None:
    quiet: dict[str, Any] = {"modes": ("raw",), "epsilon": 1e8, "describe_epsilon": 1e7}
    one = PrivateRecords(HELD, persons=np.array(["p"] * 9))
    found = vault_of(tmp_path / "one", one, **quiet).describe()
    assert counts_of(found) == pytest.approx(np.array([2, 3, 4]) / np.sqrt(29), abs=0.01)
    assert found.card is not None
    assert found.card.unit == "person"
    each = vault_of(tmp_path / "each", **quiet).describe()
    assert counts_of(each) == pytest.approx([2, 3, 4], abs=0.01)


def test_another_price_or_another_task_is_another_answer(tmp_path: Path) -> None:
    vault = vault_of(tmp_path, epsilon=3.0)
    first = counts_of(vault.describe())
    vault.adopt(Policy(epsilon=3.0, describe="counts", describe_epsilon=0.5))
    second = counts_of(vault.describe())
    assert not (first == second).any()
    renamed = dataclasses.replace(TASK, classes=("cat", "dog", "elk"))
    policy = Policy(epsilon=3.0, describe="counts", describe_epsilon=0.5)
    other = Vault("a", PrivateRecords(HELD), policy, VaultStorage(tmp_path), task=renamed)
    assert not (counts_of(other.describe()) == second).any()
    vault.adopt(Policy(epsilon=3.0, describe="counts", describe_epsilon=0.4))
    assert (counts_of(vault.describe()) == first).all()
    assert len(vault._ledger.rows()) == 3


def test_a_vault_without_a_task_describes_nothing(tmp_path: Path) -> None:
    vault = Vault("a", PrivateRecords(HELD), Policy(describe="schema"), tmp_path)
    with pytest.raises(Refused, match="has no task"):
        vault.describe()


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=30),
    st.integers(0, 4),
)
def test_no_person_moves_the_exact_counts_by_more_than_1(
    rows: list[tuple[int, int]], gone: int
) -> None:
    """Against a sum of our own, in fractions' stead: floats that are exact at these sizes."""
    quiet = 1e-9  # so little noise that the nearest 65536th is the exact sum

    def counts(some: list[tuple[int, int]]) -> np.ndarray:
        labels, persons = (np.array([row[at] for row in some], np.int64) for at in (0, 1))
        return noised_counts(labels, 4, quiet, OS_ENTROPY, persons).values

    whole, rest = counts(rows), counts([row for row in rows if row[1] != gone])
    assert np.linalg.norm(whole - rest) <= 1 + 1e-3
    own = np.bincount([label for label, person in rows if person == gone], minlength=4)
    expected = own / max(1.0, float(np.linalg.norm(own)))
    assert whole - rest == pytest.approx(expected, abs=1e-3)


def test_the_noise_is_a_gaussian_that_keeps_the_epsilon_that_was_set(tmp_path: Path) -> None:
    policy = Policy(epsilon=2.0, describe="counts", describe_epsilon=0.4, delta=1e-6)
    multiplier = policy.counts_multiplier()
    values = noised_counts(np.zeros(7, np.int64), 20_000, multiplier, OS_ENTROPY).values
    noise = values - np.append(7.0, np.zeros(19_999))
    assert stats.kstest(noise, stats.norm(scale=multiplier).cdf).pvalue > 1e-4
    # The exact epsilon of a Gaussian (Balle & Wang 2018), by the spread that was seen: sensitivity 1.
    assert gaussian_epsilon(1 / noise.std(), 1e-6) <= 0.4 * 1.03
    assert gaussian_epsilon(1 / noise.std(), 1e-6) >= 0.4 * 0.8  # nor is it far too much


@given(
    st.sampled_from([0.05, 0.3, 0.9]), st.integers(1, 5), st.integers(0, 2),
    st.sampled_from([("score",), ("score", "dp-sgd"), ("raw",)]),
)  # fmt: skip
def test_counts_and_all_answers_together_stay_within_the_budget(
    epsilon: float, answers: int, trainers: int, modes: tuple[str, ...]
) -> None:
    listed = tuple(TrainerLimits(str(each)) for each in range(trainers))
    made = functools.partial(
        Policy, modes=modes, epsilon=1.0, answers=answers, describe="counts",
        describe_epsilon=epsilon, trainers=listed,
    )  # fmt: skip
    share = 0.2 if "dp-sgd" in modes else 1.0
    needed = max(1, trainers) * Filter.of(epsilon, 1e-6).rho
    if needed > share * Filter.of(1.0, 1e-6).rho * (1 - 1e-4):
        with pytest.raises(InputError, match=r"leaves nothing of policy\.epsilon"):
            made()
        return
    policy = made()
    asked = [policy.counts_price()] * max(1, trainers)
    if "score" in modes:
        asked += [policy.price("score")] * answers
    budget = Filter.of(1.0, policy.delta)
    assert budget.admits(asked[:-1], asked[-1])
    plain = Policy(modes=("score",), epsilon=1.0, answers=answers)
    without = Policy(modes=("score",), epsilon=1.0, answers=answers, describe="schema")
    assert plain.multiplier() == without.multiplier()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"describe": "count"}, "policy.describe is 'count'; did you mean 'counts'?"),
        ({"describe": True}, "policy.describe is true; give a word such as schema"),
        ({"describe": "counts", "epsilon": 1.0}, "needs policy.describe-epsilon, such as 0.1"),
        ({"describe": "counts", "describe-epsilon": 0.1}, "policy.epsilon, such as 1.0"),
        ({**COUNTS, "epsilon": 0.3}, "leaves nothing of policy.epsilon 0.3 to other answers"),
        (
            {**COUNTS, "describe-epsilon": BARELY, "epsilon": 1.0},
            "counts would be all noise; raise it",
        ),
        (
            {**COUNTS, "describe-epsilon": 1e-9, "epsilon": 1.0},
            "policy.describe-epsilon is 1e-09, by which counts would be all noise; raise it",
        ),
        ({"describe-epsilon": 0.0}, "policy.describe-epsilon is 0.0; it must be above 0"),
    ],
)
def test_a_policy_that_cannot_pay_for_what_it_shows_is_refused(table: dict, message: str) -> None:
    with pytest.raises(InputError) as error:
        Policy.from_table({"modes": ["raw"], **table})
    assert message in str(error.value)


def test_rows_are_made_when_they_are_asked_for_and_an_unknown_label_adds_nothing() -> None:
    rows = ClassRows(np.array([2, 0, 5, -1]), 3)
    assert rows.shape == (4, 3)
    assert rows[np.array([0, 2, 3])].tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
