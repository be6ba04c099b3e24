"""The calibrated gradient of the transport distance, against a linear program's own prices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from mycroft_fl.errors import DataError
from mycroft_fl.match.transport import labelled_cost, transport_gradient


def transport_cost(cost: np.ndarray, mass: np.ndarray) -> float:
    """The exact cost of bringing `mass` on the candidates to even mass on the hard set."""
    n, m = cost.shape
    rows = np.kron(np.eye(n), np.ones(m))
    columns = np.kron(np.ones(n), np.eye(m))
    found = linprog(
        cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.r_[mass, np.full(m, 1 / m)]
    )
    assert found.status == 0
    return float(found.fun)


@pytest.mark.parametrize("seed", range(5))
def test_is_the_slope_of_the_exact_cost_in_each_candidates_weight(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, m = 7, 4  # no common divisor: a basis that is not degenerate, and so a slope
    cost, step = rng.random((n, m)), 1e-5
    output = transport_gradient(torch.from_numpy(cost), entropy=0.002).numpy()
    for i in range(n):
        # The candidate's weight up, all others' down alike: LAVA's calibration.
        mass = np.full(n, 1 / n) - step / (n - 1)
        mass[i] = 1 / n + step
        slope = (transport_cost(cost, mass) - transport_cost(cost, np.full(n, 1 / n))) / step
        assert output[i] == pytest.approx(slope, abs=0.02)


def test_the_nearest_candidate_lowers_the_cost_most_and_gradients_add_up_to_zero() -> None:
    x = torch.tensor([[5.0], [0.1], [3.0], [9.0]])
    output = transport_gradient(
        labelled_cost(x, np.zeros(4, int), torch.zeros(1, 1), np.zeros(1, int))
    )
    assert output.argsort().tolist() == [1, 2, 0, 3]
    assert float(output.sum()) == pytest.approx(0, abs=1e-9)


def test_a_crowded_hard_example_pays_less_for_its_neighbours() -> None:
    # Three candidates at the first hard example and one at a distance from the second.
    cost = torch.tensor([[0.0, 9.0], [0.0, 9.0], [0.0, 9.0], [9.0, 1.0]])
    output = transport_gradient(cost)
    assert int(output.argmin()) == 3


def test_cost_is_distance_and_between_labels_that_of_their_means_too() -> None:
    x, hard = torch.tensor([[0.0], [2.0], [10.0]]), torch.tensor([[1.0], [3.0]])
    cost = labelled_cost(x, np.array([0, 0, 1]), hard, np.array([0, 2]))
    # Means: candidates of 0 at 1, of 1 at 10; hard of 0 at 1, of 2 at 3.
    assert cost.tolist() == [[1.0, 3.0 + 2.0], [1.0, 1.0 + 2.0], [9.0 + 9.0, 7.0 + 7.0]]


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_any_scale_is_finite_and_orders_alike(scale: float) -> None:
    cost = torch.from_numpy(np.random.default_rng(3).random((30, 5)))
    output = transport_gradient(cost * scale)
    assert bool(output.isfinite().all())
    assert output.argsort().tolist() == transport_gradient(cost).argsort().tolist()


def test_equal_costs_and_single_examples_are_no_trouble() -> None:
    assert transport_gradient(torch.zeros(3, 2)).tolist() == [0.0, 0.0, 0.0]
    assert transport_gradient(torch.ones(1, 1)).tolist() == [0.0]
    with pytest.raises(DataError, match="0 candidates and 2 hard examples"):
        transport_gradient(torch.ones(0, 2))
