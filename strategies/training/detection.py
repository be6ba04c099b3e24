"""The trainer's failure detector, learnt from what it holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from mycroft_fl.encoders.embeddings import embeddings_of
from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import AnyModel, correct
from mycroft_fl.models.networks import Classifier
from mycroft_fl.selection.detector import Known, Rehearsed, fit_detector, principal_components
from mycroft_fl.selection.region import flat_inputs, hidden_layer
from mycroft_fl.settings.space_names import HEADS
from mycroft_fl.texts import is_text

HASHED_WORDS = "hashing:512"
"""Where texts are told apart without a network."""
MOST = 800
"""Examples of a kind that a detector is fitted to; time grows with their number cubed."""


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """Where a detector tells failures apart: inputs, or principal components of them, a hidden layer.

    A table's columns as they are; of images 40 principal components and the network's last hidden
    layer; an encoder's embedding, or of texts the last hidden layer, alone. Without a network `words` of
    texts are counted.
    """

    model: AnyModel
    basis: Float32[np.ndarray, "q p"] | None
    hidden: bool
    words: bool = False

    @classmethod
    def of(
        cls, model: AnyModel, name: str, train: Examples, seed: int, *, travels: bool = True
    ) -> FeatureSpace:
        """Choose the space for a model, called `name`, and the kind of examples that it takes.

        A network that does not travel gives no hidden layer: whoever is to see in this space has none.
        """
        texts, network = is_text(train.x), travels and isinstance(model, Classifier)
        if train.x.ndim == 2 and not texts:
            return cls(model, None, hidden=False)
        inputs = flat_inputs(train)
        if texts and not network:
            return cls(model, None, hidden=False, words=True)
        if name.startswith(HEADS) or texts:
            return cls(model, np.empty((0, inputs.shape[1]), np.float32), hidden=True)
        components = principal_components(inputs, seed)
        return cls(model, components, hidden=network and name != "linear")

    def known(self, examples: Examples) -> Known:
        """See examples in this space."""
        if self.words:
            return Known(embeddings_of(HASHED_WORDS).of(examples.x), examples.y)
        inputs = flat_inputs(examples)
        parts = [inputs if self.basis is None else inputs @ self.basis.T]
        if self.hidden:
            assert isinstance(self.model, Classifier)
            parts.append(hidden_layer(self.model, examples))
        return Known(np.concatenate(parts, axis=1), examples.y)


def learnt_detector(
    space: FeatureSpace,
    train: Examples,
    validation: Examples,
    *,
    num_classes: int,
    hard_classes: frozenset[int],
    seed: int,
) -> Rehearsed:
    """Learn a detector from the model's failures, what it gets right, and what it was trained on.

    Of each at most `MOST`, drawn at random. `DataError` where there are fewer than two failures.

    Args:
        space: Where failures are told apart, with the model whose failures they are.
        train: The trainer's own data.
        validation: Examples on which the model's failures are found.
        num_classes: Number of labels.
        hard_classes: Only these classes' failures count; empty: all.
        seed: Seed of the draws.
    """
    right = correct(space.model, validation)
    counts = np.isin(validation.y, list(hard_classes)) if hard_classes else np.ones_like(right)
    rng = np.random.default_rng(seed)

    def some(examples: Examples) -> Known:
        return space.known(examples[np.sort(rng.permutation(len(examples))[:MOST])])

    if space.words:
        raise SettingError(
            "a detector of failures looks at texts through a network, which a classifier of scikit-learn is "
            'not; set model = "linear:tfidf", or method = "features", which goes by hard examples'
        )
    wrong = validation[~right & counts]
    if len(wrong) < 2:
        raise DataError(
            f"the model gets {len(wrong)} of the validation examples that count wrong, and a detector is "
            'learnt from 2 at least; give harder ones, or set method = "features", which goes by hard '
            "examples"
        )
    return fit_detector(
        some(wrong), some(validation[right]), some(train),
        num_classes=num_classes, seed=seed, basis=space.basis, hidden=space.hidden,
    )  # fmt: skip
