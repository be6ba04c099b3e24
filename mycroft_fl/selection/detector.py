"""The fit of a failure detector: small linear models that tell failures from what a model gets right.

The trainer learns it from all its failures, and sends it in place of examples. An owner finds its
own records in the detector's region with it. The terms for each class serve several failing
groups at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64
from scipy.linalg import cho_factor, cho_solve
from sklearn.decomposition import PCA

from mycroft_fl.errors import DataError
from mycroft_fl.protocol.detector import BEYOND, CLASS_TERMS, COMPONENTS, LABEL_TERMS, Detector

RIDGE = 5.0
FEWEST_OF_CLASS = 2
FOLDS = 3
QUANTILES = np.linspace(0.1, 0.7, 13)
USEFUL = 0.1
"""The share of useful records that a threshold is set for."""
MOST_STEPS, TOLERANCE = 50, 1e-12

Vectors = Float[np.ndarray, "n d"]
Labels = Int64[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Known:
    """Examples as feature vectors with their labels."""

    z: Vectors
    y: Labels

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, which: np.ndarray | slice | list[int]) -> Known:
        return Known(self.z[which], self.y[which])


@dataclass(frozen=True, eq=False)
class Rehearsed:
    """A fitted detector, and what its region held on folds that it had not seen.

    `recall`: of failures; `alarms`: of all else that the trainer holds, `others` examples;
    `failures` is what it was learnt from.
    """

    detector: Detector
    recall: float
    alarms: float
    others: int
    failures: int = 0

    @property
    def alarms_deviation(self) -> float:
        """Standard deviation of `alarms`, a share of so many examples (Agresti & Coull 1998)."""
        share = (self.alarms * self.others + 2) / (self.others + 4)
        return float(np.sqrt(share * (1 - share) / (self.others + 4)))


def principal_components(inputs: Vectors, seed: int) -> Float32[np.ndarray, "q p"]:
    """Find the directions in which flat inputs differ most, `COMPONENTS` at most."""
    count = min(COMPONENTS, *inputs.shape)
    found = PCA(count, svd_solver="randomized", random_state=seed % 2**32).fit(inputs)
    components: np.ndarray = found.components_
    return components.astype(np.float32)


def fit_detector(
    failures: Known,
    right: Known,
    train: Known,
    *,
    num_classes: int,
    seed: int,
    basis: Float32[np.ndarray, "q p"] | None = None,
    hidden: bool = False,
) -> Rehearsed:
    """Fit a detector to all that a trainer knows, its threshold by rehearsal on held-out failures.

    Two balanced ridge logistic regressions: failures against right validation examples and training
    records; failures against those training records alone.

    Args:
        failures: Validation examples that the model gets wrong, two at least.
        right: Validation examples that it gets right.
        train: Records that it was trained on.
        num_classes: Number of labels.
        seed: Seed of the folds.
        basis: What made z of inputs, told to owners; None: inputs are in z as they are.
        hidden: Whether z has the model's last hidden layer behind that.

    Raises:
        DataError: Fewer than two failures, or nothing to tell them from.
    """
    if len(failures) < 2 or len(train) < 2:
        raise DataError(
            f"a detector needs 2 failures and 2 training records at least; there are {len(failures)} "
            f"and {len(train)}"
        )
    everyone = Known(
        np.concatenate([failures.z, right.z, train.z]),
        np.concatenate([failures.y, right.y, train.y]),
    )
    mean, scale = _standardisation(everyone.z)
    scaled = np.clip((everyone.z - mean) * scale, -BEYOND, BEYOND).astype(np.float64)
    counts = np.bincount(failures.y, minlength=num_classes)
    classes = np.flatnonzero(counts >= FEWEST_OF_CLASS)
    terms = _terms(scaled, everyone.y, classes, num_classes)
    kind = np.repeat([FAILURE, RIGHT, TRAIN], [len(failures), len(right), len(train)])
    rehearsal = _Rehearsal(terms @ terms.T, kind, RIDGE / everyone.z.shape[1])
    threshold, recall, alarms = rehearsal.threshold(everyone.y, seed)
    fitted = [
        rehearsal.fitted(kind == FAILURE, against) for against in (kind != FAILURE, kind == TRAIN)
    ]
    weights = np.stack([alpha @ terms for alpha, _ in fitted]).astype(np.float32)
    _guess_unknown(weights[:, -num_classes:], everyone.y, failures.y)
    bias = np.array([bias for _, bias in fitted], np.float32)
    detector = Detector(basis, hidden, mean, scale, classes, weights, bias, threshold)
    return Rehearsed(
        detector, recall, alarms, others=len(right) + len(train), failures=len(failures)
    )


def _guess_unknown(
    weights: Float32[np.ndarray, "2 C"],
    known: Int64[np.ndarray, " n"],
    failing: Int64[np.ndarray, " m"],
) -> None:
    """Give labels that the trainer has no example of the mean weight of those that fail.

    No model gets a class right that it has never seen, and nothing else speaks for or against it.
    """
    unknown = np.setdiff1d(np.arange(weights.shape[1]), known)
    weights[:, unknown] = weights[:, np.unique(failing)].mean(axis=1, keepdims=True)


def _standardisation(
    z: Vectors,
) -> tuple[Float32[np.ndarray, " d"], Float32[np.ndarray, " d"]]:
    """Give the mean and the inverse deviation of features; one that never changes counts for nothing."""
    deviation = z.std(axis=0, dtype=np.float64)
    deviation[deviation < 1e-9] = np.inf
    mean = z.mean(axis=0, dtype=np.float64)
    return mean.astype(np.float32), (1 / deviation).astype(np.float32)


def _terms(
    z: Float64[np.ndarray, "n d"], y: Labels, classes: Int64[np.ndarray, " K"], num_classes: int
) -> Float64[np.ndarray, "n terms"]:
    """Build phi(z, y) = [z, .7 z (x) onehot(failing classes), 2 onehot(y)]."""
    of_class = (y[:, None] == classes[None]).astype(np.float64)  # (n, K)
    crossed = (of_class[:, :, None] * z[:, None, :]).reshape(len(z), -1)  # (n, K d)
    labels = np.eye(num_classes)[y]  # (n, C)
    return np.concatenate([z, CLASS_TERMS * crossed, LABEL_TERMS * labels], axis=1)


FAILURE, RIGHT, TRAIN = 0, 1, 2


@dataclass(frozen=True, eq=False)
class _Rehearsal:
    """Ridge logistic regressions in the span of their rows: there are more terms than rows."""

    gram: Float64[np.ndarray, "n n"]
    kind: Int64[np.ndarray, " n"]
    ridge: float

    def fitted(
        self, failures: Bool[np.ndarray, " n"], others: Bool[np.ndarray, " n"]
    ) -> tuple[Float64[np.ndarray, " n"], float]:
        """Fit failures against others; the weights are a sum of rows, by what each counts, and a bias.

        Newton steps in the span of the rows (Rasmussen & Williams 2006, algorithm 3.1), each halved
        until the loss falls. Both sides weigh a half, and all losses together 1.
        """
        rows = np.flatnonzero(failures | others)
        problem = _Balanced(self.gram[np.ix_(rows, rows)], failures[rows], self.ridge)
        found = np.zeros(len(rows)), 0.0
        loss = problem.loss(*found)
        for _ in range(MOST_STEPS):
            aim, step = problem.newton(*found), 1.0
            while True:
                tried = (
                    found[0] + step * (aim[0] - found[0]), found[1] + step * (aim[1] - found[1])
                )  # fmt: skip
                reached = problem.loss(*tried)
                if reached <= loss or step < 1e-4:
                    break
                step /= 2
            fallen, found, loss = loss - reached, tried, min(loss, reached)
            if fallen < TOLERANCE:
                break
        alpha = np.zeros(len(self.kind))
        alpha[rows] = found[0]
        return alpha, float(found[1])

    def threshold(self, y: Labels, seed: int) -> tuple[float, float, float]:
        """Return the probability that held-out failures reach at the quantile of the best F1.

        With the shares of held-out failures and of all else that reach it.
        """
        failed = self.kind == FAILURE
        fold = _folds(self.kind, y, min(FOLDS, int(failed.sum())), seed)
        held = np.zeros(len(self.kind))
        for each in range(fold.max() + 1):
            kept, out = fold != each, fold == each
            for against in (~failed, self.kind == TRAIN):
                alpha, bias = self.fitted(failed & kept, against & kept)
                held[out] += _sigmoid(self.gram[out] @ alpha + bias) / 2
        useful, others = held[failed], held[~failed]
        thresholds = np.quantile(useful, QUANTILES)
        recall = np.array([(useful >= each).mean() for each in thresholds])
        alarms = np.array([(others >= each).mean() for each in thresholds])
        found = USEFUL * recall
        f1 = 2 * found / (found + (1 - USEFUL) * alarms + USEFUL)
        best = int(f1.argmax())
        within = float(np.clip(thresholds[best], 1e-6, 1 - 1e-6))
        return within, float(recall[best]), float(alarms[best])


@dataclass(frozen=True, eq=False)
class _Balanced:
    """A balanced logistic regression with weights sum_i alpha_i row_i, of which only products are known."""

    gram: Float64[np.ndarray, "n n"]
    failed: Bool[np.ndarray, " n"]
    ridge: float

    @cached_property
    def weight(self) -> Float64[np.ndarray, " n"]:
        weight: np.ndarray = np.where(
            self.failed, 0.5 / self.failed.sum(), 0.5 / (~self.failed).sum()
        )
        return weight

    def loss(self, alpha: Float64[np.ndarray, " n"], bias: float) -> float:
        """Compute the weighted loss with the ridge on the weights."""
        along = self.gram @ alpha
        margin = np.where(self.failed, 1.0, -1.0) * (along + bias)
        return float(self.weight @ np.logaddexp(0, -margin) + self.ridge / 2 * (alpha @ along))

    def newton(
        self, alpha: Float64[np.ndarray, " n"], bias: float
    ) -> tuple[Float64[np.ndarray, " n"], float]:
        """Go where the loss's quadratic model at this point is least."""
        logits = self.gram @ alpha + bias
        likely = _sigmoid(logits)
        curved = np.maximum(likely * (1 - likely), 1e-10)
        root = np.sqrt(self.weight * curved / self.ridge)
        # A = gram + ridge / (weight curved); A^-1 v = root B^-1 root v with B's eigenvalues above 1.
        b = np.eye(len(root)) + root[:, None] * self.gram * root
        factor = cho_factor(b, lower=True, overwrite_a=True, check_finite=False)
        aims = np.column_stack([logits + (self.failed - likely) / curved, np.ones(len(root))])
        solved = root[:, None] * cho_solve(factor, root[:, None] * aims, check_finite=False)
        centre = solved[:, 0].sum() / solved[:, 1].sum()
        return solved[:, 0] - centre * solved[:, 1], float(centre)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    probability: np.ndarray = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
    return probability


def _folds(kind: np.ndarray, y: Labels, folds: int, seed: int) -> np.ndarray:
    """Deal out the fold of each example, kinds spread evenly, and classes within them where they can be."""
    order = np.random.default_rng(seed).permutation(len(kind))
    order = order[np.lexsort((y[order], kind[order]))]  # stable: random within kind and class
    fold = np.empty(len(kind), np.int64)
    fold[order] = np.arange(len(kind)) % folds
    return fold
