"""What gradient matching costs, against public solvers: one claim a sub-command.

    python benchmarks/engine.py omp|pools|gradients|nearest|resnet|stream|gpu [--size s,m,w,l]
                                [--repeats 5] [--candidates N] [--folder FOLDER]

Process CPU seconds of one thread, competitors in turn within every repeat, medians; residuals and
picks are compared. Peers are installed on first use into a folder of their own. Run it with
OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1, and, in fairness to peers on NumPy,
with OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE unset (`env -u`); what NumPy got is printed first.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peers
import torch
from threadpoolctl import threadpool_info
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from mycroft_fl.match.nearest import nearest_each
from mycroft_fl.match.omp import orthogonal_matching_pursuit
from mycroft_fl.represent.gradients import DenseAtoms, GradientFactors, gradients
from mycroft_fl.represent.streamed import StreamedAtoms

# n, outputs C, inputs p and k: d = C (p + 1).
SIZES = {
    "s": (1_000, 10, 63, 50),
    "m": (10_000, 10, 512, 100),
    "w": (5_000, 20, 999, 200),
    "l": (50_000, 10, 512, 500),
}


def main() -> None:
    """One sub-command's table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("claim", choices=sorted(CLAIMS))
    parser.add_argument("--size", default="s,m,w")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    torch.set_num_threads(1)
    blas = [f"{each['internal_api']} {each.get('architecture')}" for each in threadpool_info()]
    print(f"torch {torch.__version__}, {torch.get_num_threads()} thread; {', '.join(blas)}")
    CLAIMS[options.claim](options)


def factors(n: int, outputs: int, inputs: int, seed: int) -> GradientFactors:
    """Last-layer gradients as a classifier has them: positive features, softmax minus one-hot."""
    generator = torch.Generator().manual_seed(seed)
    delta = (2 * torch.randn(n, outputs, generator=generator)).softmax(1)
    delta[torch.arange(n), torch.randint(outputs, (n,), generator=generator)] -= 1
    return GradientFactors(delta, torch.randn(n, inputs, generator=generator).abs())


def rows_of(atoms: GradientFactors) -> Tensor:
    """n x d, what the peers need."""
    inputs = torch.cat([atoms.inputs, torch.ones(len(atoms), 1)], 1)
    return torch.einsum("nc,np->ncp", atoms.delta, inputs).flatten(1)


def in_turn(repeats: int, runs: dict[str, Callable[[], Any]]) -> dict[str, tuple[float, Any]]:
    """Each one's median CPU seconds and last result."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    results = {}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.process_time()
            results[name] = run()
            seconds[name].append(time.process_time() - start)
    return {name: (statistics.median(seconds[name]), results[name]) for name in runs}


def omp(options: argparse.Namespace) -> None:
    """Three comparisons under the same constraint, and the passes that any solver must make."""
    peers.install()
    print("| size | solver | CPU s | times ours | residual | atoms | picks as ours |")
    print("|---|---|---|---|---|---|---|")
    for size in options.size.split(","):
        n, outputs, inputs, k = SIZES[size]
        atoms, target = factors(n, outputs, inputs, 0), factors(64, outputs, inputs, 1).mean()
        rows = rows_of(atoms)
        norms = rows.norm(dim=1)
        unit = np.asfortranarray((rows / norms[:, None]).numpy().T)
        aim = target.flatten().numpy()

        def ours(weighing: dict[str, Any], atoms=atoms, target=target, k=k) -> Any:
            return orthogonal_matching_pursuit(atoms, target, k, tolerance=0.0, **weighing)

        def passes(atoms=atoms, k=k) -> None:
            for one in range(k):
                atoms.gram(torch.tensor([one]))

        free, ols = {"nonnegative": False}, {"nonnegative": False, "rule": "ols"}
        pairs: list[tuple[str, dict[str, Any], str, Callable[[], Any]]] = [
            ("free", free, "scikit-learn", lambda: peers.scikit_learn(unit, aim, k)),  # noqa: B023
            ("free, ols", ols, "SPAMS", lambda: peers.spams(unit, aim, k)),  # noqa: B023
            ("non-negative", {}, "CORDS", lambda: peers.cords(unit, aim, k)),  # noqa: B023
            ("non-negative", {}, "k factored passes", passes),
        ]
        for name, weighing, peer, run in pairs:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = in_turn(options.repeats, {"ours": lambda w=weighing: ours(w), peer: run})
            _report(size, name, peer, found, unit, aim)


def _report(
    size: str, name: str, peer: str, found: dict[str, Any], unit: np.ndarray, aim: np.ndarray
) -> None:
    (our_seconds, ours), (seconds, weights) = found["ours"], found[peer]
    print(
        f"| {size} | ours, {name} | {our_seconds:.4f} | 1 | {ours.unexplained:.5f} "
        f"| {len(ours.indices)} | |"
    )
    shared = ""
    told = "| |"
    if weights is not None:
        chosen = np.flatnonzero(weights)
        residual = np.linalg.norm(aim - unit[:, chosen] @ weights[chosen]) / np.linalg.norm(aim)
        told = f"{residual:.5f} | {len(chosen)} |"
        shared = f"{len(set(chosen) & set(ours.indices.tolist()))} of {len(ours.indices)}"
    ratio = seconds / our_seconds
    print(f"| {size} | {peer} | {seconds:.4f} | {ratio:.1f} | {told} {shared} |", flush=True)


def pools(options: argparse.Namespace) -> None:
    """The eight hard pools: distinct, finite, non-negative; residual against CORDS, same rule."""
    peers.install()
    print("| pool | ours | atoms | ended by | CORDS | atoms |\n|---|---|---|---|---|---|")
    for name, (rows, target) in hard_pools().items():
        found = orthogonal_matching_pursuit(DenseAtoms(rows), target, 100, rule="dot")
        columns = np.ascontiguousarray(rows.numpy().T)
        try:
            weights = peers.cords(columns, target.numpy(), 100)
            residual = np.linalg.norm(target.numpy() - columns @ weights) / target.norm().item()
            theirs = f"{residual:.5f} | {np.count_nonzero(weights)}"
        except Exception as error:
            theirs = f"{type(error).__name__} | "
        assert len(set(found.indices.tolist())) == len(found.indices)
        assert bool((found.weights > 0).all() & found.weights.isfinite().all())
        print(
            f"| {name} | {found.unexplained:.5f} | {len(found.indices)} | {found.stopped} "
            f"| {theirs} |"
        )


def hard_pools(n: int = 120, d: int = 40) -> dict[str, tuple[Tensor, Tensor]]:
    """What breaks public solvers."""
    torch.manual_seed(0)
    rows, target, few = torch.randn(n, d), torch.randn(d) + 0.5, torch.randn(12, d)
    cone = torch.randn(n, d).abs()
    return {
        "normal": (rows, target),
        "duplicates": (few.repeat(n // 12, 1), target),
        "near-duplicates": (few.repeat(n // 12, 1) + 1e-5 * rows, target),
        "vanishing": (rows * torch.logspace(-20, -14, n)[:, None], target),
        "zero rows": (rows * (torch.arange(n) % 3 == 0)[:, None], target),
        "six decades": (rows * torch.logspace(-3, 3, n)[torch.randperm(n)][:, None], target),
        "rank below k": (torch.randn(n, 5) @ torch.randn(5, d), target),
        "in the cone": (cone, cone[[3, 50, 99]].sum(0)),
    }


def gradient_cost(options: argparse.Namespace) -> None:
    """An MLP 784-256-10: the forward pass, the last layer, all layers, and vmap(grad)."""
    torch.manual_seed(0)
    model = _Mlp().eval()
    n = max(options.candidates, 1000)
    x, y = torch.rand(n, 784), torch.randint(10, (n,))
    parameters = {name: value.detach() for name, value in model.named_parameters()}

    def loss(parameters: dict[str, Tensor], one: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(model, parameters, (one[None],))
        return nn.functional.cross_entropy(logits, label[None])

    def forward() -> None:
        with torch.no_grad():
            for part in x.split(512):
                model(part)

    def explicit() -> None:
        for part, labels in zip(x.split(500), y.split(500), strict=True):
            vmap(grad(loss), in_dims=(None, 0, 0))(parameters, part, labels)

    found = in_turn(
        options.repeats,
        {
            "forward": forward,
            "last layer": lambda: gradients(model, x, y),
            "all layers": lambda: gradients(model, x, y, layers="all"),
            "vmap(grad), rows not kept": explicit,
        },
    )
    print(f"n = {n}\n| what | CPU s | times forward |\n|---|---|---|")
    for name, (seconds, _) in found.items():
        print(f"| {name} | {seconds:.4f} | {seconds / found['forward'][0]:.2f} |")
    atoms = found["all layers"][1]
    print(f"numbers held per example: {atoms.numbers // n}; rows would be {atoms.shape[0]}")


class _Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(784, 256), nn.Linear(256, 10)

    def features(self, x: Tensor) -> Tensor:
        return self.body(x).relu()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits


def nearest(options: argparse.Namespace) -> None:
    """Exact top 10 of 200 queries among candidates of 512 features."""
    peers.install()
    from sklearn.neighbors import NearestNeighbors

    faiss, rng = peers.faiss(), np.random.default_rng(0)
    candidates = rng.standard_normal((options.candidates, 512), dtype=np.float32)
    queries = rng.standard_normal((200, 512), dtype=np.float32)
    there, here = torch.from_numpy(candidates), torch.from_numpy(queries)

    def flat() -> np.ndarray:
        index = faiss.IndexFlatL2(512)
        index.add(candidates)
        found: np.ndarray = index.search(queries, 10)[1]
        return found

    brute = NearestNeighbors(n_neighbors=10, algorithm="brute").fit(candidates)
    before = _peak()
    nearest_each(there, here, 10)
    extra = _peak() - before
    found = in_turn(
        options.repeats,
        {
            "ours": lambda: nearest_each(there, here, 10).candidate.reshape(200, 10).numpy(),
            "scikit-learn": lambda: brute.kneighbors(queries)[1],
            "faiss flat": flat,
        },
    )
    print(f"{options.candidates} candidates; ours takes {extra:.0f} MB more")
    print("| solver | CPU s | times ours | the same neighbours |\n|---|---|---|---|")
    for name, (seconds, picks) in found.items():
        agreed = float((picks == found["ours"][1]).mean())
        print(f"| {name} | {seconds:.3f} | {seconds / found['ours'][0]:.2f} | {agreed:.4f} |")


def resnet(options: argparse.Namespace) -> None:
    """Selecting by a ResNet-18: forward pass alone, against last-layer gradients and 500 of 50,000."""
    import torchvision

    model = torchvision.models.resnet18(num_classes=10).eval()
    model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    model.head, model.fc = model.fc, nn.Identity()
    wrapped = _Headed(model, model.head)
    n = options.candidates
    x, y = torch.rand(n, 3, 32, 32), torch.randint(10, (n,))

    def forward() -> None:
        with torch.no_grad():
            for part in x.split(256):
                wrapped(part)

    atoms, target = factors(50_000, 10, 512, 0), factors(64, 10, 512, 1).mean()
    found = in_turn(
        options.repeats,
        {
            "forward": forward,
            "gradients": lambda: gradients(wrapped, x, y, batch_size=256),
            "select": lambda: orthogonal_matching_pursuit(atoms, target, 500),
        },
    )
    scale = 50_000 / n
    whole, both = found["forward"][0] * scale, found["gradients"][0] * scale + found["select"][0]
    print(f"on {n} candidates, times {scale:g}; the selection itself on all 50,000")
    print("| forward | gradients | 500 of 50,000 | all over forward |\n|---|---|---|---|")
    print(
        f"| {whole:.0f} | {found['gradients'][0] * scale:.0f} | {found['select'][0]:.2f} "
        f"| {both / whole:.3f} |"
    )


class _Headed(nn.Module):
    def __init__(self, features: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.features, self.head = features, head

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits


def stream(options: argparse.Namespace) -> None:
    """100 among candidates of 512 features that lie in a file: time and peak memory."""
    path = options.folder / f"mycroft-stream-{options.candidates}.npy"
    if not path.exists():
        rng, shape = np.random.default_rng(0), (options.candidates, 512)
        aside = path.with_suffix(".part")
        file = np.lib.format.open_memmap(aside, "w+", np.float32, shape)
        for start in range(0, len(file), 10_000):
            block = file[start : start + 10_000]
            block[:] = rng.standard_normal(block.shape, dtype=np.float32) + 0.1
        file.flush()
        aside.rename(path)
        print(f"{path} is written; call again, for what writing took would count as memory")
        return
    target = torch.from_numpy(np.random.default_rng(1).standard_normal(512) + 0.1).float()
    before, start = _peak(), time.process_time()
    found = orthogonal_matching_pursuit(StreamedAtoms((np.load(path, mmap_mode="r"),)), target, 100)
    seconds = time.process_time() - start
    print(
        f"{options.candidates} x 512: {len(found.indices)} picks, residual {found.unexplained:.5f}, "
        f"{seconds:.1f} CPU s; peak memory {_peak():.0f} MB, of which {before:.0f} before"
    )


def gpu(options: argparse.Namespace) -> None:
    """n = 1,000,000, p = 2,048, C = 1,000, k = 1,000 on a card, against k passes over H and D."""
    generator = torch.Generator("cuda").manual_seed(0)
    delta = torch.randn(1_000_000, 1_000, device="cuda", generator=generator).softmax(1)
    inputs = torch.randn(1_000_000, 2_048, device="cuda", generator=generator).abs()
    atoms = GradientFactors(delta, inputs)
    target = atoms[torch.arange(64, device="cuda")].mean()
    copy = torch.empty_like(inputs)
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(10):
        copy.copy_(inputs)
    torch.cuda.synchronize()
    bandwidth = 20 * inputs.numel() * 4 / (time.perf_counter() - start)
    del copy
    start = time.perf_counter()
    found = orthogonal_matching_pursuit(atoms, target, 1_000, tolerance=0.0)
    seconds = time.perf_counter() - start
    floor = 1_000 * atoms.numbers * 4 / bandwidth
    print(f"{torch.cuda.get_device_name()}: {seconds:.2f} s for {len(found.indices)}")
    print(f"{floor:.2f} s for 1,000 passes at {bandwidth / 1e9:.0f} GB/s; {seconds / floor:.2f}")


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


CLAIMS: dict[str, Callable[[argparse.Namespace], None]] = {
    "omp": omp,
    "pools": pools,
    "gradients": gradient_cost,
    "nearest": nearest,
    "resnet": resnet,
    "stream": stream,
    "gpu": gpu,
}

if __name__ == "__main__":
    main()
