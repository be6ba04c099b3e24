"""The vault: never an example twice, never one unrecorded, never more than the policy says."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.answering.policy import Policy
from clients.answering.private_records import PrivateRecords
from clients.answering.selecting import Selector
from clients.answering.vault import Vault, request_digest
from mycroft_fl.errors import BadMessage, MycroftError, Refused, SettingError
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import flat_weights
from mycroft_fl.privacy.spending.ledger import PrivacyLedger
from mycroft_fl.protocol.detector import Detector
from mycroft_fl.protocol.messages import NoisedTarget, Request
from mycroft_fl.selection.methods import METHODS, Method, Query, Selection

CLASSES = 3
SHAPE = (5,)
WEIGHTS = flat_weights(build("mlp", SHAPE, CLASSES, seed=0))


def drawn(n: int, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    return Examples(rng.normal(size=(n, *SHAPE)).astype(np.float32), rng.integers(0, CLASSES, n))


def request(**changed: Any) -> Request:
    plain: dict[str, Any] = {
        "server_round": 1,
        "method": "features",
        "k": 4,
        "hard": drawn(6, seed=99),
        "num_classes": CLASSES,
        "model": "mlp",
        "weights": None,
        "feature_space": "pixels",
        "owner_epochs": 1,
        "seed": 0,
    }
    return Request(**(plain | changed))


def through(method: str) -> np.ndarray | None:
    """The weights that a request for `method` brings."""
    return None if METHODS[method].looks_through == "nothing" else WEIGHTS


DETECTOR = Detector(
    None, False, np.zeros(2, np.float32), np.ones(2, np.float32), np.zeros(0, np.int64),
    np.zeros((2, 5), np.float32), np.zeros(2, np.float32), 0.5,
)  # fmt: skip


def vault_of(examples: Examples, folder: Path, policy: Policy | None = None) -> Vault:
    return Vault("owner", PrivateRecords(examples), policy or Policy(), folder)


# What leaves


@pytest.mark.parametrize("method", [name for name in METHODS if "hard-set" in METHODS[name].takes])
def test_over_many_requests_no_example_leaves_twice_and_each_is_in_the_ledger(
    method: str, tmp_path: Path
) -> None:
    examples = drawn(30)
    left: list[int] = []
    for server_round in range(1, 12):
        # A new vault each time: a deployed client lives for one message.
        vault = vault_of(examples, tmp_path)
        asked = request(server_round=server_round, method=method, weights=through(method))
        answer = vault.answer(asked).disclosed
        assert len(answer) <= 4
        left += answer.ids.tolist()
    assert len(left) == len(set(left)) > 4
    assert set(left) <= set(examples.ids.tolist())
    assert sorted(left) == sorted(PrivacyLedger(tmp_path / "ledger.sqlite").disclosed().tolist())


@settings(max_examples=10, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(METHODS)), st.integers(1, 9), st.integers(0, 2)),
        max_size=6,
    )
)
def test_whatever_is_asked_in_whatever_order_nothing_leaves_twice(tmp_path_factory, asked) -> None:
    folder = tmp_path_factory.mktemp("vault")
    vault = vault_of(drawn(25), folder, Policy(max_records=15))
    first_answers: dict[str, list[int]] = {}
    for method, k, seed in asked:
        each = request(method=method, k=k, seed=seed, weights=through(method))
        digest = request_digest(each)
        try:
            output = vault.answer(each).disclosed.ids.tolist()
        except Refused:
            continue
        assert len(output) <= k
        assert output == first_answers.setdefault(digest, output)
    left = list(chain.from_iterable(first_answers.values()))
    assert len(left) == len(set(left)) <= 15


def test_labels_leave_with_their_examples(tmp_path: Path) -> None:
    examples = drawn(30)
    answer = vault_of(examples, tmp_path).answer(request()).disclosed
    by_id = dict(zip(examples.ids.tolist(), examples.y.tolist(), strict=True))
    assert [by_id[each] for each in answer.ids.tolist()] == answer.y.tolist()


def test_the_same_request_has_the_same_answer_from_any_process_and_costs_nothing(
    tmp_path: Path,
) -> None:
    examples = drawn(30)
    policy = Policy(max_records=4)
    first = vault_of(examples, tmp_path, policy).answer(request()).disclosed
    again = vault_of(examples, tmp_path, policy).answer(request()).disclosed
    assert first.ids.tolist() == again.ids.tolist()
    assert len(first) == 4


def test_copies_of_one_example_are_one_example(tmp_path: Path) -> None:
    one = drawn(3)
    examples = Examples.concatenate([one, Examples(one.x, (one.y + 1) % CLASSES), one])
    asked = request(method="random", k=9)
    answer = vault_of(examples, tmp_path).answer(asked).disclosed
    assert sorted(answer.ids.tolist()) == sorted(one.ids.tolist())


def test_an_owner_with_nothing_left_answers_with_nothing(tmp_path: Path) -> None:
    vault = vault_of(drawn(3), tmp_path)
    assert len(vault.answer(request(method="random")).disclosed) == 3
    empty = vault.answer(request(method="random", server_round=2)).disclosed
    assert empty.x.shape == (0, *SHAPE)
    assert len(vault_of(drawn(0), tmp_path / "none").answer(request()).disclosed) == 0


def test_full_hands_over_everything_but_never_more_than_asked_for(tmp_path: Path) -> None:
    vault = vault_of(drawn(20), tmp_path, Policy(max_per_request=10_000_000))
    assert len(vault.answer(request(method="full", k=3)).disclosed) == 3
    rest = vault.answer(request(method="full", k=10_000_000)).disclosed
    assert len(rest) == 17


def test_data_changed_since_an_answer_is_never_handed_over_in_its_place(tmp_path: Path) -> None:
    examples = drawn(20)
    first = vault_of(examples, tmp_path).answer(request()).disclosed
    gone = first.ids[[1, 3]]
    kept = examples[~np.isin(examples.ids, gone)]
    again = vault_of(kept, tmp_path).answer(request()).disclosed
    assert again.ids.tolist() == first.ids[[0, 2]].tolist()
    others = vault_of(drawn(20, seed=5), tmp_path).answer(request()).disclosed
    assert len(others) == 0


def test_nothing_leaves_that_could_not_be_charged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = vault_of(drawn(20), tmp_path)

    def full_disk(*_: Any, **__: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(PrivacyLedger, "disclose", full_disk)
    with pytest.raises(OSError, match="no space left"):
        vault.answer(request())


def test_what_the_ledger_returns_leaves_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = drawn(20)
    # Another process was faster with the same request: its answer is the one on record.
    faster = vault_of(examples, tmp_path)
    choose = Selector.choose

    def overtaken(chooser: Selector, asked: Request, *given: Any) -> np.ndarray:
        monkeypatch.setattr(Selector, "choose", lambda chooser, *given: examples.ids[[19, 2]])
        faster.answer(asked)
        return choose(chooser, asked, *given)

    monkeypatch.setattr(Selector, "choose", overtaken)
    answer = vault_of(examples, tmp_path).answer(request()).disclosed
    assert answer.ids.tolist() == examples.ids[[19, 2]].tolist()


# The choice


def test_the_choice_hangs_on_seed_round_and_owner(tmp_path: Path) -> None:
    def picked(folder: str, name: str = "owner", **changed: Any) -> set[int]:
        vault = Vault(name, PrivateRecords(drawn(200)), Policy(), tmp_path / folder)
        asked = request(method="random", k=20, **changed)
        return set(vault.answer(asked).disclosed.ids.tolist())

    assert picked("a") == picked("b")
    others = [
        picked("c", seed=1),
        picked("d", server_round=2),
        picked("e", name="other"),
    ]
    assert all(other != picked("f") for other in others)


def test_omp_works_through_the_owners_own_model_where_no_weights_travel(tmp_path: Path) -> None:
    examples = drawn(60)
    answers = [
        vault_of(examples, tmp_path / folder).answer(request(method="omp", k=6)).disclosed
        for folder in ("a", "b")
    ]
    assert answers[0].ids.tolist() == answers[1].ids.tolist()
    assert 1 <= len(answers[0]) <= 6
    assert set(answers[0].y.tolist()) <= set(drawn(6, seed=99).y.tolist())
    longer = vault_of(examples, tmp_path / "c").answer(request(method="omp", k=6, owner_epochs=40))
    assert longer.disclosed.ids.tolist() != answers[0].ids.tolist()


def test_features_in_the_models_space_use_whichever_model_there_is(tmp_path: Path) -> None:
    for folder, weights in (("a", None), ("b", WEIGHTS)):
        asked = request(feature_space="model", weights=weights)
        assert len(vault_of(drawn(40), tmp_path / folder).answer(asked).disclosed) == 4


def test_the_trainers_weights_are_the_ones_looked_through(tmp_path: Path) -> None:
    # All weights zero: everything is called class 0, so only class 0 counts as known.
    asked = request(method="hard-features", k=40, weights=np.zeros_like(WEIGHTS))
    answer = vault_of(drawn(40), tmp_path).answer(asked).disclosed
    assert len(answer) > 0
    assert 0 not in answer.y


def looking(seen: list) -> Callable:
    """A method that keeps the query it is given, and picks the first candidates."""

    def select(candidates: Examples, query: Query, k: int) -> Selection:
        seen.append((candidates, query))
        return Selection.unweighted(np.arange(min(k, len(candidates))))

    return select


def test_a_method_sees_what_was_disclosed_before_and_what_the_request_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list = []
    monkeypatch.setitem(METHODS, "features", Method(looking(seen), looks_through="nothing"))
    one = drawn(30)
    examples = Examples.concatenate([one, one[:9]])  # copies are not disclosed twice over
    vault = Vault("owner", PrivateRecords(examples), Policy(), tmp_path, device="auto")
    asked = request(gradient_layers="all", feature_weight=3.0)
    first = vault.answer(asked).disclosed
    vault.answer(replace(asked, server_round=2))
    (_, begun), (candidates, later) = seen
    assert begun.disclosed is None
    assert later.disclosed.ids.tolist() == first.ids.tolist()
    assert not set(candidates.ids.tolist()) & set(first.ids.tolist())
    assert len(candidates) == 26
    assert (later.gradient_layers, later.feature_weight, later.device) == ("all", 3.0, "auto")


@pytest.mark.parametrize(
    "method", ["coverage", "features", "gradient-neighbours", "knn-shapley", "transport"]
)
def test_two_rounds_bring_what_one_would_have_brought(method: str, tmp_path: Path) -> None:
    examples, weights = drawn(60), through(method)
    at_once = vault_of(examples, tmp_path / "once").answer(
        request(method=method, k=12, weights=weights)
    )
    apart: list[int] = []
    for server_round, k in ((1, 5), (2, 7)):
        asked = request(method=method, k=k, weights=weights, server_round=server_round)
        apart += vault_of(examples, tmp_path / "twice").answer(asked).disclosed.ids.tolist()
    assert sorted(apart) == sorted(at_once.disclosed.ids.tolist())


def test_gradients_of_all_layers_are_another_look(tmp_path: Path) -> None:
    # Fresh weights make the first layer's gradients next to nothing.
    weights = np.random.default_rng(0).normal(size=WEIGHTS.shape).astype(np.float32)
    output = [
        vault_of(drawn(80), tmp_path / layers).answer(
            request(method="gradient-neighbours", k=20, weights=weights, gradient_layers=layers)
        )
        for layers in ("last", "all")
    ]
    assert output[0].disclosed.ids.tolist() != output[1].disclosed.ids.tolist()


# What is refused


def said(error: type[MycroftError], vault: Vault, **changed: Any) -> str:
    with pytest.raises(error) as caught:
        vault.answer(request(**changed))
    assert len(vault._ledger.disclosed()) == 0
    return str(caught.value)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return vault_of(drawn(40), tmp_path)


@pytest.mark.unchecked
def test_a_request_that_does_not_fit_the_data_is_a_bad_message(vault: Vault) -> None:
    other = "the hard set is of another shape or type than this owner's examples"
    y = np.zeros(2, np.int64)
    for x in (np.zeros((2, 6), np.float32), np.zeros((2, 5), np.uint8), np.zeros((2, 1, 5, 1))):
        assert said(BadMessage, vault, hard=Examples(x, y)) == other
    assert said(BadMessage, vault, method="omp", model="resnet") == "unknown architecture 'resnet'"
    assert "this model has" in said(BadMessage, vault, method="omp", weights=WEIGHTS[:-1])
    assert said(BadMessage, vault, method="hard-features") == (
        "method 'hard-features' needs the trainer's weights"
    )


def test_a_network_that_cannot_take_the_data_is_an_error_and_no_answer(vault: Vault) -> None:
    assert "needs images" in said(SettingError, vault, method="omp", model="cnn")


def test_a_policy_is_asked_first(tmp_path: Path) -> None:
    vault = vault_of(drawn(40), tmp_path, Policy(modes=()))
    assert said(Refused, vault, k=4, model="resnet") == "mode 'raw' is not allowed; allowed: []"


def test_the_limit_counts_all_that_ever_left(tmp_path: Path) -> None:
    policy = Policy(max_records=6)
    vault_of(drawn(40), tmp_path, policy).answer(request())
    vault = vault_of(drawn(40), tmp_path, policy)
    assert len(vault.answer(request(server_round=2)).disclosed) == 2
    with pytest.raises(Refused, match="all 6 records that may leave over all trainers have"):
        vault.answer(request(server_round=3, k=2))


# Methods that are somebody's code


@pytest.fixture
def write_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable]:
    """Puts a module with a method `pick` where it can be imported."""
    folder = tmp_path / "code"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    names = []

    def write(name: str, body: str) -> str:
        text = (
            "import numpy as np\nfrom mycroft_fl.selection.methods import Selection\n"
            f"def pick(candidates, query, k):\n    return {body}\n"
        )
        (folder / f"{name}.py").write_text(text)
        names.append(name)
        return f"{name}:pick"

    yield write
    for name in names:
        sys.modules.pop(name, None)


def test_a_method_that_the_owner_trusts_is_used(write_method: Callable, tmp_path: Path) -> None:
    path = write_method("trusted_method", "Selection.unweighted(np.array([5, 3]))")
    examples = drawn(40)
    vault = vault_of(examples, tmp_path, Policy(own_methods=(path,)))
    answer = vault.answer(request(method=path, weights=WEIGHTS)).disclosed
    assert answer.ids.tolist() == examples.ids[[5, 3]].tolist()


def test_a_method_that_the_owner_does_not_trust_is_refused_and_never_imported(
    write_method: Callable, vault: Vault
) -> None:
    path = write_method("untrusted_method", "1 / 0")
    assert said(Refused, vault, method=path) == (
        f"method '{path}' is not one that this owner trusts"
    )
    assert "untrusted_method" not in sys.modules


@pytest.mark.parametrize(
    "picks",
    [
        "[0, 1, 2, 3, 4]",
        "[1, 1]",
        "[-1]",
        "[40]",
        "[2**62]",
        "[[0, 1]]",
        "[0.5, 1.5]",
        "[True, False]",
        "[float('nan')]",
        "['0']",
        "[None]",
        "3",
    ],
)
@pytest.mark.unchecked
def test_junk_from_a_trusted_method_hands_over_nothing(
    picks: str, write_method: Callable, tmp_path: Path
) -> None:
    path = write_method("junk_method", f"Selection(np.asarray({picks}), np.ones(1))")
    vault = vault_of(drawn(40), tmp_path, Policy(own_methods=(path,)))
    message = said(BadMessage, vault, method=path, weights=WEIGHTS)
    assert message == "the method returned picks that are not up to 4 distinct indices below 40"


@pytest.mark.parametrize("picks", ["np.array([], dtype=int)", "[]", "()"])
@pytest.mark.unchecked
def test_a_trusted_method_may_pick_nothing(
    picks: str, write_method: Callable, tmp_path: Path
) -> None:
    path = write_method("empty_method", f"Selection({picks}, [])")
    vault = vault_of(drawn(40), tmp_path, Policy(own_methods=(path,)))
    assert len(vault.answer(request(method=path, weights=WEIGHTS)).disclosed) == 0


# The request's digest and the owner's log


def test_equal_requests_have_one_digest_and_every_field_counts() -> None:
    plain = request(weights=WEIGHTS)
    copied = request(weights=WEIGHTS.copy(), hard=Examples(plain.hard.x.copy(), plain.hard.y))
    assert request_digest(plain) == request_digest(copied)
    changes: dict[str, Any] = {
        "server_round": 2,
        "method": "omp",
        "k": 5,
        "hard": drawn(6, seed=98),
        "num_classes": 4,
        "model": "cnn",
        "weights": WEIGHTS + 1,
        "feature_space": "model",
        "owner_epochs": 2,
        "seed": 1,
        "mode": "score",
        "head": np.zeros(3, np.float32),
        "whitening": np.zeros((1, 3), np.float32),
        "gradient_layers": "all",
        "feature_weight": 2.0,
        "rate": 0.5,
        "target": NoisedTarget(np.ones(3, np.float32), 1.0, 1.0, 6),
        "detector": DETECTOR,
        "score_by": "class",
    }
    assert set(changes) == set(vars(plain))
    digests = {request_digest(replace(plain, **{key: value})) for key, value in changes.items()}
    digests.add(request_digest(replace(plain, weights=None)))
    assert len(digests | {request_digest(plain)}) == len(changes) + 2


def test_bytes_that_move_from_one_array_to_the_next_make_another_request() -> None:
    # One hard example and the rest as weights, or two hard examples and no weights.
    two = Examples(np.arange(4, dtype=np.float32).reshape(2, 2), np.arange(2))
    content = two.x.tobytes() + two.y.tobytes()
    x, y, rest = content[:8], content[8:16], content[16:]
    one = Examples(np.frombuffer(x, np.float32).reshape(1, 2), np.frombuffer(y, np.int64))
    shifted = request(hard=one, weights=np.frombuffer(rest, np.float32))
    assert request_digest(shifted) != request_digest(
        request(hard=two, weights=np.empty(0, np.float32))
    )


def test_the_owners_log_is_in_its_folder_and_goes_nowhere_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        vault = vault_of(drawn(40), tmp_path)
        vault.answer(request())
        vault.answer(request())
    assert caplog.records == []
    lines = (tmp_path / "owner.log").read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("INFO round 1: disclosed 4 examples")
