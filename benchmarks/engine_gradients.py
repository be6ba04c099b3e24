"""What per-example gradients cost over the forward pass, and against building them."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from engine_pursuit import factors
from timing import extra_megabytes, in_turn
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from mycroft_fl.match.omp import orthogonal_matching_pursuit
from mycroft_fl.represent.gradients import gradients

_CHUNK = 1000  # rows of vmap(grad) that are there at once


class Mlp(nn.Module):
    """784-256-10."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(784, 256), nn.Linear(256, 10)

    def features(self, x: Tensor) -> Tensor:
        """The last hidden layer."""
        return self.body(x).relu()

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.head(self.features(x))
        return logits


def gradient_cost(options: argparse.Namespace) -> None:
    """The forward pass and gradients; then products with a target, in chunks, not kept."""
    torch.manual_seed(0)
    model, n = Mlp().eval(), options.candidates or 10_000
    x, y = torch.rand(n, 784), torch.randint(10, (n,))
    target = gradients(model, x[:64], y[:64], layers="all").mean()
    chunks = list(zip(x.split(_CHUNK), y.split(_CHUNK), strict=True))

    def forward() -> None:
        with torch.no_grad():
            for part in x.split(512):
                model(part)

    def products(part: Tensor, labels: Tensor) -> Tensor:
        return gradients(model, part, labels, layers="all").correlate(target)

    rows, row_products = by_vmap(model, target)
    runs: dict[str, Callable[[], object]] = {
        "forward": forward,
        "last layer": lambda: gradients(model, x, y),
        "all layers": lambda: gradients(model, x, y, layers="all"),
        "all layers, products, in chunks": lambda: torch.cat([products(*each) for each in chunks]),
    }
    dear: dict[str, Callable[[], object]] = {
        "all layers by vmap(grad), in chunks": lambda: all(bool(rows(*each)) for each in chunks),
        "vmap(grad), products, in chunks": lambda: torch.cat([row_products(*e) for e in chunks]),
    }
    megabytes = {name: extra_megabytes(run) for name, run in (runs | dear).items()}
    cheap = in_turn(5 * options.repeats, runs)
    all_of_them = in_turn(options.repeats, runs | dear)
    print(f"n = {n}, chunks of {_CHUNK}; all layers' factors hold "
          f"{4 * gradients(model, x[:1], y[:1], layers='all').numbers * n / 2**20:.0f} MB, "
          f"x among them, and rows would {4 * target.numel() * n / 2**20:.0f} MB")  # fmt: skip
    print("| what | CPU s | times forward | MB more |\n|---|---|---|---|")
    for name in [*runs, *dear]:
        timed = cheap if name in runs else all_of_them
        ratio = timed[name].times(timed["forward"])
        print(f"| {name} | {timed[name].median:.4f} | {ratio:.3f} | {megabytes[name]:.0f} |")
    for ours, theirs in zip(list(runs)[2:], dear, strict=True):
        ratio = all_of_them[theirs].times(all_of_them[ours])
        print(f"{ours}: {ratio:.1f} times as fast as {theirs}")
    here, there = (all_of_them[name].result for name in (list(runs)[3], list(dear)[1]))
    print(f"products equal to {float((here - there).abs().max() / there.abs().max()):.0e}")


def by_vmap(
    model: nn.Module, target: Tensor
) -> tuple[Callable[[Tensor, Tensor], object], Callable[[Tensor, Tensor], Tensor]]:
    """What gives explicit gradients, and their products with a target that the engine made."""
    parameters = {name: value.detach() for name, value in model.named_parameters()}

    def loss(parameters: dict[str, Tensor], one: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(model, parameters, (one[None],))
        return nn.functional.cross_entropy(logits, label[None])

    each = vmap(grad(loss), in_dims=(None, 0, 0))
    layers = [name for name in parameters if name.endswith(".weight")]
    sizes = [parameters[name].numel() + len(parameters[name]) for name in layers]
    pieces: dict[str, Tensor] = {}
    for name, piece in zip(layers, target.split(sizes), strict=True):
        # As the engine has a layer: C x (p+1), the bias in the last column.
        both = piece.reshape(len(parameters[name]), -1)
        pieces[name] = both[:, :-1].flatten()
        pieces[name.replace(".weight", ".bias")] = both[:, -1].contiguous()

    def products(x: Tensor, y: Tensor) -> Tensor:
        found = each(parameters, x, y)
        return sum(found[name].flatten(1) @ piece for name, piece in pieces.items())  # type: ignore[return-value]

    return lambda x, y: each(parameters, x, y), products


def resnet(options: argparse.Namespace) -> None:
    """Selecting by a ResNet-18: its forward pass, against that with gradients and 500 of 50,000."""
    import torchvision

    model = torchvision.models.resnet18(num_classes=10).eval()
    model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    model.head, model.fc = model.fc, nn.Identity()
    wrapped, n = _Headed(model, model.head), options.candidates or 1000
    x, y = torch.rand(n, 3, 32, 32), torch.randint(10, (n,))

    def forward() -> None:
        with torch.no_grad():
            for part in x.split(250):
                wrapped(part)

    atoms, target = factors(50_000, 10, 512, 0), factors(64, 10, 512, 1).mean()
    runs: dict[str, Callable[[], object]] = {
        "forward": forward,
        "gradients": lambda: gradients(wrapped, x, y, batch_size=250),
    }
    select = {"select": lambda: orthogonal_matching_pursuit(atoms, target, 500)}
    found = in_turn(options.repeats, runs) | in_turn(3, select)
    scale = 50_000 / n
    whole, share = found["forward"].median * scale, found["gradients"].times(found["forward"])
    picking = found["select"].median
    print(f"on {n} candidates, times {scale:g}; the selection itself on all 50,000")
    print("| forward | gradients over forward | 500 of 50,000 | all over forward |")
    print("|---|---|---|---|")
    print(f"| {whole:.0f} | {share:.3f} | {picking:.2f} | {share + picking / whole:.3f} |")


class _Headed(nn.Module):
    def __init__(self, features: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.features, self.head = features, head

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits
