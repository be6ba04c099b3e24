"""Shapes and types are checked in every test run, but for tests that are marked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from jaxtyping import TypeCheckError

from clients.answering.bounds import needs_model
from mycroft_fl.errors import DataError
from mycroft_fl.match.distances import distances
from simulations.population.partition import marked
from strategies.rounds.allocation import equal_shares


def test_a_wrong_shape_is_caught() -> None:
    with pytest.raises(TypeCheckError, match="'m d'"):
        distances(torch.ones(2, 3), torch.ones(2, 2))


@pytest.mark.parametrize(
    "call",
    [
        lambda: distances([[1.0]], torch.ones(1, 1)),
        lambda: equal_shares(["anna"], "3"),
        lambda: needs_model("a request"),
        lambda: marked([], "3"),
    ],
    ids=["mycroft_fl", "strategies", "clients", "simulations"],
)
def test_a_wrong_type_is_caught_in_each_package(call: Callable[[], Any]) -> None:
    with pytest.raises(TypeCheckError):
        call()


@pytest.mark.unchecked
def test_a_marked_test_meets_the_function_itself() -> None:
    with pytest.raises(DataError, match="candidates have shape"):
        distances(torch.ones(2, 3), torch.ones(2, 2))
