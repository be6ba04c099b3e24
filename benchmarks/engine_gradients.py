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
    """The forward pass, gradients, and products with a target through them or through vmap(grad)."""
    torch.manual_seed(0)
    model, n = Mlp().eval(), options.candidates or 10_000
    x, y = torch.rand(n, 784), torch.randint(10, (n,))
    target = gradients(model, x[:64], y[:64], layers="all").mean()
    rows = explicit(model)

    def forward() -> None:
        with torch.no_grad():
            for part in x.split(512):
                model(part)

    def vmapped() -> Tensor:
        parts = zip(x.split(_CHUNK), y.split(_CHUNK), strict=True)
        return torch.cat([rows(part, labels) @ target for part, labels in parts])

    runs: dict[str, Callable[[], object]] = {
        "forward": forward,
        "last layer": lambda: gradients(model, x, y),
        "all layers": lambda: gradients(model, x, y, layers="all"),
        "all layers and their products with a target": lambda: gradients(
            model, x, y, layers="all"
        ).correlate(target),
    }
    many = {"vmap(grad) and the same products": vmapped}
    for run in [*runs.values(), *many.values()]:
        run()
    cheap = in_turn(5 * options.repeats, runs)
    dear = in_turn(options.repeats, {"ours": list(runs.values())[-1]} | many)
    print(f"n = {n}\n| what | CPU s | times forward | MB more |\n|---|---|---|---|")
    for name, run in runs.items():
        ratio = cheap[name].times(cheap["forward"])
        print(f"| {name} | {cheap[name].median:.4f} | {ratio:.3f} | {extra_megabytes(run):.0f} |")
    ours, theirs = dear["ours"], dear[next(iter(many))]
    print(f"| {next(iter(many))} | {theirs.median:.3f} | | {extra_megabytes(vmapped):.0f} |")
    error = float((ours.result - theirs.result).abs().max() / theirs.result.abs().max())
    print(f"products through factors {theirs.times(ours):.1f} times as fast, equal to {error:.0e}")


def explicit(model: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """What gives one gradient a row, layer by layer in the order that the engine has them."""
    parameters = {name: value.detach() for name, value in model.named_parameters()}

    def loss(parameters: dict[str, Tensor], one: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(model, parameters, (one[None],))
        return nn.functional.cross_entropy(logits, label[None])

    each = vmap(grad(loss), in_dims=(None, 0, 0))

    def rows(x: Tensor, y: Tensor) -> Tensor:
        found = each(parameters, x, y)
        layers = [name.removesuffix(".weight") for name in found if name.endswith(".weight")]
        # As the engine has a layer: C x (p+1), the bias in the last column.
        return torch.cat(
            [
                torch.cat([found[f"{at}.weight"], found[f"{at}.bias"][:, :, None]], 2).flatten(1)
                for at in layers
            ],
            dim=1,
        )

    return rows


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
