"""What an owner allows, and that a request cannot widen it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clients.policy import Policy
from mycroft_fl.errors import InputError, Refused
from mycroft_fl.examples import Examples
from mycroft_fl.exchange import Request
from mycroft_fl.selection import METHODS


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
    Policy().check(request(method=method, k=10_000_000))


def test_a_table_gives_a_policy() -> None:
    table = {"modes": ["raw"], "max-records": 7, "own-methods": ["a.b:c"]}
    assert Policy.from_table(table) == Policy(("raw",), 7, ("a.b:c",))
    assert Policy.from_table({}) == Policy()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"max-record": 3}, "unknown key 'policy.max-record'; did you mean 'max-records'?"),
        (
            {"zzz": 3},
            "unknown key 'policy.zzz'; choose from ['encoders', 'max-records', 'modes', 'own-methods']",
        ),
        ({"max_records": 3}, "unknown key 'policy.max_records'; did you mean 'max-records'?"),
        ({"max-records": True}, "policy.max-records is True; it must be of type int"),
        ({"max-records": 2.0}, "policy.max-records is 2.0; it must be of type int"),
        ({"max-records": -1}, "policy.max-records is -1; it must be at least 0"),
        ({"modes": "raw"}, "policy.modes is 'raw'; it must be of type list"),
        ({"modes": ["raw", "rare"]}, "policy.modes is ['raw', 'rare']; choose from ['raw']"),
        ({"own-methods": "a:b"}, "policy.own-methods is 'a:b'; it must be of type list"),
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


def test_what_is_left_may_leave_and_after_it_nothing() -> None:
    policy = Policy(max_records=5)
    assert [policy.records_left(disclosed) for disclosed in (0, 2, 4)] == [5, 3, 1]
    with pytest.raises(Refused, match="all 5 records that may leave have left"):
        policy.records_left(5)
