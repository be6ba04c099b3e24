"""Texts as counts of their words: TF-IDF with a trainer's vocabulary, or hashed without one.

Both are scikit-learn's. A text's vector follows from the text alone, and is computed anew each
time: that is faster than to look it up.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float32

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.foreign_text import LONGEST_NAME, is_clean
from mycroft_fl.settings.space_names import HASHED, MOST_HASHED, EncoderName
from mycroft_fl.texts import as_texts, is_text

MOST_TERMS = 4096
"""Words and pairs of words of one vocabulary: the most frequent ones."""
IN_TEXTS = 2
"""A word of fewer texts is left out: it may be somebody's name, and helps no other text."""
LARGEST_WEIGHT = 1e3
COUNTING: Mapping[str, Any] = {
    "ngram_range": (1, 2), "lowercase": True, "token_pattern": r"(?u)\b\w+\b", "norm": "l2",
}  # fmt: skip


@dataclass(frozen=True)
class Vocabulary:
    """Words and pairs of words of a trainer's texts, each with its inverse document frequency.

    Owners are told both with the task. Its name holds a digest of all, so that two sides that name
    the same vocabulary have the same.
    """

    terms: tuple[str, ...]
    weights: tuple[float, ...]

    @classmethod
    def fitted(cls, texts: Sequence[str]) -> Vocabulary:
        """Return the vocabulary of these texts. `DataError` where no word stands in two of them."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        try:
            counted = TfidfVectorizer(
                **COUNTING, sublinear_tf=True, min_df=IN_TEXTS, max_features=MOST_TERMS
            ).fit(texts)
        except ValueError as error:
            raise DataError(
                f"tfidf finds no word that stands in {IN_TEXTS} of the trainer's {len(texts)} texts; give "
                "more of them, or take hashing, which needs no vocabulary"
            ) from error
        terms = sorted(each for each in counted.vocabulary_ if is_clean(each))
        # Rounded, so that what travels as JSON is what was fitted.
        weights = [round(float(counted.idf_[counted.vocabulary_[term]]), 6) for term in terms]
        return cls(tuple(terms), tuple(weights))

    @cached_property
    def name(self) -> str:
        """The encoder's name."""
        content = json.dumps([self.terms, self.weights]).encode()
        return f"tfidf:{hashlib.sha256(content).hexdigest()[:16]}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON: what a trainer tells owners of its texts."""
        return {"terms": list(self.terms), "weights": list(self.weights)}

    @classmethod
    def from_dict(cls, content: Any) -> Vocabulary:
        """Return what `as_dict` gave. Raises `DataError` on any other JSON."""
        try:
            terms, weights = content["terms"], content["weights"]
            sound = (
                len(content) == 2
                and 0 < len(set(terms)) == len(terms) == len(weights) <= MOST_TERMS
                and all(type(each) is str and 0 < len(each) <= LONGEST_NAME for each in terms)
                and all(type(each) in (int, float) for each in weights)
                and all(math.isfinite(w) and 0 < w <= LARGEST_WEIGHT for w in weights)
            )
        except (KeyError, TypeError) as error:
            raise DataError(f"this is not a vocabulary ({error!r})") from error
        if not sound:
            raise DataError(
                f"this is not a vocabulary of up to {MOST_TERMS} words with a weight each"
            )
        return cls(tuple(terms), tuple(map(float, weights)))

    @cached_property
    def counted(self) -> Any:
        """scikit-learn's vectoriser, as fitted."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectoriser = TfidfVectorizer(**COUNTING, sublinear_tf=True, vocabulary=list(self.terms))
        vectoriser.idf_ = np.array(self.weights)
        return vectoriser


_known: dict[str, Vocabulary] = {}


def know(vocabulary: Vocabulary) -> None:
    """Make a task's vocabulary known to this process, under its name."""
    _known[vocabulary.name] = vocabulary


def is_known(name: str) -> bool:
    """Return whether a name of this module's can be used here; a vocabulary comes with a task."""
    return name in _known or name.partition(":")[0] == "hashing"


class WordCounts:
    """The vectors of texts by one of these encoders."""

    def __init__(self, name: EncoderName) -> None:
        self._name = name
        self._counted = self._vectoriser()

    def of(self, x: np.ndarray, *, alone: bool = False) -> Float32[np.ndarray, "n d"]:
        """Return the texts' vectors, each of length 1, or 0 where no word of it counts."""
        if not is_text(x):
            raise DataError(
                f"encoder {self._name} is for texts; these examples are {x.dtype} of shape {x.shape[1:]}; "
                "take another"
            )
        return self.of_texts(as_texts(x))

    def of_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """Return the same of texts as Python has them."""
        # scikit-learn refuses to transform nothing; a vault asks for its form.
        vectors = self._counted.transform(texts or [""]).toarray()[: len(texts)]
        return np.asarray(vectors, dtype=np.float32)

    def _vectoriser(self) -> Any:
        from sklearn.feature_extraction.text import HashingVectorizer

        if self._name.library == "hashing":
            numbers = int(self._name.architecture or HASHED)
            return HashingVectorizer(**COUNTING, n_features=min(numbers, MOST_HASHED))
        if str(self._name) not in _known:
            raise SettingError(
                f"encoder {self._name} needs the vocabulary of a task of texts, and none is known here; take "
                "hashing, which needs none"
            )
        return _known[str(self._name)].counted


@lru_cache(maxsize=8)
def word_counts(name: EncoderName) -> WordCounts:
    """Return the encoder of that name, shared within a process."""
    return WordCounts(name)
