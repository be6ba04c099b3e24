"""DP-SGD of a last layer on features that stay frozen, by Opacus: Poisson batches, clipped, noised.

Sums, never means: a batch is divided by nothing that depends on who is in it, and the sampling
rate is a public number. Opacus's `PrivacyEngine` would take both from the number of records, which
is private here. Noise and sampling are floats from a generator that is no cryptographic one:
Opacus's `secure_mode` needs torchcsprng, which is not to be had.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from opacus.grad_sample import GradSampleModule
from opacus.optimizers import DPOptimizer
from opacus.utils.uniform_sampler import UniformWithReplacementSampler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mycroft_fl.privacy.accounting import SgdRun
from mycroft_fl.privacy.noise import Noise


@dataclass(frozen=True, eq=False)
class Weighted:
    """Records as the last layer sees them: its inputs, labels, and what each counts for, 0 to 1.

    A record's weight must be a function of that record and of public things alone.
    """

    inputs: Float[Tensor, "n p"]
    labels: Int[Tensor, " n"]
    weights: Float[Tensor, " n"]


@dataclass(frozen=True)
class HeadRun:
    """How a run goes, all of it public: its price, the clip of a record's gradient, its steps.

    `rate` is what a step moves by a summed gradient of length 1, before it is divided by the
    sampling rate.
    """

    sgd: SgdRun
    clip: float
    rate: float

    @property
    def step_rate(self) -> float:
        """What one step moves by its batch's noised sum of length 1."""
        return self.rate / self.sgd.sample_rate

    @property
    def sigma(self) -> float:
        """The standard deviation that the noise of all steps has in each number of the result."""
        step = self.step_rate * self.sgd.noise_multiplier * self.clip
        return float(step * np.sqrt(self.sgd.steps))


def head_delta(
    head: nn.Linear, records: Weighted, run: HeadRun, noise: Noise
) -> Float64[np.ndarray, " h"]:
    """How DP-SGD moves `head`: row by row, each with its bias last. Abadi et al. 2016, Algorithm 1.

    Records that are not finite are left out: one would come through any clipping.
    """
    moved = copy.deepcopy(head).train()  # Opacus notes nothing in evaluation mode
    generator = torch.Generator().manual_seed(int.from_bytes(noise.draw(8), "big"))
    records = _with_one_that_says_nothing(_finite(records))
    module = GradSampleModule(moved, loss_reduction="sum")
    optimizer = DPOptimizer(
        torch.optim.SGD(moved.parameters(), lr=run.step_rate),
        noise_multiplier=run.sgd.noise_multiplier,
        max_grad_norm=run.clip,
        expected_batch_size=None,
        loss_reduction="sum",
        generator=generator,
    )
    batches = UniformWithReplacementSampler(
        num_samples=len(records.labels),
        sample_rate=run.sgd.sample_rate,
        generator=generator,
        steps=run.sgd.steps,
    )
    for listed in batches:
        batch = torch.tensor(listed, dtype=torch.long)
        optimizer.zero_grad()
        # Without a gradient by the inputs, torch warns that Opacus's hook fires for outputs alone.
        logits = module(records.inputs[batch].requires_grad_())
        loss = cross_entropy(logits, records.labels[batch], reduction="none")
        (records.weights[batch] * loss).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    module.remove_hooks()
    delta: np.ndarray = flat(moved) - flat(head)
    return delta


def flat(head: nn.Linear) -> Float64[np.ndarray, " h"]:
    """A last layer's numbers, row by row, each row with its bias last."""
    with torch.no_grad():
        both = torch.cat([head.weight, head.bias[:, None]], dim=1)
    numbers: np.ndarray = both.double().flatten().numpy()
    return numbers


def _finite(records: Weighted) -> Weighted:
    usable = records.inputs.isfinite().all(1) & records.weights.isfinite()
    weights = records.weights[usable].clamp(0, 1)
    return Weighted(records.inputs[usable], records.labels[usable], weights)


def _with_one_that_says_nothing(records: Weighted) -> Weighted:
    """And one of weight 0: an owner without records must not be told by an error."""
    return Weighted(
        torch.cat([records.inputs, records.inputs.new_zeros(1, records.inputs.shape[1])]),
        torch.cat([records.labels, records.labels.new_zeros(1)]),
        torch.cat([records.weights, records.weights.new_zeros(1)]),
    )
