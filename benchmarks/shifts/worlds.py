"""The worlds and the rules that are compared: one line each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class World:
    """A scenario with the groups that its trainer's model fails on, and settings laid over it."""

    scenario: str
    failing: tuple[str, ...]
    settings: Settings = field(default_factory=dict)


SERVICES = (
    "auto-and-commute", "banking", "credit-cards", "home", "kitchen-and-dining", "meta", "small-talk",
    "utility", "work",
)  # fmt: skip
ENCODER = "timm:tf_efficientnet_lite0:package@96"
TREES = {"proxy": "mlp"}
"""Trees have no gradients; what looks through one looks through a network in their place."""


def _few(scenario: str, group: str, count: int, others: Settings) -> World:
    """A world in which the trainer knows few failures: `count` validation examples of the group."""
    counts = {group: count, **others}
    return World(
        scenario, (group,), {f"trainer.validation.{name}": size for name, size in counts.items()}
    )


SENTENCES = {
    "path": "$MYCROFT_DATA/clinc150/train.csv.gz", "text": "text", "label": "intent",
}  # fmt: skip
"""CLINC150 as it is: sentences, which a scenario holds as vectors elsewhere."""
STATIC, MINILM = (
    "model2vec:wordllama:package",
    "sentence-transformers:all-MiniLM-L6-v2:package",
)


def _texts(scenario: str, encoder: str, more: Settings) -> World:
    """A world of sentences about travel, seen by that encoder."""
    return World(scenario, ("travel",), {"model": f"linear:{encoder}", **more})


WORLDS = {
    "pacs-sketch": World("pacs-sketch", ("sketch",)),
    "pacs-cartoon": World("pacs-cartoon", ("cartoon",)),
    "clinc150-travel": World("clinc150-travel", ("travel",)),
    "clinc150-banking": World("clinc150-banking", ("banking",)),
    "hospitals": World("hospitals", ("orthopedics",)),
    "payers": World("payers", ("medicare",)),
    "heart": World("heart", ("veterans",)),
    "three-groups": World("three-groups", ("bags", "sandals", "coats")),
    "rotated-digits": World("rotated-digits", ("rotated",)),
    "scarce-fashion": World("scarce-fashion", ("scarce",)),
    "spurious-fashion": World("spurious-fashion", ("swapped",)),
    "intrusion-forest": World("intrusion-nsl-kdd", ("missing",), TREES),
    "scarce-cifar10": World("scarce-cifar10", ("scarce",)),
    "scarce-cifar10-encoder": World(
        "scarce-cifar10",
        ("scarce",),
        {"model": f"linear:{ENCODER}", "feature-space": ENCODER, "fine-tune.learning-rate": 3e-3},
    ),
    "intrusion-tree": World("intrusion-nsl-kdd", ("missing",), {**TREES, "model": "decision-tree"}),
    "intrusion-boosting": World(
        "intrusion-nsl-kdd", ("missing",), {**TREES, "model": "gradient-boosting"}
    ),
    "intrusion-mlp": World("intrusion-nsl-kdd", ("missing",), {"model": "mlp"}),
    "intents": World("intents", ("travel",)),
    "intents-static": _texts("intents", STATIC, {}),
    "intents-minilm": _texts("intents", MINILM, {}),
    "clinc150-tfidf": _texts("clinc150-travel", "tfidf", {"dataset": SENTENCES}),
    "clinc150-static": _texts("clinc150-travel", STATIC, {"dataset": SENTENCES}),
    "clinc150-minilm": _texts("clinc150-travel", MINILM, {"dataset": SENTENCES}),
    # From 8 to 32 failures in all validation examples.
    "pacs-sketch-few": _few("pacs-sketch", "sketch", 15, {"photo": 100}),
    "clinc150-travel-few": _few("clinc150-travel", "travel", 15, dict.fromkeys(SERVICES, 10)),
    "rotated-digits-few": _few("rotated-digits", "rotated", 20, {"upright": 60}),
}
RULES: dict[str, Settings] = {
    "hard-features": {"method": "hard-features"},
    "detector": {"method": "detector-cover"},
    "detector-counted": {
        "method": "detector-cover",
        "mode": "score-then-raw",
        "policy.epsilon": 1.0,
    },
    "random": {"method": "random"},
}
"""A rule is a row of the table: its name, and the settings that make it."""
