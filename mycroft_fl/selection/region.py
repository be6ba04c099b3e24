"""The method that covers the region in which a failure detector finds failures."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float64

from mycroft_fl.examples import Examples
from mycroft_fl.match.facility import facility_location
from mycroft_fl.models.fitting import as_input, logits
from mycroft_fl.models.networks import Classifier
from mycroft_fl.protocol.detector import Detector
from mycroft_fl.selection.query import Query
from mycroft_fl.selection.result import Pool, Selection

BLOCK = 4096
"""Records that are looked at together."""
KNOWN = 0.3
"""The worth of a record in the region that the trainer's model is sure of, beside one that it misses."""


def detector_cover(candidates: Examples, query: Query, k: int) -> Selection:
    """Pick a label-wise cover of the records in the detector's region, likely failures first.

    A record weighs p (.3 + .7 (1 - q)): p is the detector's probability of a failure, q the
    trainer's model's of the record's label (left out where no model came). May end with fewer than
    k: what lies outside the region is not offered as a substitute.
    """
    detector, pool = query.require_detector(), Pool.of(candidates, query)
    probability = _probabilities(detector, query.model, pool.examples)
    inside = np.flatnonzero(probability >= detector.threshold)
    there = pool.examples[inside]
    weights = probability[inside] * _worth(query.model, there)
    sent = np.flatnonzero(pool.sent[inside])
    z = seen_by(detector, query.model, there)
    found = facility_location(z, there.y, weights, k, start=sent)
    return Selection.unweighted(inside[found.indices])


def _probabilities(
    detector: Detector, model: Classifier | None, examples: Examples
) -> Float64[np.ndarray, " n"]:
    """Give each record's probability of a failure, a block at a time; 0 where the detector knows none."""
    probability = np.zeros(len(examples))
    known = np.flatnonzero((examples.y >= 0) & (examples.y < detector.num_classes))
    for rows in np.array_split(known, -(-len(known) // BLOCK) or 1):
        some = examples[rows]
        likely = detector.probability(seen_by(detector, model, some), some.y)
        probability[rows] = np.nan_to_num(likely)
    return probability


def seen_by(
    detector: Detector, model: Classifier | None, examples: Examples
) -> Float64[np.ndarray, "n d"]:
    """Give records as a detector sees them, through the trainer's model where it looks at one."""
    hidden = hidden_layer(model, examples) if detector.hidden and model is not None else None
    return detector.seen(flat_inputs(examples), hidden)


def flat_inputs(examples: Examples) -> Float[np.ndarray, "n p"]:
    """Give the inputs, flat, images between 0 and 1."""
    return as_input(examples.x).flatten(start_dim=1).numpy()


@torch.no_grad()
def hidden_layer(model: Classifier, examples: Examples) -> Float[np.ndarray, "n h"]:
    """Give the last hidden layer of a network, or a frozen encoder's embedding."""
    network = model.eval()
    parts = [network.features(part) for part in torch.split(as_input(examples.x), 1024)]
    return torch.cat(parts).numpy()


def _worth(model: Classifier | None, examples: Examples) -> Float64[np.ndarray, " n"]:
    if model is None or not len(examples):
        return np.ones(len(examples))
    likely = torch.softmax(logits(model, examples.x).double(), dim=1).numpy()
    worth: np.ndarray = KNOWN + (1 - KNOWN) * (1 - likely[np.arange(len(examples)), examples.y])
    return worth
