"""The worlds of the privacy benchmarks: a trainer that fails on a group, and owners that hold some of it.

`fashion`: two classes of clothes are scarce at the trainer. `rotated`: a group of turned images, of
whose failures the labels say nothing. `noisy`: as fashion, three of twelve owners with 30 % random
labels. `intrusion`: NSL-KDD, four attacks absent at the trainer.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.answering.policy import Policy
from clients.answering.private_records import PrivateRecords
from clients.answering.vault import Vault, VaultStorage
from mycroft_fl.examples import Examples
from mycroft_fl.models.weights import flat_weights
from mycroft_fl.privacy.noise.samplers import simulated
from mycroft_fl.protocol.messages import Request, Statistic
from mycroft_fl.seeds import derived_seed
from mycroft_fl.settings.run_config import RunConfig
from simulations.population.scenario_file import load_scenario
from simulations.population.world import World
from strategies.training.trainer import Trainer, TrainerData

DELTA = 1e-5
NO_NOISE = 1e6
"""An epsilon that stands for no noise worth the name."""
NOISY_OWNERS, NOISY_LABELS = 3, 0.3
Counts = dict[str, tuple[int, int]]
"""How many of the rest and of the failing group each owner holds."""


@dataclass(frozen=True)
class Setting:
    """A task: its data, what the trainer has of both groups, how many failing there are to share."""

    head: str
    trainer: dict[str, tuple[int, int]]
    step: int = 60
    holds: int = 2000
    noisy: int = 0


_FASHION = (
    'dataset = "fashion-mnist"\nmodel = "mlp"\n[groups.rest]\n'
    "classes = [0, 1, 2, 3, 5, 7, 8, 9]\n[groups.failing]\nclasses = [4, 6]\n"
)
_ROTATED = (
    'dataset = "fashion-mnist"\nmodel = "mlp"\n[groups.rest]\n'
    '[groups.failing]\ntransform = "rotate-90"\n'
)
_INTRUSION = (
    'dataset = { path = "nsl-kdd", unseen = "ignore" }\nmodel = "mlp"\n[groups.rest]\n'
    'where = { attack = ["normal", "neptune", "satan", "portsweep", "smurf", "teardrop"] }\n'
    '[groups.failing]\nwhere = { attack = ["ipsweep", "nmap", "warezclient", "back"] }\n'
)
_SCARCE = {"train": (1600, 16), "validation": (500, 200), "test": (500, 200)}
_ABSENT = {"train": (1600, 0), "validation": (500, 200), "test": (500, 200)}
SETTINGS = {
    "fashion": Setting(_FASHION, _SCARCE),
    "rotated": Setting(_ROTATED, _ABSENT),
    "noisy": Setting(_FASHION, _SCARCE, noisy=NOISY_OWNERS),
    # The file holds 1,388 rows of these attacks: all that the trainer leaves are shared out.
    "intrusion": Setting(_INTRUSION, _ABSENT, step=18, holds=1500),
}


def twelve_owners(setting: Setting) -> Counts:
    """Owners of one size whose shares of the failing group go up from none in equal steps."""
    return {
        f"o{place:02}": (setting.holds - place * setting.step, place * setting.step)
        for place in range(12)
    }


def scenario_text(setting: Setting, owners: Counts) -> str:
    """The TOML of a scenario in which `owners` hold these counts."""
    lines = [setting.head, "[trainer]"]
    for part, (rest, failing) in setting.trainer.items():
        counts = f"rest = {rest}" + (f", failing = {failing}" if failing else "")
        lines.append(f"{part} = {{ {counts} }}")
    for place, (name, (rest, failing)) in enumerate(owners.items()):
        lines += ["[[owners]]", f'name = "{name}"']
        lines.append(f"holds = {{ rest = {rest}, failing = {failing} }}")
        if place % 4 == 1 and place // 4 < setting.noisy:
            lines.append(f"label-noise = {NOISY_LABELS}")
    return "\n".join(lines) + "\n"


def world_of(task: str, owners: Counts, seed: int, **changed: Any) -> tuple[World, Trainer]:
    """A world and its trainer, with some settings changed; the seed draws all of both."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{task}.toml"
        path.write_text(scenario_text(SETTINGS[task], owners))
        world = World(load_scenario(path), seed)
    data = TrainerData(world.trainer("train"), world.trainer("validation"))
    # The published figures are of accuracy, also where an attack is rare.
    settings = {"metric": "accuracy", **changed}
    config = RunConfig(seed=seed, scoring_repeats=1, method="omp", **settings)
    return world, Trainer(world.task, data, config)


def request_of(trainer: Trainer, mode: str, **changed: Any) -> Request:
    """What the trainer asks."""
    plain: dict[str, Any] = {
        "server_round": 1, "method": "omp", "k": 50, "hard": trainer.hard_set.sent,
        "num_classes": trainer.task.num_classes, "model": trainer.task.model,
        "weights": flat_weights(trainer.baseline), "feature_space": "pixels", "owner_epochs": 1,
        "seed": trainer.config.seed, "mode": mode,
    }  # fmt: skip
    return Request(**(plain | changed))


def vault_of(
    name: str, held: Examples, policy: Policy, seed: int, folder: str, salt: Any = ""
) -> Vault:
    """A vault with noise that can be repeated."""
    noise = lambda digest: simulated(derived_seed(seed, name, digest, str(salt)))  # noqa: E731
    return Vault(name, PrivateRecords(held), policy, VaultStorage(Path(folder), noise_for=noise))


def alike(vaults: list[Vault]) -> None:
    """Let vaults of the same records look at them once for all of them, which is what takes long."""
    for vault in vaults[1:]:
        vault._views = vaults[0]._views


def noised_policy(epsilon: float, answers: int) -> Policy:
    """Epsilon divided among so many answers."""
    if epsilon >= NO_NOISE:
        return Policy(modes=("score", "gradient"), epsilon=1e9, delta=DELTA, noise_multiplier=1e-3)
    return Policy(modes=("score", "gradient"), epsilon=epsilon, delta=DELTA, answers=answers)


def statistic_of(vault: Vault, request: Request) -> Statistic:
    """A noised answer."""
    output = vault.answer(request).statistic
    assert output is not None
    return output
