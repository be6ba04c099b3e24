"""A mode that is new: one entry of the table and the functions that it names, and all rooms know it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clients.answering.noised import Contributions
from clients.answering.policy import Policy
from clients.answering.private_records import PrivateRecords
from clients.answering.trainer_view import SeenRecords
from clients.answering.vault import Vault, VaultStorage
from mycroft_fl.errors import BadMessage, InputError, SettingError
from mycroft_fl.examples import Examples, hard_classes
from mycroft_fl.modes import MODES, Mode
from mycroft_fl.privacy.audits import catalogue
from mycroft_fl.privacy.audits.bounds import Finding
from mycroft_fl.privacy.noise.samplers import simulated
from mycroft_fl.protocol.messages import Request
from mycroft_fl.protocol.wire import pack_request, unpack_request
from mycroft_fl.scoring import Score
from mycroft_fl.settings.run_config import RunConfig
from simulations import client_app
from simulations.engines.in_process import LocalGrid
from simulations.setup.simulation import Simulation
from strategies.rounds.plans import Plan, Plans, everybody, nobody
from strategies.rounds.run_state import Answers, Progress
from strategies.runs.folder import RunFolder
from strategies.server_app import run_trainer

SCENARIO = Path(__file__).parents[2] / "scenarios" / "small.toml"
HARD = Examples(np.eye(3, 5, dtype=np.float32), np.array([0, 1, 1]))
HELD = Examples(np.eye(9, 5, dtype=np.float32) + 1, np.array([0, 0, 1, 1, 1, 2, 2, 2, 2]))


def added(seen: SeenRecords, clip: float) -> Contributions:
    """A record of a class that hard examples have adds 1."""
    counts = np.isin(seen.examples.y, hard_classes(seen.view.request.hard))
    return Contributions(Fraction(1), counts[:, None].astype(np.float64))


def numbers(progress: Progress) -> int:
    return 1


def check(request: Request) -> None:
    if request.target is not None or not len(request.hard):
        raise BadMessage("a count needs hard examples")


def learn(progress: Progress, answers: Answers) -> None:
    scores = {
        owner: Score.within(1e6, *(each.values[0] + z * each.sigma for z in (0, -2, 2)))
        for owner, each in answers.statistics.items()
    }
    progress.scoreboard.enter_scores(scores)


def plans(answer: str) -> Plans:
    return Plan(answer, everybody, learn), Plan(answer, nobody, learn)


def audit_nothing() -> Iterator[Finding]:
    yield Finding("count", "nothing", "moved", 0.0, 1.0)


def here(function: Any) -> str:
    return f"{__name__}:{function.__name__}"


COUNT = Mode(
    "count",
    "a noised count of the records of the hard examples' classes",
    noised=True,
    check=here(check),
    numbers=here(numbers),
    plans=here(plans),
    adds=here(added),
    audits=(here(audit_nothing),),
)


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODES, "count", COUNT)


def asked(**changed: Any) -> Request:
    plain: dict[str, Any] = {
        "server_round": 1, "method": "features", "k": 1, "hard": HARD, "num_classes": 3,
        "model": "linear", "weights": np.zeros(18, np.float32), "feature_space": "pixels",
        "owner_epochs": 1, "seed": 0, "mode": "count",
    }  # fmt: skip
    return Request(**(plain | changed))


@pytest.mark.usefixtures("count")
def test_a_vault_answers_in_it_what_its_functions_say(tmp_path: Path) -> None:
    policy = Policy(modes=("count",), epsilon=1e6)
    storage = VaultStorage(tmp_path, noise_for=lambda digest: simulated(0))
    vault = Vault("owner", PrivateRecords(HELD), policy, storage)
    report = vault.answer(unpack_request(pack_request(asked())))
    assert report.statistic is not None
    assert report.card is not None
    assert report.statistic.values == pytest.approx([5], abs=5 * report.statistic.sigma)
    assert report.card.mode == "count"
    assert "with all earlier answers to this trainer" in report.card.promise()


@pytest.mark.usefixtures("count")
def test_the_wire_checks_what_it_brings() -> None:
    with pytest.raises(BadMessage, match="takes no rate"):
        unpack_request(pack_request(asked(rate=1.0)))


@pytest.mark.usefixtures("count")
def test_its_audits_are_run_by_its_name() -> None:
    assert [each.audit for each in catalogue.findings("count")] == ["nothing"]


@pytest.mark.usefixtures("count")
def test_a_run_in_it_ranks_owners_by_what_they_answer(tmp_path: Path) -> None:
    given = {"mode": "count", "policy.epsilon": 1e6}
    simulation = Simulation.load(str(SCENARIO), given, tmp_path / "run", engine="in-process")
    simulation.check()
    RunFolder.prepared(tmp_path / "run", force=False)
    simulation.write_policies()
    grid = LocalGrid(client_app.app, owners=2, run_config=simulation.as_run_config())
    strategy = run_trainer(grid, simulation.trainer_setup())
    hard = hard_classes(strategy.trainer.hard_set.sent)
    assert {name: round(score.gain) for name, score in strategy.scoreboard.scored().items()} == {
        name: int(np.isin(simulation.world.owner(name).y, hard).sum()) for name in "ab"
    }


def test_without_its_entry_nothing_knows_it() -> None:
    with pytest.raises(InputError, match="choose from"):
        Policy(modes=("count",), epsilon=1.0)
    with pytest.raises(SettingError, match="choose from"):
        RunConfig(mode="count")
    with pytest.raises(KeyError):
        catalogue.findings("count")
