"""The candidates that have entered a pursuit's fit, and those shut out of its search for now."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mycroft_fl.match.omp.cholesky import Fit


class Support:
    """Candidates by the slot that each has in the fit, and why a candidate is shut.

    Shut are those chosen; those dependent on the chosen, until one of these is dropped; and those
    refused, which gain nothing until the chosen change.
    """

    def __init__(self, fit: Fit, shut: Bool[Tensor, " n"], start: Int[np.ndarray, " s"]) -> None:
        self._fit, self._shut, self.start = fit, shut, start
        self._zero = shut.clone()
        self._slots: dict[int, int] = {}  # by candidate
        self._index: Int[np.ndarray, " slots"] = np.empty(0, dtype=np.int64)  # candidate by slot
        self._dependent: list[int] = []
        self._refused: list[int] = []

    def __contains__(self, candidate: int) -> bool:
        return candidate in self._slots

    @property
    def chosen(self) -> Int[np.ndarray, " t"]:
        """The candidates in the fit, in the order they were picked."""
        chosen: np.ndarray = self._index[self._fit.chosen]
        return chosen

    @property
    def new(self) -> int:
        """How many of the chosen are none of those it starts from."""
        if not len(self.start):
            return len(self._fit)
        return len(self._fit) - int(np.isin(self.chosen, self.start).sum())

    def slot(self, candidate: int) -> int:
        """Return the slot of a candidate that has one."""
        return self._slots[candidate]

    def enter(self, candidates: list[int]) -> None:
        """Give these the next slots of the fit."""
        for candidate in candidates:
            self._slots[candidate] = len(self._slots)
        self._index = np.append(self._index, np.array(candidates, dtype=np.int64))

    def take(self, candidates: Int[np.ndarray, " c"]) -> None:
        """Mark these as chosen; what gained nothing may gain something now."""
        self._close(candidates)
        self._open(self._refused)
        self._refused = []

    def refuse(self, candidates: list[int]) -> None:
        """Shut these out for now: they gain nothing."""
        self._close(np.array(candidates, dtype=np.int64))
        self._refused += candidates

    def depend(self, candidates: list[int]) -> None:
        """Shut these out as sums of the chosen."""
        self._close(np.array(candidates, dtype=np.int64))
        self._dependent += candidates

    def drop(self, candidates: list[int]) -> None:
        """Mark these as no longer chosen; what depended on them may no longer do so."""
        self._open(candidates + self._dependent)
        self._dependent = []

    def reconsider(self) -> None:
        """Look again at those refused: what is known of them is better now."""
        self._open(self._refused)
        self._refused = []

    def only_start(self) -> None:
        """Shut all but those it starts from."""
        self._shut.fill_(True)
        start = torch.from_numpy(self.start).to(self._shut.device)
        self._shut[start] = self._zero[start]

    def everyone(self) -> None:
        """Open all but those chosen, and zeros."""
        self._shut.copy_(self._zero)
        self._close(self.chosen)
        self._dependent, self._refused = [], []

    def _close(self, candidates: Int[np.ndarray, " c"]) -> None:
        self._shut[torch.from_numpy(candidates)] = True

    def _open(self, candidates: list[int]) -> None:
        if candidates:
            index = np.setdiff1d(candidates, self.chosen)
            self._shut[torch.from_numpy(index)] = False
