"""scikit-learn classifiers as the trainer's model, by name or import path.

They know no gradient step: a fine-tune is a fit anew, with weights that give each source its share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

from mycroft_fl.claims import content_of, most_bytes
from mycroft_fl.data.tables.schema import TableSchema
from mycroft_fl.errors import DataError, SettingError, one_line
from mycroft_fl.examples import Examples
from mycroft_fl.files import write_whole
from mycroft_fl.models.foreign.own_objects import made
from mycroft_fl.models.own_estimators import (
    as_columns,
    fit_weights,
    seeds,
    takes_columns,
    types_of,
)
from mycroft_fl.models.weight_archive import Wanted, classifier_in, note_ours, strangers
from mycroft_fl.settings.own_names import is_own, own_name
from mycroft_fl.settings.space_names import is_encoder
from mycroft_fl.texts import as_texts, is_text

if TYPE_CHECKING:
    from mycroft_fl.models.sources import Source

LEAST_PROBABILITY = 1e-12


def _forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=100)


def _tree() -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier()


def _boosting() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    # By default a leaf holds 20 examples: a few of a new kind could never get one of their own. In
    # leaves of two, a class of one or two examples ruins all others unless values are held small.
    return HistGradientBoostingClassifier(
        max_iter=40, learning_rate=0.15, min_samples_leaf=2, l2_regularization=0.1,
        early_stopping=False,
    )  # fmt: skip


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000)


ESTIMATORS: dict[str, Callable[[], Any]] = {
    "random-forest": _forest,
    "decision-tree": _tree,
    "gradient-boosting": _boosting,
    "logistic-regression": _logistic,
}


@dataclass(frozen=True, eq=False)
class Estimator:
    """A scikit-learn classifier over `num_classes` classes, some of which it may never have seen."""

    name: str
    classifier: Any
    num_classes: int
    columns: TableSchema | None = None
    """How vectors become a table's columns again, for a pipeline that takes these."""

    def probabilities(self, x: np.ndarray) -> Float64[np.ndarray, "n c"]:
        """Return each class's probability; zero for those that it was not fitted on."""
        known = np.asarray(self.classifier.classes_)
        full = np.zeros((len(x), self.num_classes))
        if len(x):
            try:
                with _pinned_threads():
                    full[:, known] = self.classifier.predict_proba(self._rows(x))
            except (AttributeError, IndexError, TypeError, ValueError) as error:
                raise DataError(f"model '{self.name}' cannot predict: {error}") from error
        if not np.isfinite(full).all():
            raise DataError(
                f"model '{self.name}' gives probabilities that are not finite; fit it again"
            )
        return full

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return the most likely class of each example."""
        return np.asarray(self.probabilities(x).argmax(axis=1), dtype=np.int64)

    def losses(self, examples: Examples) -> np.ndarray:
        """Return each example's cross-entropy, its probability taken as at least 1e-12."""
        given = self.probabilities(examples.x)[np.arange(len(examples)), examples.y]
        return np.asarray(-np.log(np.maximum(given, LEAST_PROBABILITY)), dtype=np.float32)

    def fitted(
        self, examples: Examples, *, seed: int, weights: np.ndarray | None = None
    ) -> Estimator:
        """Fit a fresh one of the same kind to `examples`."""
        from sklearn.base import clone

        classifier = clone(self.classifier)
        classifier.set_params(**seeds(classifier, seed))
        given = fit_weights(classifier, weights)
        try:
            with _pinned_threads():
                classifier.fit(self._rows(examples.x), examples.y, **given)
        except (TypeError, ValueError) as error:
            raise SettingError(f"model '{self.name}' cannot be fitted: {error}") from error
        self._check_one_class(classifier, examples)
        return replace(self, classifier=classifier)

    def _rows(self, x: np.ndarray) -> Any:
        return (
            _as_rows(x, _encoder_of(self.name))
            if self.columns is None
            else as_columns(self.columns, x)
        )

    def _check_one_class(self, classifier: Any, examples: Examples) -> None:
        """Raise where a classifier takes one class alone, and then gives probabilities of two."""
        if len(classifier.classes_) > 1:
            return
        with _pinned_threads():
            given = np.asarray(classifier.predict_proba(self._rows(examples.x[:1])))
        if given.shape[1] != 1:
            raise SettingError(
                f"model '{self.name}' cannot be fitted: all examples are of one class, and it needs two; "
                "let trainer.train hold more classes, or take another model"
            )

    def refitted(self, sources: Sequence[Source], *, seed: int) -> Estimator:
        """Fit a fresh one to all sources at once, each with its share of the total weight.

        The first source takes what the others leave, as in a fine-tune of a network.
        """
        given = [source for source in sources if len(source.examples)]
        examples = Examples.concatenate([source.examples for source in given])
        later = [source.share for source in given[1:]]
        shares = [max(1 - sum(later), 0.0), *later]
        weights = [
            np.full(len(source.examples), share * len(examples) / len(source.examples))
            for source, share in zip(given, shares, strict=True)
        ]
        return self.fitted(examples, seed=seed, weights=np.concatenate(weights))


def is_estimator(name: str) -> bool:
    """Return whether a model's name is that of a scikit-learn classifier, or an import path."""
    return name.partition(":")[0] in ESTIMATORS or is_own(name)


def build_estimator(name: str, num_classes: int, table: TableSchema | None = None) -> Estimator:
    """Return the classifier called `name`, or what stands at `package.module:name`.

    That is a class or function that needs no arguments, or an object. A pipeline that prepares a
    table's columns itself takes them as they stand. Behind the name of one of ours may stand an
    encoder's: it sees the vectors that this gives.
    """
    kind, _, encoder = name.partition(":")
    if kind in ESTIMATORS and (not encoder or is_encoder(encoder)):
        return Estimator(name, ESTIMATORS[kind](), num_classes)
    own = own_name(name)
    if own.head or own.transform:
        raise SettingError(f"model '{own.path}' is no network; leave head and transform out")
    classifier = made(own.path, (), num_classes)
    if not all(hasattr(classifier, each) for each in ("fit", "predict_proba", "get_params")):
        raise SettingError(
            f"model '{name}' must be a torch.nn.Module, or a scikit-learn classifier with fit and "
            "predict_proba"
        )
    return Estimator(name, classifier, num_classes, table if takes_columns(classifier) else None)


def save_estimator(model: Estimator, path: Path) -> None:
    """Write a fitted classifier as skops, whole or not at all: no pickle.

    `SettingError` where it has parts that would not be read again.
    """
    from skops.io import dumps

    content = dumps(model.classifier)
    if unknown := strangers(content, _wanted(model)):
        raise SettingError(
            f"model '{model.name}' cannot be kept: a file of weights may not hold "
            f"{', '.join(unknown)[:300]}; take another "
            "classifier, or set it up without these (neighbours with algorithm='brute')"
        )
    write_whole(path, content)
    note_ours(content)


def load_estimator(model: Estimator, path: Path) -> Estimator:
    """Return a fitted classifier of the same kind from a skops file. `DataError` where it is not one.

    A file that this process did not write is tried in another process first, and its trees are
    checked: a stranger's could end this one, or never let it end.
    """
    if not path.is_file():
        raise DataError(f"no weights at {path}; name a skops file")
    try:
        content = content_of(path, most_bytes())
        classifier = classifier_in(content, _wanted(model))
    except Exception as error:  # a broken archive ends its reader in many ways
        raise DataError(
            f"{path} is not a readable skops file of model '{model.name}' ({one_line(error)}); fit it "
            "anew and save it with skops.io.dump"
        ) from error
    return replace(model, classifier=classifier)


def _wanted(model: Estimator) -> Wanted:
    own = types_of(model.classifier) if is_own(model.name) else ()
    return Wanted(type(model.classifier), model.num_classes, own, model.columns)


@contextmanager
def _pinned_threads() -> Iterator[None]:
    """Use as many threads as torch may: the run's `threads`, and so equal results."""
    import torch
    from threadpoolctl import threadpool_limits

    with threadpool_limits(torch.get_num_threads()):
        yield


def _encoder_of(name: str) -> str | None:
    """Return the encoder in the name of one of our classifiers."""
    kind, _, encoder = name.partition(":")
    return encoder if kind in ESTIMATORS and encoder else None


def _as_rows(x: np.ndarray, encoder: str | None = None) -> np.ndarray:
    """Return one row an example; the bytes of images become 0..1, texts are texts."""
    if encoder is not None:
        from mycroft_fl.models.frozen import FrozenBody

        return FrozenBody(encoder).of(x).numpy()
    if is_text(x):
        return np.array(as_texts(x), dtype=object)
    rows = x.reshape(len(x), -1)
    return rows.astype(np.float32) / 255 if x.dtype == np.uint8 else rows
