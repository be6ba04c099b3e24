"""`dp-sgd` asked with a head under which one known record's logit overflows: is the record there?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.hostile.findings import Finding
from benchmarks.hostile.stage import RECORDS, Owner, Stage, patients
from clients.serving.socket_protocol import ANSWERED
from mycroft_fl.errors import MycroftError
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import flat_head, flat_weights
from mycroft_fl.protocol.messages import Expected, Request
from mycroft_fl.protocol.signed import carry, unpack_sealed
from mycroft_fl.protocol.wire import unpack_report

ASKED = 12
KNOWN = "1000.000000,1000.000000,east,known-1,yes,ill"
"""The one record that the attacker looks for: far from all others, as a rare case is."""


def distinguished(stage: Stage) -> Iterator[Finding]:
    """Two owners that differ in one record, asked the same: answers must not tell them apart."""
    count = stage.number(ASKED)
    table = patients(RECORDS, seed=77)
    outcomes = {
        "with it": _outcomes(stage, "with-ward", table + KNOWN + "\n", count),
        "without it": _outcomes(stage, "without-ward", table, count),
    }
    if all(each == "no answer" for answers in outcomes.values() for each in answers):
        raise RuntimeError("no vault answered, so that nothing was tried; its owner.log says why")
    flawed = sum(each.count("not finite") for each in outcomes.values())
    lost = sum(each.count("no answer") for each in outcomes.values())
    with_it, without = (each.count("finite") for each in outcomes.values())
    output = max(flawed, abs(with_it - without))
    figure = f"finite {with_it} with the record, {without} without; {flawed} not finite, {lost} unanswered"
    yield Finding("dp-sgd", "a head that overflows for one record", 2 * count, output, figure)


def _outcomes(stage: Stage, name: str, table: str, count: int) -> list[str]:
    """What each request's answer is: finite, not finite, or none."""
    owner = stage.owner(
        name, "--mode", "score", "--mode", "dp-sgd", "--epsilon", "50",
        policy={"sample-rate": 0.5, "sgd-steps": 20}, table=table,
    )  # fmt: skip
    # By record: by person it was refused before, and this attack is of the sum, not of the unit.
    with owner.file() as content:
        content["dataset"].pop("unit-id", None)
        content["dataset"]["drop"] = ["patient"]
        # One run may have a share of the budget: so much of a share that each request has one.
        content["policy"] |= {"epsilon": 50.0 * count, "sgd-share": 0.9 / count}
    with owner.served():
        return [_outcome(owner, _hostile(stage, seed)) for seed in range(count)]


def _hostile(stage: Stage, seed: int) -> Request:
    """Weights and a head, all finite float32, under which that record alone has a logit beyond float32."""
    task = stage.task.task
    model = build("mlp", task.shape, 2, seed=seed)
    head = np.full_like(flat_head(model), 1e36)
    # Opposite rows, so that infinite logits meet as inf - inf.
    head[: len(head) // 2] *= -1
    return stage.request(
        mode="dp-sgd", weights=flat_weights(model), head=head, rate=0.01, seed=seed, server_round=1
    )


def _outcome(owner: Owner, request: Request) -> str:
    stage, terms = owner.stage, owner.terms(120.0)  # the first loads what the others find loaded
    status, sealed = owner.send(owner.signed(request, terms=terms), 120.0)
    if status != ANSWERED:
        return "no answer"
    size = len(flat_head(build("mlp", stage.task.task.shape, 2, seed=0)))
    task = stage.task.task
    expected = Expected(task.shape, task.dtype, 2, request.k, values=size)
    content, _ = unpack_sealed(carry(sealed, "answered"), terms, stage.lab)
    try:
        report = unpack_report(content, expected)
    except MycroftError:
        return "not finite"
    assert report.statistic is not None
    return "finite" if np.isfinite(report.statistic.values).all() else "not finite"
