"""DP-SGD of a last layer: what each record and person can do to it, and that it is Opacus's without noise."""

from __future__ import annotations

import copy
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from opacus.grad_sample import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch import nn

from mycroft_fl.privacy import sgd
from mycroft_fl.privacy.noise.accounting import Filter, SgdRun, sgd_renyi, sgd_run_within
from mycroft_fl.privacy.noise.samplers import OS_ENTROPY, Noise, simulated
from mycroft_fl.privacy.relevance.hard_set_target import RecordView
from mycroft_fl.privacy.sgd import FARTHEST, HeadRun, Weighted, flat, head_delta

CLASSES, WIDTH = 3, 4
SILENT = 1e-9
"""A noise multiplier of no noise worth the name: a few 65536ths a step."""
LARGEST = float(np.finfo(np.float32).max)


def head() -> nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(WIDTH, CLASSES)


def records(n: int, seed: int = 0) -> Weighted:
    rng = np.random.default_rng(seed)
    seen = RecordView(rng.normal(size=(n, WIDTH)), rng.integers(0, CLASSES, n))
    return Weighted(seen, rng.uniform(size=n))


def with_one_more(batch: Weighted, inputs: np.ndarray, weight: float = 1.0) -> Weighted:
    seen = RecordView(np.vstack([batch.seen.inputs, inputs]), np.append(batch.seen.labels, 1))
    return Weighted(seen, np.append(batch.weights, weight))


def run(multiplier: float = SILENT, q: float = 1.0, steps: int = 1, rate: float = 0.5) -> HeadRun:
    return HeadRun(SgdRun(q, multiplier, steps), clip=0.3, rate=rate)


def by_opacus(at: nn.Linear, batches: list[Weighted], clip: float, step: float) -> np.ndarray:
    """The reference: Opacus's clipping and sums, without noise, on batches that are given."""
    module = GradSampleModule(copy.deepcopy(at).double().train(), loss_reduction="sum")
    optimizer = DPOptimizer(
        torch.optim.SGD(module.parameters(), lr=step),
        noise_multiplier=0.0,
        max_grad_norm=clip,
        expected_batch_size=None,
        loss_reduction="sum",
    )
    for batch in batches:
        optimizer.zero_grad()
        logits = module(torch.from_numpy(batch.seen.inputs).requires_grad_())
        labels = torch.from_numpy(batch.seen.labels)
        loss = nn.functional.cross_entropy(logits, labels, reduction="none")
        (torch.from_numpy(batch.weights) * loss).sum().backward()
        optimizer.step()
    moved = copy.deepcopy(at).double()
    moved.load_state_dict(module._module.state_dict())
    return flat(moved) - flat(at)


@pytest.mark.parametrize("steps", [1, 7])
def test_without_noise_it_is_what_opacus_makes_of_the_same_batches(steps: int) -> None:
    batch = records(40)
    moved = head_delta(head(), batch, run(steps=steps), simulated(0))
    expected = by_opacus(head(), [batch] * steps, clip=0.3, step=0.5)
    # A record loses less than a 65536th of each number, the noise is as small: 42 of them a step.
    np.testing.assert_allclose(moved, expected, atol=steps * 0.5 * 50 / 65536)


def test_on_poisson_batches_it_is_what_opacus_makes_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch, drawn, plain = records(40), [], sgd.coins

    def noted(size: int, chance: Fraction, noise: Noise) -> np.ndarray:
        drawn.append(plain(size, chance, noise))
        return drawn[-1]

    monkeypatch.setattr(sgd, "coins", noted)
    moved = head_delta(head(), batch, run(q=0.25, steps=10), simulated(0))
    batches = [
        Weighted(batch.seen[taken], batch.weights[taken]) for taken in map(np.flatnonzero, drawn)
    ]
    assert [len(each.weights) for each in batches] != [10] * 10
    expected = by_opacus(head(), batches, clip=0.3, step=0.5 / 0.25)
    np.testing.assert_allclose(moved, expected, atol=10 * 2 * 30 / 65536)


@pytest.mark.parametrize("value", [1e30, LARGEST, -LARGEST, 1e-45, math.inf, math.nan])
@pytest.mark.parametrize("weight", [1.0, 7.0, math.inf, math.nan])
@pytest.mark.filterwarnings("error")
def test_one_record_of_any_content_moves_a_step_by_no_more_than_rate_times_clip(
    value: float, weight: float
) -> None:
    batch = records(10)
    poisoned = with_one_more(batch, np.full(WIDTH, value), weight)
    plain, other = (head_delta(head(), each, run(), simulated(0)) for each in (batch, poisoned))
    assert np.isfinite(other).all()
    assert np.linalg.norm(plain - other) <= 0.5 * 0.3 * (1 + 1e-12)


@pytest.mark.parametrize("weight", [LARGEST, -LARGEST, 1e20, 1e-45])
@pytest.mark.parametrize("rate", [1e-30, 1.0, 1e6, 1e28])
@pytest.mark.filterwarnings("error")
def test_a_last_layer_that_makes_one_records_logit_overflow_shows_nothing_of_it(
    weight: float, rate: float
) -> None:
    hostile = head()
    with torch.no_grad():
        hostile.weight[0, 0] = weight
    # Its logit is beyond float32; the others have nothing where the weight is.
    batch = records(20)
    batch.seen.inputs[:, 0] = 0
    one = np.zeros(WIDTH)
    one[0] = LARGEST
    there = with_one_more(batch, one)
    output = run(multiplier=1.0, q=0.5, steps=20, rate=rate)
    for each in (batch, there):
        moved = head_delta(hostile, each, output, simulated(0))
        assert np.isfinite(moved).all()
        assert np.abs(moved).max() <= FARTHEST


def test_noise_has_the_size_that_the_run_states() -> None:
    output = run(multiplier=2.0, q=0.25, steps=50, rate=0.1)
    nothing = records(0)
    drawn = np.stack([head_delta(head(), nothing, output, simulated(each)) for each in range(40)])
    assert drawn.std() == pytest.approx(output.sigma, rel=0.1)
    assert abs(drawn.mean()) < 4 * output.sigma / math.sqrt(drawn.size)


def test_batches_are_drawn_record_by_record_at_the_rate_and_not_in_fixed_sizes() -> None:
    one = Weighted(RecordView(np.ones((1, WIDTH)), np.array([0])), np.ones(1))
    seen = [
        np.linalg.norm(head_delta(head(), one, run(q=0.3), simulated(each))) > 0.1
        for each in range(400)
    ]
    assert np.mean(seen) == pytest.approx(0.3, abs=0.1)


def _of_one_person(copies: int) -> Weighted:
    seen = RecordView(np.ones((copies, WIDTH)), np.zeros(copies, np.int64))
    return Weighted(seen, np.ones(copies), np.full(copies, "anna"))


def test_a_person_is_in_a_batch_with_all_its_records_or_with_none() -> None:
    lengths = [
        np.linalg.norm(head_delta(head(), _of_one_person(20), run(q=0.3), simulated(each)))
        for each in range(400)
    ]
    # By records, one of twenty would be in nearly every batch.
    assert np.mean(np.array(lengths) > 0.1) == pytest.approx(0.3, abs=0.1)


@pytest.mark.parametrize("copies", [1, 2, 50])
def test_all_records_of_a_person_move_a_step_by_no_more_than_rate_times_clip(copies: int) -> None:
    batch = records(10)
    persons = np.append(np.arange(10).astype(str), np.full(copies, "anna"))
    more = _of_one_person(copies)
    there = Weighted(
        RecordView(
            np.vstack([batch.seen.inputs, more.seen.inputs]),
            np.append(batch.seen.labels, more.seen.labels),
        ),
        np.append(batch.weights, more.weights),
        persons,
    )
    alone = Weighted(batch.seen, batch.weights, persons[:10])
    plain, other = (head_delta(head(), each, run(), simulated(0)) for each in (alone, there))
    moved = np.linalg.norm(plain - other)
    assert 0.1 < moved <= 0.5 * 0.3 * (1 + 1e-3)


def test_an_owner_without_records_gives_noise_and_no_error() -> None:
    for persons in (None, np.zeros(0, "U4")):
        nothing = Weighted(records(0).seen, np.zeros(0), persons)
        moved = head_delta(head(), nothing, run(multiplier=1.0, q=0.3, steps=3), simulated(0))
        assert np.isfinite(moved).all()
        assert (moved != 0).all()


def test_every_coin_and_every_number_of_noise_has_random_bytes_of_its_own() -> None:
    # A generator that is seeded once draws a few bytes, whatever it makes of them.
    def drawn(n: int, steps: int, classes: int) -> int:
        took = 0

        def counted(size: int) -> bytes:
            nonlocal took
            took += size
            return OS_ENTROPY.draw(size)

        seen = RecordView(np.ones((n, WIDTH)), np.zeros(n, np.int64))
        output = run(multiplier=1.0, q=0.5, steps=steps)
        layer = nn.Linear(WIDTH, classes)
        head_delta(layer, Weighted(seen, np.ones(n)), output, Noise(counted, "os-entropy"))
        return took

    for n, steps, classes in ((10, 1, 3), (10, 20, 3), (500, 20, 3), (10, 20, 60)):
        assert drawn(n, steps, classes) >= 8 * steps * (n + classes * (WIDTH + 1))


def test_torchs_generator_has_no_part_in_it() -> None:
    batch, output = records(30), run(multiplier=1.0, q=0.5, steps=3)
    moved = []
    for _ in range(2):
        torch.manual_seed(0)
        np.random.seed(0)
        before = torch.random.get_rng_state()
        moved.append(head_delta(head(), batch, output, OS_ENTROPY))
        assert torch.equal(torch.random.get_rng_state(), before)
    assert not np.array_equal(*moved)


def test_simulated_noise_can_be_repeated_and_the_operating_systems_cannot() -> None:
    batch, output = records(5), run(multiplier=1.0)
    first, second = (head_delta(head(), batch, output, simulated(1)) for _ in range(2))
    assert np.array_equal(first, second)
    real = [head_delta(head(), batch, output, OS_ENTROPY) for _ in range(2)]
    assert not np.array_equal(*real)


def test_noise_is_drawn_anew_at_each_step() -> None:
    # One step's noise taken twenty times would be 20 times as large, not its root.
    output = run(multiplier=1.0, q=0.5, steps=20, rate=1.0)
    drawn = head_delta(head(), records(0), output, simulated(0))
    assert np.std(drawn) == pytest.approx(output.sigma, rel=0.6)


def test_the_head_that_is_given_stays_as_it_was() -> None:
    at = head()
    before = flat(at)
    head_delta(at, records(5), run(multiplier=1.0), simulated(0))
    assert np.array_equal(flat(at), before)
    assert at(torch.ones(1, WIDTH)).grad_fn is not None


@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 40), st.integers(2, 20))
def test_a_records_row_is_the_same_to_the_last_bit_in_any_batch(
    seed: int, n: int, width: int, classes: int
) -> None:
    rng = np.random.default_rng(seed)
    seen = RecordView(rng.normal(size=(n, width)), rng.integers(0, classes, n))
    layer = nn.Linear(width, classes).double()
    whole = seen.gradients(layer, np.ones(n), 0.3)[:]
    taken = np.flatnonzero(rng.random(n) < 0.5)
    some = seen[taken].gradients(layer, np.ones(len(taken)), 0.3)[:]
    assert np.array_equal(whole[taken], some)


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 4.0])
def test_the_least_noise_within_a_budget_is_within_it_and_hardly_more_than_needed(
    epsilon: float,
) -> None:
    budget = Filter.of(epsilon, 1e-5)
    found = sgd_run_within(budget.limit, budget.order, 0.05, 100)
    assert sgd_renyi(found, budget.order) <= budget.limit
    less = SgdRun(0.05, found.noise_multiplier * 0.99, 100)
    assert sgd_renyi(less, budget.order) > budget.limit
