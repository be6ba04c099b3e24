"""A deployed run without its processes: real keys, envelopes and vaults, and a network in this process."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from clients.owner.file import load_owner_file
from clients.serving.service import VaultService
from clients.serving.socket_protocol import ANSWERED, STATUS
from mycroft_fl.errors import BadMessage, NotEnoughOwners, OwnersSilent, Refused
from mycroft_fl.privacy.spending.ledger import PrivacyLedger
from mycroft_fl.protocol.envelope import open_request
from mycroft_fl.protocol.keys import KeyPair, PublicKey
from mycroft_fl.protocol.signed import carried, carry
from mycroft_fl.protocol.wire import pack_failure, pack_introduction
from mycroft_fl.report.run.answer import answer
from mycroft_fl.report.writing import write_report
from simulations import server_app
from simulations.engines.in_process import LocalGrid
from simulations.engines.run import run
from simulations.federation.comparison import ranking
from simulations.federation.processes import Federation, laid_out
from simulations.setup.simulation import Simulation
from strategies.deployment import app as deployed_app
from strategies.deployment import look_app
from strategies.deployment.app import RunPlan, finish, setup_for
from strategies.deployment.trainer_folder import AdmittedOwner
from strategies.runs.folder import RunFolder
from strategies.server_app import run_trainer

DIGITS = (Path(__file__).parents[2] / "scenarios" / "digits.toml").read_text()
SCENARIO = (
    DIGITS
    + """
[[owners]]
name = "a"
holds = { rotated = 60, upright = 40 }
[[owners]]
name = "b"
holds = { rotated = 50, upright = 50 }
[[owners]]
name = "c"
holds = { rotated = 20, upright = 80 }
[run]
budget = 60
num-rounds = 2
pilot-per-owner = 6
stop-early = false
fit.epochs = 6
fine-tune.steps = 20
scoring.repeats = 2
"""
)
Change = Callable[[str, Message], Message | None]


@pytest.fixture(autouse=True)
def quietly_on_one_thread(monkeypatch):
    before = torch.get_num_threads()
    for module in (server_app, deployed_app, look_app):
        monkeypatch.setattr(module, "show_progress", lambda *args, **rest: None)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    (tmp_path / "small.toml").write_text(SCENARIO)
    folder = tmp_path / "in-process"
    return Simulation.load(str(tmp_path / "small.toml"), {}, folder, engine="in-process")


@pytest.fixture
def made(simulation: Simulation, tmp_path: Path) -> Federation:
    """Everybody's folders, with all owners admitted as nodes 1, 2, 3."""
    (tmp_path / "federation").mkdir()
    made = laid_out(simulation, tmp_path / "federation")
    for node, name in enumerate(made.owners, start=1):
        key = PublicKey.load(made.owner(name) / "vault.pub")
        made.trainer.add_owner(
            AdmittedOwner(name, key, node), made.owner(name) / "supernode-key.pub"
        )
    return made


class Owners:
    """The owners' side: what a SuperNode's ClientApp gets from the vault's socket."""

    def __init__(self, made: Federation) -> None:
        self.names = made.owners
        self.files = {name: load_owner_file(made.owner(name) / "owner.toml") for name in self.names}
        self.vaults = {name: VaultService(file) for name, file in self.files.items()}
        self.silent: set[str] = set()
        self.asked: list[str] = []
        self.change: Callable[[str, bytes], bytes] = lambda name, envelope: envelope
        self.claims = {name: name for name in self.names}

    def grid(self) -> LocalGrid:
        app = ClientApp()

        @app.query("introduce")
        def introduce(message: Message, context: Context) -> Message:
            name = self.names[int(context.node_config["partition-id"])]
            return Message(pack_introduction(self.claims[name]), reply_to=message)

        @app.query("select")
        def select(message: Message, context: Context) -> Message:
            name = self.names[int(context.node_config["partition-id"])]
            return Message(self._selected(name, message.content), reply_to=message)

        return LocalGrid(app, owners=len(self.names), run_config={})

    def _selected(self, name: str, content: RecordDict) -> RecordDict:
        self.asked.append(name)
        if name in self.silent:
            return pack_failure("error")
        trainers = [each.key for each in self.files[name].policy.trainers if each.key]
        try:
            opened = open_request(carried(content), name, trainers)
        except Refused:
            return pack_failure("refused")
        except BadMessage:
            return pack_failure("error")
        status, answer = self.vaults[name].answer(opened)
        if status != ANSWERED:
            return pack_failure(STATUS[status])
        return carry(self.change(name, answer), "answered")


def deployed(made: Federation, owners: Owners, *, waits: bool = False) -> dict[str, Any]:
    """One deployed run, or the rest of one, and its outcome."""
    path = made.trainer.runs / "run"
    if path.exists():
        RunFolder.reopened(path)
    else:
        RunFolder.prepared(path, force=False)
    RunPlan(str(made.task), str(made.trainer.path), {}, waits).write(RunFolder(path))
    context = Context(1, 0, {}, RecordDict(), {"run": str(path)})
    grid = owners.grid()  # first: it says which task is running
    finish(context, run_trainer(grid, setup_for(context)))
    outcome: dict[str, Any] = json.loads((path / "outcome.json").read_text())
    return outcome


def spent(made: Federation, owner: str) -> int:
    return sum(row.records for row in PrivacyLedger(made.owner(owner) / "ledger.sqlite").rows())


def test_signed_and_sealed_a_run_ends_as_it_does_in_the_open(made, simulation) -> None:
    outcome = deployed(made, Owners(made))
    RunFolder.prepared(simulation.folder.path, force=False)
    result = run(simulation)
    assert ranking(outcome["owners"]) == ranking(result["owners"])
    for name in ("baseline", "control", "own_hard_set", "final"):
        for part in ("test", "hard"):
            assert outcome[name][part] == result[name][part]
    for name in ("control", "own_hard_set"):
        assert outcome["gains"][name] == result["gains"][name]
    assert [each["hard"] for each in outcome["rounds"]] == [
        each["hard"] for each in result["rounds"]
    ]
    assert not {"random", "scenario", "attack"} & outcome.keys()
    assert {name: spent(made, name) for name in made.owners} == {
        each["owner"]: each["disclosed"] for each in outcome["owners"]
    }
    folder = made.trainer.runs / "run"
    # Luck and groups only a simulator knows.
    shared = [
        text for text in result["warnings"] if not re.search("random picks|accuracy on", text)
    ]
    assert outcome["warnings"] == shared
    verdict = answer(result).verdict
    assert answer(outcome).verdict == verdict
    assert f"<h1>{verdict}</h1>" in write_report(folder).read_text()
    summary = (folder / "summary.md").read_text()
    assert f"{outcome['disclosed']} examples disclosed" in summary
    assert "No differential privacy applies to them." in summary


def test_who_was_silent_is_asked_again_and_nobody_pays_twice(made, simulation) -> None:
    owners = Owners(made)
    owners.silent = {"b"}
    with pytest.raises(OwnersSilent, match="no answer in round 1 from b"):
        deployed(made, owners, waits=True)
    assert (spent(made, "a"), spent(made, "b")) == (6, 0)
    owners.silent, owners.asked = set(), []
    outcome = deployed(made, owners)
    assert owners.asked[0] == "b"
    RunFolder.prepared(simulation.folder.path, force=False)
    assert ranking(outcome["owners"]) == ranking(run(simulation)["owners"])
    for each in outcome["owners"]:
        assert spent(made, each["owner"]) == each["disclosed"]


def test_another_trainers_key_is_refused_and_charged_to_nobody(made) -> None:
    (made.trainer.path / "trainer.key").unlink()
    KeyPair.generate().save(made.trainer.path / "trainer.key")
    with pytest.raises(NotEnoughOwners, match="all 3 refused: policies, or the keys"):
        deployed(made, Owners(made))
    assert [spent(made, name) for name in made.owners] == [0, 0, 0]


def test_an_answer_that_was_changed_on_the_way_is_malformed(made) -> None:
    owners = Owners(made)
    owners.change = lambda name, answer: (
        answer if name != "b" else answer[:-1] + bytes([answer[-1] ^ 1])
    )
    outcome = deployed(made, owners)
    by_name = {each["owner"]: each for each in outcome["owners"]}
    assert (by_name["b"]["failure"], by_name["b"]["disclosed"]) == ("malformed", 0)
    # What it may have disclosed counts against the budget, as its own ledger says.
    assert by_name["b"]["lost"] == spent(made, "b") == 6
    with np.load(made.trainer.runs / "run" / "acquired.npz", allow_pickle=False) as file:
        assert "b" not in file["owner"]


def test_a_node_that_claims_anothers_name_is_left_out_and_the_other_is_not(made) -> None:
    owners = Owners(made)
    owners.claims["c"] = "a"
    outcome = deployed(made, owners)
    assert sorted(each["owner"] for each in outcome["owners"]) == ["a", "b"]
    assert spent(made, "c") == 0
    assert "c" not in owners.asked


def shows(made: Federation, owner: str, policy: str) -> None:
    """Let an owner's file say what it shows first."""
    path = made.owner(owner) / "owner.toml"
    text = re.sub(r"(?m)^(describe|describe-epsilon|epsilon) = .*\n", "", path.read_text())
    path.write_text(text.replace("[policy]", f"[policy]\n{policy}"))


def looked(made: Federation, owners: Owners) -> dict[str, dict[str, Any]]:
    """`trainer look` without its processes: what the ServerApp writes, by owner."""
    folder = made.trainer.path / "look"
    folder.mkdir(exist_ok=True)
    plan = {"trainer": str(made.trainer.path), "timeout": 30.0}
    (folder / "look.json").write_text(json.dumps(plan))
    grid = owners.grid()
    look_app.app(grid, Context(1, 0, {}, RecordDict(), {"run": str(folder)}))
    found = json.loads((folder / "described.json").read_text())
    assert [each["owner"] for each in found] == sorted(made.owners)
    return {each["owner"]: each for each in found}


COUNTED = 'describe = "counts"\ndescribe-epsilon = 2.0\nepsilon = 4.0\n'


def test_a_look_shows_what_each_owner_lets_be_seen_and_charges_it_once(made) -> None:
    shows(made, "a", COUNTED)
    shows(made, "b", 'describe = "schema"\n')
    found = looked(made, Owners(made))
    assert [found[name]["status"] for name in "abc"] == ["described", "described", "refused"]
    assert found["a"]["description"] == found["b"]["description"]
    assert found["a"]["differences"] == []
    assert found["b"]["counts"] is None
    with np.load(made.folder / "data" / "owners" / "a" / "data.npz", allow_pickle=False) as file:
        held = np.bincount(np.unique(file["y"], return_inverse=True)[1], minlength=10)
    assert found["a"]["counts"] == pytest.approx(held, abs=6 * found["a"]["sigma"])
    again = looked(made, Owners(made))
    assert again == found
    assert [row.mode for row in PrivacyLedger(made.owner("a") / "ledger.sqlite").rows()] == [
        "counts"
    ]
    assert spent(made, "b") == 0


def test_one_bad_description_is_a_line_of_the_log_and_the_others_are_read(made, caplog) -> None:
    for name in made.owners:
        shows(made, name, 'describe = "schema"\n')
    owners = Owners(made)
    owners.change = lambda name, answer: (
        answer if name != "b" else answer[:-1] + bytes([answer[-1] ^ 1])
    )
    owners.silent = {"c"}
    found = looked(made, owners)
    assert [found[name]["status"] for name in "abc"] == ["described", "malformed", "error"]
    assert "the description of b cannot be read" in caplog.text


def test_another_key_sees_nothing_of_anybody(made) -> None:
    shows(made, "a", COUNTED)
    (made.trainer.path / "trainer.key").unlink()
    KeyPair.generate().save(made.trainer.path / "trainer.key")
    found = looked(made, Owners(made))
    assert {each["status"] for each in found.values()} == {"refused"}
    assert PrivacyLedger(made.owner("a") / "ledger.sqlite").rows() == []


def test_an_owner_that_serves_an_older_task_is_said_to(made, caplog) -> None:
    shows(made, "a", 'describe = "schema"\n')
    path = made.owner("a") / "task.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "classes": [*content["classes"], "ten"]}))
    found = looked(made, Owners(made))
    assert found["a"]["differences"] == ["classes 11, here 10", "adds class ten"]
    assert "a serves another task than this one: adds class ten" in caplog.text
