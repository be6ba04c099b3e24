"""A model of one's own as `select` looks through it, its outputs in the order of the classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from mycroft_fl.errors import SettingError
from mycroft_fl.face.joined import Joined
from mycroft_fl.models.classifier import Classifier
from mycroft_fl.models.foreign.own_objects import made
from mycroft_fl.models.own import as_classifier
from mycroft_fl.settings.own_names import own_name


def looked_through(model: nn.Module | str, both: Joined, head: str, transform: Any) -> Classifier:
    """Return a network, or one at an import path, as it is looked through.

    It may know more classes than labels show only where a label is the place of an output.
    `SettingError` where the order of its outputs is unknown, or it does not fit.
    """
    shape, classes, name = tuple(both.candidates.x.shape[1:]), len(both.names), ""
    net: Any = model
    if isinstance(model, str):
        own = own_name(model)
        net, head, name = made(own.path, shape, classes), head or own.head, own.path
    if not isinstance(net, nn.Module):
        raise SettingError(
            f"model is a {type(net).__name__}; give a torch.nn.Module, or leave it out and compare features"
        )
    outputs = _outputs(net, shape, transform) or classes
    if outputs > classes and not both.ordered:
        raise SettingError(
            f"the model gives {outputs} logits, and the labels show {classes} classes: "
            f"{', '.join(both.names[:5])}; give classes=, their names in the order of the logits"
        )
    known = max(classes, outputs)
    return as_classifier(net, shape, known, head=head, transform=transform, name=name).eval()


@torch.no_grad()
def _outputs(net: nn.Module, shape: tuple[int, ...], transform: Any) -> int | None:
    """Return how many logits a network gives; None where it cannot be run, which is told elsewhere."""
    training = net.training
    where = next((each for each in net.parameters()), torch.zeros(1))
    x = torch.zeros(2, *shape)
    try:
        x = x if transform is None else transform(x)
        given = net.eval()(x.to(device=where.device, dtype=where.dtype))
        return int(getattr(given, "logits", given).shape[1])
    except Exception:
        return None
    finally:
        net.train(training)
