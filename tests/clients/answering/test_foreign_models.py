"""A model that a trainer names by its import path: an owner imports it only by its own leave."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clients.answering.policy import Policy
from clients.answering.private_records import PrivateRecords
from clients.answering.vault import Vault
from mycroft_fl.errors import InputError, Refused
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import flat_weights
from mycroft_fl.protocol.messages import Request
from mycroft_fl.protocol.wire import pack_request, unpack_request

HELD = Examples(np.eye(6, 3, dtype=np.float32) + 1, np.array([0, 0, 1, 1, 0, 1]))
CODE = """
from torch import nn

print("imported")

def net(shape, num_classes):
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, num_classes))

def halved(x):
    return x / 2
"""


@pytest.fixture(autouse=True)
def _theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that says when it is imported."""
    (tmp_path / "theirs.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("theirs", None)


def asked(model: str = "theirs:net", method: str = "omp", **changed: Any) -> Request:
    plain: dict[str, Any] = {
        "server_round": 1, "k": 2, "hard": HELD[:2], "num_classes": 2, "seed": 0, "weights": None,
    }  # fmt: skip
    return Request(model=model, method=method, **(plain | changed))


def answer(policy: Policy, request: Request, folder: Path) -> Any:
    return Vault("a", PrivateRecords(HELD), policy, folder).answer(
        unpack_request(pack_request(request))
    )


@pytest.mark.parametrize(
    ("policy", "model"),
    [
        (Policy(), "theirs:net"),
        (Policy(own_models=("mine:net",)), "theirs:net"),
        (Policy(own_methods=("theirs:net",)), "theirs:net"),
        (Policy(own_models=("theirs:net",)), "theirs:net?transform=theirs:halved"),
        (Policy(), "theirs:net?colour=3"),
        (Policy(), ":"),
    ],
)
def test_what_no_policy_names_is_refused_and_never_imported(policy, model, tmp_path, capsys):
    with pytest.raises(Refused, match=r"trusts|no import path"):
        answer(policy, asked(model), tmp_path / "vault")
    assert "theirs" not in sys.modules
    assert capsys.readouterr().out == ""


def test_what_a_policy_names_is_looked_through(tmp_path):
    policy = Policy(own_models=("theirs:net", "theirs:halved"))
    weights = flat_weights(build("theirs:net", (3,), 2, seed=0))
    request = asked("theirs:net?transform=theirs:halved", weights=weights)
    assert len(answer(policy, request, tmp_path / "vault").disclosed) > 0


def test_a_method_that_needs_no_model_is_answered_whatever_the_model_is_called(tmp_path):
    request = asked("theirs:net", method="features")
    assert len(answer(Policy(), request, tmp_path / "vault").disclosed) == 2
    assert "theirs" not in sys.modules


def test_the_file_of_a_policy_knows_the_key():
    policy = Policy.from_table({"own-models": ["theirs:net"]})
    assert policy.own_models == ("theirs:net",)
    assert Policy.from_table(policy.as_table()) == policy
    with pytest.raises(
        InputError, match=r"policy.own-models is the text 'theirs:net'; give a list"
    ):
        Policy.from_table({"own-models": "theirs:net"})
