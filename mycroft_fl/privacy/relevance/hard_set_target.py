"""The target of a hard set, and each record's relevance to it, one by one.

A record's value must not depend on which others are there, not even in its last bit: matrix
products over a batch round differently in another batch, and a thousand last bits are no longer
covered by any noise. So records go through the model alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from torch import Tensor, nn

from mycroft_fl.errors import BadMessage
from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import as_input, as_tensor
from mycroft_fl.models.frozen import embedding_alone
from mycroft_fl.models.networks import Classifier
from mycroft_fl.privacy.relevance.gradient_rows import GradientRows
from mycroft_fl.protocol.messages import COUNT_WEIGHT, NoisedTarget, Request
from mycroft_fl.represent.gradients.per_example import last_layer_gradients

USEFUL = 0.6
"""A share of the hard set's own median alignment: a record above it counts as useful."""

LANES = 8
"""Numbers that the widest processors take at a time."""

SPREAD = 0.75
"""The share of the wrong classes' probability that a ranking takes to be spread over all alike.

Where labels are random, the class that the model believes in resembles a part of the failing group,
and the spread part cancels. The best of 0.5, 0.65, 0.75, 0.8 and 1 over four tasks.
"""

WHOLE = 2 / 3
"""The share of the hard set's own median alignment that counts as 1 in a ranking, and more as no more.

With 1 the noise covers more of it, with 1/2 wrong labels count for more.
"""

SCORE_BOUND = 1 + Fraction(COUNT_WEIGHT) ** 2
"""The squared length of what a record adds to a score, at most."""


@dataclass(frozen=True, eq=False)
class Target:
    """The mean last-layer gradient of a hard set, and the median alignment within the hard set.

    Both come from the trainer; neither is looked up in the owner's data. Records' gradients are
    clipped to `clip` before they are aligned, where those of hard examples were.
    """

    direction: Float[Tensor, "C p_and_bias"]
    scale: float
    clip: float = np.inf
    spread: float = 0.0
    """The share of the wrong classes' probability that counts as if it were spread over them alike."""

    @property
    def digest(self) -> str:
        """Names the target by its content."""
        content = hashlib.sha256(self.direction.detach().cpu().numpy().tobytes())
        content.update(repr((self.scale, self.clip, self.spread)).encode())
        return content.hexdigest()

    @classmethod
    def asked(cls, model: Classifier, request: Request) -> Target:
        """Take what a request asks for: its noised target, or that of its hard examples."""
        if request.target is None:
            return cls.of(model, request.hard)
        return cls.of_noised(model, request.target)

    @classmethod
    def of_noised(cls, model: Classifier, noised: NoisedTarget) -> Target:
        """Take a noised target. `BadMessage` where it is not of the size of the model's last layer."""
        rows, columns = model.head.out_features, model.head.in_features + 1
        if len(noised.direction) != rows * columns:
            raise BadMessage(
                f"a target of {len(noised.direction)} numbers; the last layer has {rows * columns}"
            )
        direction = torch.from_numpy(noised.direction.copy()).reshape(rows, columns)
        return cls(direction, noised.scale, noised.clip)

    @classmethod
    def of(cls, model: Classifier, hard: Examples) -> Target:
        """Work out the target of a hard set. `BadMessage` where it does not agree with itself."""
        # Alone too: an owner may have kept embeddings of these very images, computed beside its own.
        with embedding_alone(model):
            gradients = last_layer_gradients(model, as_input(hard.x), as_tensor(hard.y))
        direction = gradients.mean()
        scale = float(gradients.correlate(direction).median())
        if not 0 < scale < np.inf:
            raise BadMessage("the hard set's gradients do not agree, so nothing is relevant to it")
        return cls(direction, scale)

    def for_ranking(self, model: Classifier, hard: Examples) -> Target:
        """Take the same direction, looked at so that owners whose labels are random do not rank higher.

        A wrong label has a long gradient, so none counts for more than the shortest of the hard set's;
        see also `SPREAD`. A noised target, which comes with a clip, stays as it is.
        """
        if self.clip < np.inf or not len(hard):
            return self
        seen, steady = RecordView.through(model, hard), replace(self, scale=1.0, spread=SPREAD)
        deltas = seen.deltas(model.head, SPREAD)
        steady = replace(steady, clip=min(map(_length, deltas, seen.inputs)))
        scale = float(np.median(seen.relevances(model.head, steady)))
        # Not above zero where hard examples agree only in what the model takes them for.
        return replace(steady, scale=WHOLE * scale) if 0 < scale < np.inf else self


@dataclass(frozen=True, eq=False)
class RecordView:
    """Records as a model's last layer sees them, each from a forward pass of its own."""

    inputs: Float64[np.ndarray, "n p"]
    labels: Int64[np.ndarray, " n"]

    @classmethod
    def through(cls, model: Classifier, examples: Examples) -> RecordView:
        """See each record through `model`; its last layer plays no part."""
        with embedding_alone(model):
            atoms = last_layer_gradients(
                model, as_input(examples.x), as_tensor(examples.y), batch_size=1
            )
        return cls(atoms.inputs.double().cpu().numpy(), examples.y)

    def __getitem__(self, index: Int64[np.ndarray, " m"]) -> RecordView:
        return RecordView(self.inputs[index], self.labels[index])

    def deltas(self, head: nn.Linear, spread: float = 0.0) -> Float64[np.ndarray, "n C"]:
        """Give each record's derivative of the loss by the logits: softmax - onehot, one by one.

        A share `spread` of the wrong classes' probability is spread over them alike.
        """
        weight = head.weight.detach().double().cpu().numpy()
        bias = head.bias.detach().double().cpu().numpy()
        # Not as a product of matrices: it would round a record by its neighbours. And rows of whole
        # lanes: a row's exponentials are then taken alike wherever it stands.
        logits = np.full((len(self.labels), -(-len(bias) // LANES) * LANES), -np.inf)
        finite = np.isfinite(self.inputs).all(axis=1)
        inputs = np.where(finite[:, None], self.inputs, 0)
        logits[:, : len(bias)] = np.einsum("np,cp->nc", inputs, weight, optimize=False) + bias
        likely = np.exp(logits - logits.max(axis=1)[:, None])
        deltas: np.ndarray = likely[:, : len(bias)] / likely.sum(axis=1)[:, None]
        # 1 - p as the sum of the others: exact where p rounds to 1.
        every = np.arange(len(deltas))
        deltas[every, self.labels] = 0
        wrong = deltas.sum(axis=1)
        if spread:
            deltas = deltas * (1 - spread) + (spread * wrong / (len(bias) - 1))[:, None]
        deltas[every, self.labels] = -wrong
        deltas[~finite] = np.nan
        return deltas

    def failed(self, head: nn.Linear) -> Bool[np.ndarray, " n"]:
        """Say which records the model takes for another class than their label says."""
        likely, every = self.deltas(head), np.arange(len(self.labels))
        likely[every, self.labels] += 1
        own = likely[every, self.labels].copy()
        likely[every, self.labels] = 0
        wrong: np.ndarray = likely.max(axis=1, initial=0) > own
        return wrong

    def relevances(self, head: nn.Linear, target: Target) -> Float64[np.ndarray, " n"]:
        """Give each record's alignment with the target, 1 for as much as the median hard example has.

        Not finite where a record's gradient is not.
        """
        direction = target.direction.double().numpy()
        weight, bias = direction[:, :-1], direction[:, -1]
        return np.array(
            [
                float(delta @ (weight @ hidden + bias))
                * _shortened(delta, hidden, target.clip)
                / target.scale
                if np.isfinite(delta).all()
                else np.nan
                for delta, hidden in zip(self.deltas(head, target.spread), self.inputs, strict=True)
            ],
            np.float64,
        )

    def gradients(
        self,
        head: nn.Linear,
        weights: Float64[np.ndarray, " n"],
        clip: float,
        inputs: Float64[np.ndarray, "n q"] | None = None,
    ) -> GradientRows:
        """Give each record's last-layer gradient, clipped to length `clip`, times its weight in [0, 1].

        By `inputs`; left out: those of the last layer with a one at the end.
        """
        inputs = self.with_bias() if inputs is None else inputs
        return GradientRows(self.deltas(head), inputs, np.clip(weights, 0, 1), clip)

    def with_bias(self) -> Float64[np.ndarray, "n p_and_bias"]:
        """Give the inputs, each with a one at the end."""
        return np.concatenate([self.inputs, np.ones((len(self.inputs), 1))], axis=1)

    def whitened(
        self, whitening: Float32[np.ndarray, "q p_and_bias"]
    ) -> Float64[np.ndarray, "n q"]:
        """Give the inputs, each with a one at the end, in other coordinates. One by one.

        `BadMessage` where `whitening` does not fit, or asks for more numbers than inputs have.
        """
        inputs, (rows, columns) = self.with_bias(), whitening.shape
        if columns != inputs.shape[1] or not 0 < rows <= columns:
            raise BadMessage(
                f"a whitening of {rows} x {columns} numbers; the last layer takes 1 to "
                f"{inputs.shape[1]} rows of {inputs.shape[1]}"
            )
        # As in `deltas`: a product of matrices would round a record by its neighbours.
        coordinates: np.ndarray = np.einsum(
            "np,qp->nq", inputs, whitening.astype(np.float64), optimize=False
        )
        return coordinates


def _shortened(delta: np.ndarray, hidden: np.ndarray, clip: float) -> float:
    """Say what clipping leaves of a record's gradient, delta (x) [hidden; 1]: a share of its length."""
    return 1.0 if clip == np.inf else min(1.0, clip / max(_length(delta, hidden), 1e-300))


def _length(delta: np.ndarray, hidden: np.ndarray) -> float:
    return float(np.linalg.norm(delta)) * float(np.sqrt(hidden @ hidden + 1))


def relevances(model: Classifier, examples: Examples, target: Target) -> Float64[np.ndarray, " n"]:
    """Give each record's relevance, see `RecordView.relevances`."""
    return RecordView.through(model, examples).relevances(model.head, target)


def score_rows(
    ranked: Float64[np.ndarray, "n ..."], values: Float64[np.ndarray, " n"] | None = None
) -> Float64[np.ndarray, "n s_and_3"]:
    """Say what each record adds to a score: its relevance within [-1, 1], and which bin it is in.

    `ranked` are relevances as `Target.for_ranking` sees them, or a row for each record in which no
    more than one is not 0, see `ClassTargets`. By `values` records are drawn and weighted, and
    counted here (left out: the same). The bins are public: below 0, below `USEFUL`, and above, each
    counted by `COUNT_WEIGHT`. A row's squared length is at most `SCORE_BOUND`.
    """
    values = ranked if values is None else values
    bins = np.column_stack(
        [values < 0, (values >= 0) & (values <= USEFUL), values > USEFUL]
    ).astype(np.float64)
    # A record in no bin is not finite, and left out with its row.
    missing = np.where(np.isfinite(values), 0.0, np.nan)
    return np.column_stack([np.clip(ranked, -1, 1), COUNT_WEIGHT * bins]) + missing[:, None]


def utility_levels(values: Float64[np.ndarray, " n"], units: int) -> Int64[np.ndarray, " n"]:
    """Give the static utility of `raw-gumbel`: all for a useful record, nothing for any other."""
    return np.where(values > USEFUL, units, 0).astype(np.int64)
