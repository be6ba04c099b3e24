"""Requests of a kilobyte by a listed trainer that ask for far more than the owner's task has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.hostile.findings import Finding, megabytes
from benchmarks.hostile.measured import Watch
from benchmarks.hostile.stage import Stage
from clients.serving.socket_protocol import ANSWERED
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import flat_weights

GROWS_AT_MOST = 192 << 20
SECONDS = 15.0
"""The longest that one of these may keep the vault busy."""
GIVEN_UP = 25.0  # seconds after which the vault ends a computation


def much_asked(stage: Stage) -> Iterator[Finding]:
    """Classes, epochs, architectures, weights and targets that no task of this owner's has."""
    owner = stage.owner(
        "small-ward", "--mode", "raw", "--mode", "score", "--max-records", "300", "--epsilon", "1.0",
        "--no-approval", policy={"answers": 20}, vault={"seconds": GIVEN_UP},
    )  # fmt: skip
    with owner.served() as vault:
        for seed, (name, changed) in enumerate(_requests(stage).items(), 900):
            # Loads what a model needs, in a process that the last attack may have brought to its end.
            owner.ask(stage.request(method="omp", seed=seed), seconds=120.0)
            request = stage.request(**changed)
            with Watch(vault.pid) as watch:
                status, _ = owner.ask(request, seconds=2 * GIVEN_UP)
            got = status == ANSWERED or watch.grown > GROWS_AT_MOST or watch.seconds > SECONDS
            said = {0: "silence", 1: "answered", 2: "refused"}.get(status, "an error")
            figure = f"{said} after {watch.seconds:.1f} s, memory +{megabytes(watch.grown)}"
            yield Finding("bounds", name, 1, int(got), figure)


def _requests(stage: Stage) -> dict[str, dict[str, Any]]:
    weights = flat_weights(build("mlp", stage.task.task.shape, 2, seed=0))
    return {
        "400,000 classes, a model of the owner's own": {"method": "omp", "num_classes": 400_000},
        "400,000 classes, a score": {"mode": "score", "num_classes": 400_000, "weights": weights},
        "1,000 epochs of a large model": {
            "method": "omp", "model": "resnet50", "owner_epochs": 1000,
        },
        "another model than the task's": {"method": "omp", "model": "vit"},
        "weights of another size": {
            "mode": "score", "weights": np.zeros(4 << 20, np.float32),
        },
        "every example at once": {"k": 1_000_000, "seed": 5},
    }  # fmt: skip
