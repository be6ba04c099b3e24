"""The agreement of a trainer and its owners before anything is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mycroft_fl.data.tables.schema import TableSchema


@dataclass(frozen=True)
class Task:
    """Class names, the shape and type of an example's x, and the trainer's architecture.

    Where examples are rows of a table, `table` says how a row becomes a vector.
    """

    classes: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    model: str
    table: TableSchema | None = None

    @property
    def num_classes(self) -> int:
        """How many classes there are; labels run from 0 to one less."""
        return len(self.classes)
