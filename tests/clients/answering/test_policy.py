"""What an owner allows, and that a request cannot widen it."""

from __future__ import annotations

import dataclasses
import datetime
import math
import re
from typing import Any

import numpy as np
import pytest

from clients.answering.policy import Policy
from clients.answering.trainer_limits import TrainerLimits
from mycroft_fl.errors import InputError, Refused
from mycroft_fl.examples import Examples
from mycroft_fl.privacy.noise.accounting import Spend
from mycroft_fl.privacy.noise.mechanisms import price
from mycroft_fl.protocol.messages import Request
from mycroft_fl.selection.methods import METHODS


def request(**changed: Any) -> Request:
    plain: dict[str, Any] = {
        "server_round": 1,
        "method": "random",
        "k": 5,
        "hard": Examples(np.zeros((1, 2), np.float32), np.zeros(1, np.int64)),
        "num_classes": 2,
        "model": "mlp",
        "weights": None,
        "feature_space": "pixels",
        "owner_epochs": 1,
        "seed": 0,
    }
    return Request(**(plain | changed))


@pytest.mark.parametrize("method", METHODS)
def test_the_default_allows_every_built_in_method_without_limit(method: str) -> None:
    Policy().check(request(method=method, k=10_000))


def test_a_table_gives_a_policy() -> None:
    table = {"modes": ["raw"], "max-records": 7, "own-methods": ["a.b:c"]}
    assert Policy.from_table(table) == Policy(("raw",), 7, ("a.b:c",))
    assert Policy.from_table({}) == Policy()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"max-record": 3}, "unknown key 'policy.max-record'; did you mean 'policy.max-records'?"),
        (
            {"zzz": 3},
            "unknown key 'policy.zzz'; choose from ['answers', 'approval', 'clip', 'delta', "
            "'describe', 'describe-epsilon', 'encoders', 'epsilon', 'epsilon-minus', 'expires', "
            "'max-epochs', 'max-model', 'max-per-request', 'max-records', 'max-requests', 'models', "
            "'modes', 'noise-multiplier', 'own-methods', 'own-models', 'records-at-least', "
            "'sample-rate', 'sgd-share', 'sgd-steps', 'strength', 'useful-at-least']",
        ),
        (
            {"max_records": 3},
            "unknown key 'policy.max_records'; did you mean 'policy.max-records'?",
        ),
        ({"max-records": True}, "policy.max-records is true; give a whole number such as 100"),
        (
            {"max-records": 2.0},
            "policy.max-records is the number 2.0; give a whole number such as 100",
        ),
        ({"max-records": -1}, "policy.max-records is -1; it must be at least 0"),
        ({"modes": "raw"}, "policy.modes is the text 'raw'; give a list such as ['raw']"),
        (
            {"modes": ["raw", "rare"]},
            "policy.modes is ['raw', 'rare']; choose from "
            "['raw', 'raw-gumbel', 'score', 'gradient', 'dp-sgd']",
        ),
        (
            {"own-methods": "a:b"},
            "policy.own-methods is the text 'a:b'; give a list such as ['a:b']",
        ),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_what_is(table: dict, message: str) -> None:
    with pytest.raises(InputError) as error:
        Policy.from_table(table)
    assert str(error.value) == message


def refused(policy: Policy, **changed: Any) -> str:
    with pytest.raises(Refused) as error:
        policy.check(request(**changed))
    return str(error.value)


def test_a_mode_that_is_not_allowed_is_refused() -> None:
    assert refused(Policy(), mode="score") == "mode 'score' is not allowed; allowed: ['raw']"
    assert refused(Policy(modes=())) == "mode 'raw' is not allowed; allowed: []"


def test_a_method_that_the_owner_does_not_trust_is_refused() -> None:
    policy = Policy(own_methods=("mine:pick",))
    policy.check(request(method="mine:pick"))
    for method in ("mine:other", "os:system", "", "Random", "mine"):
        assert refused(policy, method=method) == (
            f"method '{method}' is not one that this owner trusts"
        )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"k": 6}, "6 examples at once; at most 5"),
        ({"owner_epochs": 4}, "4 epochs of an own model; at most 3"),
    ],
)
def test_what_one_request_may_ask_for_is_the_owners_to_say(changed: dict, message: str) -> None:
    policy = Policy(max_per_request=5, max_epochs=3)
    policy.check(request(k=5, owner_epochs=3))
    assert refused(policy, **changed) == message


def test_a_trainers_limits_are_whole_numbers_from_0() -> None:
    for name, key in (("max_records", "max-records"), ("max_requests", "max-requests")):
        with pytest.raises(InputError, match=f"trainers 'lab': {key} is -1; it must be at least 0"):
            TrainerLimits("lab", **{name: -1})
    for name in ("max_per_request", "max_epochs", "max_model"):
        with pytest.raises(InputError, match=f"policy.{name.replace('_', '-')} is 0; it must be"):
            Policy(**{name: 0})


# Budgets, trainers, pins, dates


@pytest.mark.parametrize("name", ["epsilon", "epsilon_minus"])
def test_a_trainer_with_a_budget_of_nothing_does_not_get_that_of_all(name: str) -> None:
    with pytest.raises(InputError, match=r"trainers 'lab': epsilon.* is 0.0; it must be above 0"):
        TrainerLimits("lab", **{name: 0.0})


def test_every_key_of_an_owners_policy_is_read() -> None:
    table = {
        "modes": ["score", "raw-gumbel", "gradient"],
        "max-records": 200,
        "max-requests": 30,
        "max-per-request": 50,
        "max-epochs": 5,
        "max-model": 1_000_000,
        "epsilon": 1,
        "delta": 1e-6,
        "epsilon-minus": 0.5,
        "clip": 2.0,
        "noise-multiplier": 8.0,
        "answers": 3,
        "strength": 3.5,
        "sample-rate": 0.1,
        "sgd-steps": 50,
        "sgd-share": 0.7,
        "records-at-least": 8000,
        "useful-at-least": 800,
        "models": ["mlp"],
        "expires": "2027-06-30",
        "own-methods": [],
    }
    policy = Policy.from_table(table)
    assert policy.epsilon == 1.0
    assert policy.expires == datetime.date(2027, 6, 30)
    assert Policy.from_table(policy.as_table()) == policy


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"modes": ["score"]}, "policy.epsilon is missing; what is noised is paid from it"),
        ({"epsilon": 0.0}, "policy.epsilon is 0.0; it must be above 0 and finite"),
        ({"epsilon": math.nan}, "policy.epsilon is nan; it must be above 0 and finite"),
        ({"epsilon": 1.0, "delta": 0.0}, "a budget of epsilon 1.0 at delta 0.0"),
        ({"clip": -1.0}, "policy.clip is -1.0; it must be above 0 and finite"),
        ({"noise-multiplier": -8.0}, "policy.noise-multiplier is -8.0"),
        ({"answers": 0}, "policy.answers is 0; it must be at least 1"),
        ({"expires": "soon"}, "policy.expires is 'soon'; give a day, such as 2027-06-30"),
        ({"modes": ["raw-gumbel"], "epsilon-minus": 0.3}, "policy.records-at-least"),
        ({"useful-at-least": 9}, "policy.epsilon is missing"),
        ({"useful-at-least": -1}, "policy.useful-at-least is -1; it must be at least 0"),
        ({"modes": ["raw-gumbel"], "records-at-least": 9000}, "policy.epsilon-minus"),
    ],
)
def test_a_policy_that_promises_nothing_is_refused(table: dict, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        Policy.from_table(table)


def test_after_its_last_day_a_policy_allows_nothing() -> None:
    policy = Policy(expires=datetime.date(2027, 6, 30))
    policy.check(request(), today=datetime.date(2027, 6, 30))
    with pytest.raises(Refused, match="this policy ended on 2027-06-30"):
        policy.check(request(), today=datetime.date(2027, 7, 1))


def test_only_named_trainers_are_answered_and_only_pinned_models_built() -> None:
    policy = Policy(trainers=(TrainerLimits("lab"),), models=("mlp",))
    policy.check(request(), "lab")
    with pytest.raises(Refused, match="trainer 'clinic' is not one that this owner answers"):
        policy.check(request(), "clinic")
    with pytest.raises(Refused, match=r"model 'cnn' is not one of \['mlp'\]"):
        policy.check(request(model="cnn"), "lab")


def test_a_trainers_own_limits_are_beside_those_of_all() -> None:
    lab = TrainerLimits("lab", max_records=10, epsilon=0.5)
    policy = Policy(modes=("score",), epsilon=1.0, max_records=100, trainers=(lab,))
    own = policy.limits("lab").peer
    assert own is not None
    assert own.privacy is not None
    assert (own.records, own.privacy.epsilon) == (10, 0.5)
    assert policy.limits("lab").overall.records == 100
    assert policy.limits("other").peer is None


@pytest.mark.parametrize("answers", [1, 41])
def test_epsilon_divided_among_answers_pays_for_exactly_so_many(answers: int) -> None:
    policy = Policy(modes=("score",), epsilon=1.0, delta=1e-5, answers=answers)
    privacy, once = policy.limits("").overall.privacy, Spend(rho=price(policy.multiplier()))
    assert privacy is not None
    assert privacy.admits([once] * (answers - 1), once)
    assert not privacy.admits([once] * answers, once)


def test_no_field_of_a_request_is_a_field_of_a_policy() -> None:
    asked = {each.name for each in dataclasses.fields(Request)}
    allowed = {each.name for each in dataclasses.fields(Policy)}
    assert asked & allowed == set()
