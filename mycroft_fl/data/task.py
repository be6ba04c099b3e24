"""The agreement of a trainer and its owners before anything is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mycroft_fl.settings.space_names import TRAINED, encoder_within

if TYPE_CHECKING:
    from mycroft_fl.data.tables.schema import TableSchema
    from mycroft_fl.encoders.word_counts import Vocabulary

TFIDF = "tfidf"


@dataclass(frozen=True)
class Task:
    """Class names, the shape and type of an example's x, and the trainer's architecture.

    Where examples are rows of a table, `table` says how a row becomes a vector. Where they are texts,
    `vocabulary` holds the words that `tfidf` counts, if the task goes by it; it is then known to this
    process.
    """

    classes: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    model: str
    table: TableSchema | None = None
    vocabulary: Vocabulary | None = None

    def __post_init__(self) -> None:
        if self.vocabulary is not None:
            from mycroft_fl.encoders.word_counts import know

            know(self.vocabulary)

    @property
    def holds_texts(self) -> bool:
        """Whether examples are texts: rows of bytes."""
        return self.dtype == np.uint8 and len(self.shape) == 1

    def named(self, name: str) -> str:
        """Return the name of a model or feature space as this task means it.

        `tfidf` is that of the task's own vocabulary. Texts have no pixels: they are compared as the
        model's encoder sees them, by a trained transformer's last hidden layer, or else by hashed words.
        """
        if self.holds_texts and name == "pixels":
            inner = "model" if self.model.startswith(TRAINED) else encoder_within(self.model)
            name = inner or "hashing"
        if encoder_within(name) != TFIDF or self.vocabulary is None:
            return name
        return name.removesuffix(TFIDF) + self.vocabulary.name

    @property
    def num_classes(self) -> int:
        """How many classes there are; labels run from 0 to one less."""
        return len(self.classes)
