"""The sources that a fine-tune draws its batches from."""

from __future__ import annotations

from dataclasses import dataclass

from mycroft_fl.examples import Examples


@dataclass(frozen=True)
class Source:
    """Examples that make up a share of every batch of a fine-tune."""

    examples: Examples
    share: float
