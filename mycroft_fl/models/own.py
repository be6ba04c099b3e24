"""A network of one's own as a `Classifier`: its last linear layer found, its preparation kept."""

from __future__ import annotations

import copy
import functools
import logging
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mycroft_fl.errors import SettingError, one_line
from mycroft_fl.models.classifier import Classifier, InputShape
from mycroft_fl.models.foreign.own_objects import found, is_torch, made
from mycroft_fl.settings.own_names import own_name

log = logging.getLogger(__name__)
Transform = Callable[[Tensor], Tensor]
TRIED = 2  # inputs by which the last layer is found: one alone would hide a squeezed axis
NEAR = 1e-4


class OwnNetwork(Classifier):
    """A network of anybody's, whole. Its weights keep their own names in files.

    `head` is its last linear layer. Where it has none, `head` is a fixed identity behind the
    logits, `last_is_linear` is false, and gradients are by all layers.
    """

    transform: Transform | None

    def __init__(
        self, net: nn.Module, head: nn.Linear | None, num_classes: int, transform: Transform | None
    ) -> None:
        nn.Module.__init__(self)
        self.net = net
        self.last_is_linear = head is not None
        self.head = _identity(num_classes) if head is None else head
        # Past nn.Module, which would count its weights as the network's.
        object.__setattr__(self, "transform", transform)

    def features(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n p"]:
        """Return what the last linear layer is given; the logits where the last is not linear."""
        if not self.last_is_linear:
            return self.forward(x)
        seen: list[Tensor] = []
        watching = self.head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            self.forward(x)
        finally:
            watching.remove()
        return seen[-1]

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n classes"]:
        transform = self.transform
        logits: Tensor = _logits(self.net(x if transform is None else transform(x)))
        return logits

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return the weights under the network's own names."""
        return self.net.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Take weights under the network's own names."""
        return self.net.load_state_dict(*args, **kwargs)


def build_own(name: str, shape: InputShape, num_classes: int, *, seed: int) -> Classifier:
    """Return the network at an import path, with weights drawn from `seed` where it is made anew.

    `SettingError` where it cannot be made, or does not give one logit a class.

    Args:
        name: see `OwnName`.
        shape: of an example.
        num_classes: how many classes there are.
        seed: of weights that the factory draws.
    """
    own = own_name(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = made(own.path, shape, num_classes)
    if not isinstance(net, nn.Module):
        raise SettingError(
            f"model '{own.path}' made a {type(net).__name__}, not a torch.nn.Module; let it return a "
            "network"
        )
    transform = found(own.transform) if own.transform else None
    return as_classifier(net, shape, num_classes, head=own.head, transform=transform, name=own.path)


def is_own_network(name: str) -> bool:
    """Say whether that name of one's own model stands for a network."""
    return is_torch(own_name(name).path)


def as_classifier(
    net: nn.Module,
    shape: InputShape,
    num_classes: int,
    *,
    head: str = "",
    transform: Transform | None = None,
    name: str = "",
) -> Classifier:
    """Return a copy of a network, in float32 on the CPU, with its last linear layer known.

    `SettingError` where it cannot be run on examples of that shape, or gives no logits or gradients.

    Args:
        net: left as it is; where all of it is frozen, the copy is not.
        shape: of an example: images as floats in [0, 1], or vectors.
        num_classes: how many logits it must give.
        head: the path of its last linear layer; "" to find it.
        transform: prepares a batch before the network sees it.
        name: for messages; "" for the network's class.
    """
    name = name or type(net).__name__
    net = copy.deepcopy(net).float().cpu()
    if not any(each.requires_grad for each in net.parameters()):
        net.requires_grad_(True)  # wholly frozen for use, and here it is fitted
    if isinstance(net, Classifier) and transform is None:
        return net
    x = torch.rand(TRIED, *shape, generator=torch.Generator().manual_seed(0))
    logits, linear = _tried(net, x, transform, name)
    _check_logits(logits, num_classes, name)
    last = _named(net, head, linear, name) if head else _last(logits, linear)
    if last is None:
        _say_projected(name)
    elif getattr(last, "bias", None) is None:
        log.info("the last layer of '%s' has no bias: one of zeros is added", name)
        last.bias = nn.Parameter(torch.zeros(last.out_features))
    return OwnNetwork(net, last, num_classes, transform)


Called = dict[str, tuple[nn.Linear, list[Tensor]]]


def _tried(
    net: nn.Module, x: Tensor, transform: Transform | None, name: str
) -> tuple[Tensor, Called]:
    """Return the logits of a batch, and of each linear layer what it gave."""
    called: Called = {
        path: (each, []) for path, each in net.named_modules() if isinstance(each, nn.Linear)
    }
    watching = [
        each.register_forward_hook(functools.partial(_note, outputs))
        for each, outputs in called.values()
    ]
    training = net.training
    try:
        with torch.enable_grad():
            logits = _logits(net.eval()(x if transform is None else transform(x)))
    except Exception as error:  # a network of somebody's own may raise anything
        raise SettingError(
            f"model '{name}' cannot take examples of shape {tuple(x.shape[1:])} ({one_line(error)[:200]}); "
            "give a network for such a batch, or a transform that prepares it"
        ) from error
    finally:
        net.train(training)
        for each in watching:
            each.remove()
    if isinstance(logits, Tensor) and not logits.requires_grad:
        raise SettingError(
            f"model '{name}' lets no gradient through, so that it cannot be fitted; leave out no_grad and "
            "detach in its forward"
        )
    return (logits.detach() if isinstance(logits, Tensor) else logits), called


def _note(outputs: list[Tensor], layer: nn.Module, given: Any, output: Tensor) -> None:
    outputs.append(output.detach())


def _check_logits(logits: Any, num_classes: int, name: str) -> None:
    wanted = (TRIED, num_classes)
    if not isinstance(logits, Tensor) or tuple(logits.shape) != wanted:
        given = tuple(logits.shape[1:]) if isinstance(logits, Tensor) else type(logits).__name__
        raise SettingError(
            f"model '{name}' gives {given} for an example, and there are {num_classes} classes; let it "
            "give one logit for each class"
        )
    if not logits.isfinite().all():
        raise SettingError(f"model '{name}' gives logits that are not finite; look at its weights")
    ones = logits.sum(dim=1)
    if num_classes > 1 and (logits >= 0).all() and ((ones - 1).abs() < NEAR).all():
        raise SettingError(
            f"model '{name}' ends in a softmax, and a loss is of logits; leave the softmax out"
        )


def _named(net: nn.Module, head: str, linear: Called, name: str) -> nn.Linear:
    if head not in linear or len(linear[head][1]) != 1:
        used = [path for path, (_, outputs) in linear.items() if len(outputs) == 1]
        raise SettingError(
            f"model '{name}' has no linear layer '{head}' that it uses once; its linear layers are {used}"
        )
    return linear[head][0]


def _last(logits: Tensor, linear: Called) -> nn.Linear | None:
    """Return the linear layer whose output is the logits, or is them before a log-softmax."""
    for layer, outputs in reversed(linear.values()):
        if len(outputs) != 1 or outputs[0].shape != logits.shape:
            continue
        if torch.equal(outputs[0], logits):
            return layer
        if torch.allclose(outputs[0].log_softmax(1), logits, atol=NEAR):
            return layer
    return None


@functools.lru_cache(maxsize=64)
def _say_projected(name: str) -> None:
    log.warning(
        "the last layer of '%s' is not linear: gradients are by all layers, randomly projected",
        name,
    )


def _logits(output: Any) -> Any:
    """Return a network's logits; those of transformers come in an object."""
    return getattr(output, "logits", output)


def _identity(num_classes: int) -> nn.Linear:
    layer = nn.Linear(num_classes, num_classes).requires_grad_(False)
    nn.init.eye_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
