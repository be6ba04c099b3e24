"""What per-example gradients cost over the forward pass, and against building them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from benchmarks.matching.pursuit import factors
from benchmarks.timing import extra_megabytes, in_turn
from mycroft_fl.files import written_whole
from mycroft_fl.match.omp.pursuit import orthogonal_matching_pursuit
from mycroft_fl.represent.gradients.per_example import Atoms, GradientFactors, gradients

_PIECE, _BATCH = 500, 250
_TIMES, _FACTORS = ("forward", "gradients"), ("delta", "inputs")
_CHUNK = 1000  # rows of vmap(grad) that are there at once
_HARD = (16, 64)  # hard examples behind a target: what a trainer sends by default, and many

Runs = dict[str, Callable[[], object]]


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
    targets = [gradients(model, x[:m], y[:m], layers="all").mean() for m in _HARD]
    runs, dear = engine_runs(model, x, y, targets), rival_runs(model, x, y, targets[-1])
    megabytes = {}
    for name, run in (runs | dear).items():
        run()  # what is loaded at first use is no one's cost
        megabytes[name] = extra_megabytes(run)
    cheap = in_turn(5 * options.repeats, runs)
    all_of_them = in_turn(options.repeats, runs | dear)
    print(f"n = {n}, chunks of {_CHUNK}; all layers' factors hold "
          f"{4 * gradients(model, x[:1], y[:1], layers='all').numbers * n / 2**20:.0f} MB, "
          f"x among them, and rows would {4 * targets[0].numel() * n / 2**20:.0f} MB")  # fmt: skip
    print("| what | CPU s | times forward | MB more |\n|---|---|---|---|")
    for name in [*runs, *dear]:
        timed = cheap if name in runs else all_of_them
        ratio = timed[name].times(timed["forward"])
        print(f"| {name} | {timed[name].median:.4f} | {ratio:.3f} | {megabytes[name]:.0f} |")
    names, rivals = list(runs)[2:], list(dear)
    for ours, theirs in zip(names, [rivals[0], rivals[1], rivals[1]], strict=True):
        ratio = all_of_them[theirs].times(all_of_them[ours])
        print(f"{ours}: {ratio:.1f} times as fast as {theirs}")
    here, there = (all_of_them[name].result for name in (names[-1], rivals[-1]))
    print(f"products equal to {float((here - there).abs().max() / there.abs().max()):.0e}")


def engine_runs(model: Mlp, x: Tensor, y: Tensor, targets: list[Tensor]) -> Runs:
    """The forward pass, and what the engine makes of it; products with each target."""
    chunks = _chunks(x, y)

    def forward() -> None:
        with torch.no_grad():
            for part in x.split(512):
                model(part)

    def of_chunk(part: Tensor, labels: Tensor, target: Tensor) -> Tensor:
        return gradients(model, part, labels, layers="all", batch_size=_CHUNK).correlate(target)

    def products(target: Tensor) -> Tensor:
        return torch.cat([of_chunk(*each, target) for each in chunks])

    runs: Runs = {
        "forward": forward,
        "last layer": lambda: gradients(model, x, y),
        "all layers": lambda: gradients(model, x, y, layers="all"),
    }
    return runs | {
        f"all layers, products with a mean of {m}, in chunks": partial(products, target)
        for m, target in zip(_HARD, targets, strict=True)
    }


def rival_runs(model: Mlp, x: Tensor, y: Tensor, target: Tensor) -> Runs:
    """The same by explicit gradients."""
    rows, products = by_vmap(model, target)
    chunks = _chunks(x, y)
    return {
        "all layers by vmap(grad), in chunks": lambda: all(bool(rows(*each)) for each in chunks),
        "vmap(grad), products, in chunks": lambda: torch.cat([products(*each) for each in chunks]),
    }


def _chunks(x: Tensor, y: Tensor) -> list[tuple[Tensor, Tensor]]:
    return list(zip(x.split(_CHUNK), y.split(_CHUNK), strict=True))


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
    """Selecting by a ResNet-18: its forward pass, against that with gradients and 500 of 50,000.

    Piece by piece, the two in turn. What a piece took and its gradients are kept in a folder, so
    that a run that was cut short goes on where it stopped.
    """
    n, folder = options.candidates or 4000, options.folder / "mycroft-resnet"
    folder.mkdir(exist_ok=True)
    model = _resnet18()
    target = gradients(model, *_images(-1)).mean()  # and nothing below is a first use
    pieces = [_piece(model, start, folder) for start in range(0, n, _PIECE)]
    forward, backward = (np.array([piece[key] for piece in pieces]) for key in _TIMES)
    if n == 50_000:
        deltas, inputs = (np.concatenate([piece[key] for piece in pieces]) for key in _FACTORS)
        atoms, output = (
            GradientFactors(torch.from_numpy(deltas), torch.from_numpy(inputs)),
            "theirs",
        )
    else:
        atoms, target = factors(50_000, 10, 512, 0), factors(64, 10, 512, 1).mean()
        output = "made up, as large"
    select = {"select": lambda: orthogonal_matching_pursuit(atoms, target, 500)}
    found = in_turn(3, select)["select"]
    scale = 50_000 / n
    whole = (backward.sum() * scale + found.median) / (forward.sum() * scale)
    print(f"{n} candidates in pieces of {_PIECE}, times {scale:g}; picks among 50,000 gradients "
          f"({output}): {len(found.result.indices)}, {found.result.stopped}, "
          f"residual {found.result.unexplained:.5f}")  # fmt: skip
    print("| forward, CPU s | gradients | gradients over forward, median of pieces | 500 of 50,000 "
          "| all over forward |\n" + "|---" * 5 + "|")  # fmt: skip
    print(f"| {forward.sum() * scale:.0f} | {backward.sum() * scale:.0f} "
          f"| {np.median(backward / forward):.3f} | {found.median:.2f} | {whole:.3f} |")  # fmt: skip


def _piece(model: nn.Module, start: int, folder: Path) -> dict[str, np.ndarray]:
    path = folder / f"{start}.npz"
    if not path.exists():
        x, y = _images(start)

        def forward() -> None:
            with torch.no_grad():
                for part in x.split(_BATCH):
                    model(part)

        def backward() -> Atoms:
            return gradients(model, x, y, batch_size=_BATCH)

        runs = [("forward", forward), ("gradients", backward)]
        timed = in_turn(1, dict(runs if start // _PIECE % 2 else runs[::-1]))
        made = timed["gradients"].result
        seconds = {name: each.seconds[0] for name, each in timed.items()}
        with written_whole(path) as file:
            np.savez(file, delta=made.delta.numpy(), inputs=made.inputs.numpy(), **seconds)
    with np.load(path) as kept:
        return dict(kept)


def _images(start: int) -> tuple[Tensor, Tensor]:
    """Images and labels drawn at random: what a pass takes does not depend on them."""
    generator = torch.Generator().manual_seed(start + 1)
    count = _PIECE if start >= 0 else 64
    x = torch.rand(count, 3, 32, 32, generator=generator)
    return x, torch.randint(10, (count,), generator=generator)


def _resnet18() -> nn.Module:
    import torchvision

    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=10)
    model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    head, model.fc = model.fc, nn.Identity()
    return _Headed(model, head).eval()


class _Headed(nn.Module):
    def __init__(self, features: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.features, self.head = features, head

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits
