"""Ranking owners by a noised score against rivals that move records; noised gradients against raw picks.

    python benchmarks/privacy.py ranking --task fashion --seeds 10
    python benchmarks/privacy.py gradient --task fashion --seeds 10

`ranking`: twelve owners of distinct shares of the group that the trainer fails on; Kendall's tau-b of
the ranking against the true shares, by the score at each epsilon (per record, add/remove, delta 1e-5),
by 50 raw OMP picks (fine-tuned), and by the mean relevance of 50 random records.
`gradient`: one owner of 8,000 examples, 15 % of the group; accuracy on the failures and on the whole
test by noised gradients at each epsilon, and by raw OMP picks, the own hard set and the control.
The noise is seeded (SIMULATED). Rows go to a file of JSON lines; means and 95 % intervals over seeds
are printed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import kendalltau

from clients.policy import Policy
from clients.vault import Books, Vault
from mycroft_fl.config import RunConfig
from mycroft_fl.examples import Examples
from mycroft_fl.exchange import Request, Statistic
from mycroft_fl.models.fitting import correct
from mycroft_fl.models.weights import flat_weights
from mycroft_fl.privacy.noise import simulated
from mycroft_fl.privacy.relevance import Target, relevances
from mycroft_fl.report.statistics import over_seeds
from mycroft_fl.seeds import derived_seed
from mycroft_fl.task import Task
from simulations.scenario import load_scenario
from simulations.world import World
from strategies.noised import NoisedSteps, relevance_score
from strategies.trainer import Trainer, TrainerData

DELTA = 1e-5
EPSILONS = {"ranking": (0.25, 0.5, 1.0, 1e6), "gradient": (0.5, 1.0, 2.0, 4.0, 8.0, 1e6)}
STEPS = 40
PICKS = (25, 50, 100)
HOLDS = 2000
"""Examples of each of twelve owners; their shares of the group go from 0 to 33 %."""
TASKS = {
    "fashion": (
        'dataset = "fashion-mnist"\nmodel = "mlp"\n[groups.rest]\n'
        "classes = [0, 1, 2, 3, 5, 7, 8, 9]\n[groups.failing]\nclasses = [4, 6]\n",
        {"train": (1600, 16), "validation": (500, 200), "test": (500, 200)},
    ),
    "rotated": (
        'dataset = "fashion-mnist"\nmodel = "mlp"\n[groups.rest]\n'
        '[groups.failing]\ntransform = "rotate-90"\n',
        {"train": (1600, 0), "validation": (500, 200), "test": (500, 200)},
    ),
}


def scenario_text(task: str, owners: dict[str, tuple[int, int]], noisy: int) -> str:
    """A scenario's TOML: `owners` maps a name to how many of the rest and of the failing group."""
    head, trainer = TASKS[task]
    lines = [head, "[trainer]"]
    for part, (rest, failing) in trainer.items():
        counts = f"rest = {rest}" + (f", failing = {failing}" if failing else "")
        lines.append(f"{part} = {{ {counts} }}")
    for place, (name, (rest, failing)) in enumerate(owners.items()):
        lines += ["[[owners]]", f'name = "{name}"']
        lines.append(f"holds = {{ rest = {rest}, failing = {failing} }}")
        if place % 4 == 1 and place // 4 < noisy:
            lines.append("label-noise = 0.3")
    return "\n".join(lines) + "\n"


def worlds(
    task: str, owners: dict[str, tuple[int, int]], seeds: int, noisy: int = 0
) -> Iterator[tuple[int, World, Trainer]]:
    """A world and a trainer for each seed."""
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{task}.toml"
            path.write_text(scenario_text(task, owners, noisy))
            world = World(load_scenario(path), seed)
        train = world.trainer("train")
        known = Task(world.classes, train.x.shape[1:], train.x.dtype, "mlp")
        config = RunConfig(seed=seed, scoring_repeats=1, method="omp")
        trainer = Trainer(known, TrainerData(train, world.trainer("validation")), config)
        yield seed, world, trainer


def request_of(trainer: Trainer, mode: str, **changed: Any) -> Request:
    """What the trainer asks."""
    plain: dict[str, Any] = {
        "server_round": 1, "method": "omp", "k": 50, "hard": trainer.hard_set.sent,
        "num_classes": trainer.task.num_classes, "model": "mlp",
        "weights": flat_weights(trainer.baseline), "feature_space": "pixels", "owner_epochs": 1,
        "seed": trainer.config.seed, "mode": mode,
    }  # fmt: skip
    return Request(**(plain | changed))


def vault_of(
    name: str, held: Examples, policy: Policy, seed: int, folder: str, salt: Any = ""
) -> Vault:
    """A vault with noise that can be repeated."""
    noise = lambda digest: simulated(derived_seed(seed, name, digest, str(salt)))  # noqa: E731
    return Vault(name, held, policy, Books(Path(folder), noise_for=noise))


def noised_policy(epsilon: float, answers: int) -> Policy:
    """Epsilon divided among so many answers; 1e6 stands for no noise worth the name."""
    if epsilon >= 1e6:
        return Policy(modes=("score", "gradient"), epsilon=1e9, delta=DELTA, noise_multiplier=1e-3)
    return Policy(modes=("score", "gradient"), epsilon=epsilon, delta=DELTA, answers=answers)


def statistic_of(vault: Vault, request: Request) -> Statistic:
    """A noised answer."""
    told = vault.answer(request).statistic
    assert told is not None
    return told


def ranking(task: str, seeds: int, noisy: int) -> Iterator[dict[str, Any]]:
    """tau-b of every way to rank, seed by seed."""
    owners = {
        f"o{place:02}": (HOLDS - place * HOLDS * 3 // 100, place * HOLDS * 3 // 100)
        for place in range(12)
    }
    shares = [failing / HOLDS for _, failing in owners.values()]
    for seed, world, trainer in worlds(task, owners, seeds, noisy):
        held = {name: world.owner(name) for name in owners}

        def tau(scores: dict[str, float]) -> float:
            return float(kendalltau(shares, [scores[name] for name in owners]).statistic)

        taus: dict[str, float] = {}
        for epsilon in EPSILONS["ranking"]:
            scores = {}
            for name, examples in held.items():
                with tempfile.TemporaryDirectory() as folder:
                    vault = vault_of(
                        name, examples, noised_policy(epsilon, 1), seed, folder, epsilon
                    )
                    told = statistic_of(vault, request_of(trainer, "score"))
                scores[name] = relevance_score(told, 0.95).gain
            taus[f"score, epsilon {epsilon:g}"] = tau(scores)
        taus |= rivals(trainer, held, tau)
        yield {"task": task, "noisy": noisy, "seed": seed, **taus}


def rivals(
    trainer: Trainer, held: dict[str, Examples], tau: Callable[[dict[str, float]], float]
) -> dict[str, float]:
    """The ways that move 50 records of every owner."""
    rng = np.random.default_rng(derived_seed(trainer.config.seed, "rivals"))
    target = Target.of(trainer.baseline, trainer.hard_set.sent)
    random, picked = {}, {}
    for name, examples in held.items():
        some = examples[rng.choice(len(examples), 50, replace=False)]
        values = np.clip(relevances(trainer.baseline, some, target), -1, 1)
        random[name] = float(values.mean())
        with tempfile.TemporaryDirectory() as folder:
            vault = vault_of(name, examples, Policy(), trainer.config.seed, folder)
            disclosed = vault.answer(request_of(trainer, "raw")).disclosed
        assert disclosed is not None
        picked[name] = disclosed
    fine_tuned = {name: score.gain for name, score in trainer.scores(picked).items()}
    return {
        "50 random records, mean relevance": tau(random),
        "50 raw OMP picks, fine-tuned": tau(fine_tuned),
    }


def gradient(task: str, seeds: int, noisy: int) -> Iterator[dict[str, Any]]:
    """Accuracy on the failures and on the whole test, way by way and seed by seed."""
    owners = {"big": (6800, 1200)}
    for seed, world, trainer in worlds(task, owners, seeds):
        test, held = world.trainer("test"), world.owner("big")
        hard = ~correct(trainer.baseline, test)
        reached: dict[str, tuple[float, float]] = {}

        def note(way: str, model: torch.nn.Module, into: dict = reached) -> None:
            right = correct(model, test)  # noqa: B023
            into[way] = (float(right[hard].mean()), float(right.mean()))  # noqa: B023

        note("control", trainer.control)
        note("own-hard-set", trainer.own_hard_set)
        for k in PICKS:
            with tempfile.TemporaryDirectory() as folder:
                vault = vault_of("big", held, Policy(), seed, folder)
                picked = vault.answer(request_of(trainer, "raw", k=k)).disclosed
            note(f"raw, {k} OMP picks", trainer.improved(picked))
            drawn = np.random.default_rng(derived_seed(seed, k)).choice(len(held), k, replace=False)
            note(f"raw, {k} at random", trainer.improved(held[drawn]))
        for epsilon in EPSILONS["gradient"]:
            model = by_noised_gradients(trainer, held, epsilon, seed)
            if model is not None:
                note(f"gradient, epsilon {epsilon:g}", model)
        yield {
            "task": task, "seed": seed,
            **{f"{way}: failures": hard for way, (hard, _) in reached.items()},
            **{f"{way}: whole test": whole for way, (_, whole) in reached.items()},
        }  # fmt: skip


def by_noised_gradients(
    trainer: Trainer, held: Examples, epsilon: float, seed: int
) -> torch.nn.Module | None:
    """The model after a score and `STEPS` noised steps, as mode = gradient goes."""
    with tempfile.TemporaryDirectory() as folder:
        vault = vault_of("big", held, noised_policy(epsilon, STEPS + 1), seed, folder, epsilon)
        told = {"big": statistic_of(vault, request_of(trainer, "score"))}
        scores = {"big": relevance_score(told["big"], 0.95)}
        steps = NoisedSteps.begun(trainer, told, scores)
        if steps is None:
            return None
        for step in range(STEPS):
            asked = request_of(trainer, "gradient", server_round=step + 2, head=steps.head)
            steps.step({"big": statistic_of(vault, asked)})
    return steps.best()


def main() -> None:
    """Run a table, write its rows, print means with intervals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=["ranking", "gradient"])
    parser.add_argument("--task", choices=list(TASKS), default="fashion")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--noisy", type=int, default=0, help="owners with 30 % random labels, up to 3"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/privacy.jsonl"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    table = {"ranking": ranking, "gradient": gradient}[given.table]
    rows = []
    given.out.parent.mkdir(parents=True, exist_ok=True)
    for row in table(given.task, given.seeds, given.noisy):
        rows.append(row)
        with given.out.open("a") as file:
            file.write(json.dumps({"table": given.table, **row}) + "\n")
        print(json.dumps(row), flush=True)
    for way in [key for key in rows[0] if key not in ("task", "noisy", "seed")]:
        told = over_seeds([row[way] for row in rows if way in row])
        print(f"{way:<45} {told.mean:.3f} ± {told.half_width:.3f}")


if __name__ == "__main__":
    main()
