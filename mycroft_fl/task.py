"""What a trainer and its owners agree on before anything is asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Task:
    """Class names, the shape and type of an example's x, and the trainer's architecture."""

    classes: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    model: str

    @property
    def num_classes(self) -> int:
        """How many classes there are; labels run from 0 to one less."""
        return len(self.classes)
