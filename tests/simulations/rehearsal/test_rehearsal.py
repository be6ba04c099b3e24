"""A trainer's task over owners' files: the outcome of a real run, and their own policies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mycroft_fl.errors import DataError, InputError, NotEnoughOwners, SettingError
from mycroft_fl.report.run.schema import check_result
from simulations.rehearsal.asked import is_task, look_first
from simulations.rehearsal.rehearsal import Rehearsal
from simulations.rehearsal.run import rehearse
from strategies.runs.folder import RunFolder

SPEC = '{{ path = "{0}.csv", label = "y", drop = ["row"] }}'
TASK = (
    "\n".join(f"{part} = {SPEC.format(part)}" for part in ("train", "validation", "test"))
    + '\nmodel = "random-forest"\nlabels = ["no", "yes"]\n'
    '[run]\nmethod = "features"\nfeature-space = "binning"\nbudget = 30\nnum-rounds = 1\n'
    'scoring.repeats = 1\n'
)  # fmt: skip


def write_rows(path: Path, rows: int, seed: int, *, row_column: bool = True) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, rows)
    x = rng.normal(size=(rows, 2)) + np.stack([y, -y], axis=1) * (1 if seed % 2 else -1)
    head = ["a", "b", "y"] + (["row"] if row_column else [])
    lines = [
        ",".join([f"{u:.4f}", f"{v:.4f}", ("no", "yes")[label], *([str(n)] if row_column else [])])
        for n, ((u, v), label) in enumerate(zip(x, y, strict=True))
    ]
    path.write_text("\n".join([",".join(head), *lines]) + "\n")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    for place, part in enumerate(("train", "validation", "test")):
        write_rows(tmp_path / f"{part}.csv", 80, 2 * place + (place > 0))
    write_rows(tmp_path / "a.csv", 60, 11)
    write_rows(tmp_path / "b.csv", 60, 12, row_column=False)
    (tmp_path / "task.toml").write_text(TASK)
    return tmp_path


def rehearsal(here: Path, owners: dict[str, Path] | None = None, **given: Any) -> Rehearsal:
    owners = owners or {"a": here / "a.csv", "b": here / "b.csv"}
    given = {key.replace("__", "."): value for key, value in given.items()}
    return Rehearsal(here / "task.toml", owners, given, "in-process", RunFolder(here / "run"))


def run(asked: Rehearsal) -> dict[str, Any]:
    asked.check()
    with RunFolder.replacing(asked.folder.path, force=True):
        return rehearse(asked)


def test_the_outcome_is_that_of_a_real_run_and_repeats(here: Path) -> None:
    outcome = run(rehearsal(here))
    check_result(outcome)
    assert outcome["engine"] == "rehearsal"
    assert {each["owner"] for each in outcome["owners"]} == {"a", "b"}
    assert 0 < outcome["disclosed"] <= 30
    assert json.loads((here / "run" / "outcome.json").read_text()) == outcome
    again = run(rehearsal(here))
    assert again["owners"] == outcome["owners"]
    assert again["final"] == outcome["final"]


def test_an_owners_own_file_brings_its_own_policy_and_spends_nothing(here: Path) -> None:
    own = here / "owner"
    own.mkdir()
    write_rows(own / "data.csv", 60, 13)
    (own / "owner.toml").write_text(
        'dataset = { path = "data.csv", label = "y" }\n[policy]\nmax-records = 4\n'
        '[[trainers]]\nname = "lab"\nmax-records = 3\n'
    )
    outcome = run(rehearsal(here, {"a": here / "a.csv", "c": own}))
    disclosed = {each["owner"]: each["disclosed"] for each in outcome["owners"]}
    assert disclosed["c"] == 3  # the limit of the trainer that the owner lists
    assert sorted(each.name for each in own.iterdir()) == ["data.csv", "owner.toml"]
    assert (here / "run" / "owners" / "c" / "ledger.sqlite").is_file()


@pytest.mark.parametrize(
    ("mode", "policy"),
    [
        (
            "raw-gumbel",
            {"policy__epsilon": 20.0, "policy__delta": 1e-5, "policy__epsilon-minus": 0.05},
        ),
        ("score-then-raw", {"policy__epsilon": 20.0, "policy__delta": 1e-5}),
    ],
)
def test_what_a_mode_needs_of_a_policy_is_filled_in(here: Path, mode: str, policy: dict) -> None:
    for seed, name in enumerate("ab", start=21):
        write_rows(here / f"{name}.csv", 400, seed, row_column=False)
    asked = {"num-rounds": 2, "pilot-per-owner": 2, "budget": 6, **policy}
    outcome = run(rehearsal(here, mode=mode, proxy="mlp", **asked))
    assert {each["status"] for each in outcome["owners"]} == {"scored"}
    assert not any(each["failed"] for each in outcome["rounds"])


def test_an_owner_that_allows_nothing_of_it_refuses(here: Path) -> None:
    with pytest.raises(NotEnoughOwners, match="all 2 refused: policies") as raised:
        run(rehearsal(here, policy__modes=["score"], policy__epsilon=1.0))
    assert "timeout" not in str(raised.value)


def test_owners_open_the_tasks_own_model_and_encoders_and_no_others(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "mine_of_rehearsal.py").write_text(
        "from torch import nn\n\ndef net():\n"
        "    return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))\n"
    )
    monkeypatch.syspath_prepend(str(here))
    own = TASK.replace("random-forest", "mine_of_rehearsal:net").replace("binning", "standardised")
    (here / "task.toml").write_text(own.replace('"features"', '"hard-features"'))
    outcome = run(rehearsal(here))
    assert 0 < outcome["disclosed"] <= 30
    assert "mine_of_rehearsal:net" in (here / "run" / "owners" / "a" / "owner.toml").read_text()


def test_rows_of_the_trainer_are_said_and_left_out_and_shared_ones_said(
    here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    test, a = (here / "test.csv").read_text(), (here / "a.csv").read_text()
    (here / "b.csv").write_text(test + "".join(a.splitlines(keepends=True)[1:11]))
    asked = rehearsal(here)
    asked.check()
    assert "owner b: 80 of its 90 rows are the trainer's test examples, and left out" in caplog.text
    assert "owners hold the same rows, and each can hand them over: a and b 10" in caplog.text
    assert len(asked._vault_parts("b")[0].examples) == 10
    (here / "b.csv").write_text(test)
    with pytest.raises(DataError, match="owner b: it holds nothing that the trainer does not"):
        asked.check()


def test_an_owners_file_that_cannot_be_read_is_named_with_the_owner(here: Path) -> None:
    (here / "b.csv").write_bytes(b"a,b,y\n\xff\xfe,1,no\n" * 3)
    with pytest.raises(DataError, match=r"^owner b: "):
        rehearsal(here).check()


def test_all_that_is_amiss_with_owners_data_is_told_before_anything_is_fitted(here: Path) -> None:
    text = (here / "a.csv").read_text().splitlines()
    text[3] = "word,,no,2"
    (here / "a.csv").write_text("\n".join(text) + "\n")
    (here / "b.csv").write_text("b,y\n1,no\n")
    with pytest.raises(DataError) as raised:
        rehearsal(here).check()
    lines = str(raised.value).split("\n")
    assert [line for line in lines if line.startswith("owner a: a.csv") and "'a'" in line]
    assert [line for line in lines if line.startswith("owner a: a.csv") and "missing" in line]
    assert [line for line in lines if line.startswith("owner b: b.csv: column 'a' is missing")]
    assert not (here / "run").exists()


def test_a_method_that_needs_what_stays_home_is_refused_before_anything_is_fitted(
    here: Path,
) -> None:
    with pytest.raises(SettingError, match="stays home"):
        rehearsal(here, method="hard-features", **{"gradients-from": "owner"}).check()


@pytest.mark.parametrize(
    ("owners", "settings", "message"),
    [
        ((), {}, "name the owners whose files it is to be rehearsed over"),
        (("a",), {}, "--owner a: give NAME=FILE"),
        (("a/b=a.csv",), {}, "a name has letters"),
        (("a=a.csv", "A=b.csv"), {}, "there is an owner 'A' already"),
        (("a=none.csv",), {}, "there is nothing at"),
        (("a=a.csv",), {"budgit": 3}, "unknown setting 'budgit'; did you mean 'budget'?"),
        (("a=none.csv",), {"budget": "x"}, "budget is the text 'x'; give a whole number"),
    ],
)
def test_mistakes_are_told_by_a_quick_look(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    owners: tuple[str, ...],
    settings: dict,
    message: str,
) -> None:
    monkeypatch.chdir(here)
    with pytest.raises(InputError) as raised:
        look_first(here / "task.toml", owners, settings, here / "run", force=False, resume=False)
    assert message in str(raised.value)


def test_a_task_is_told_from_a_scenario(here: Path) -> None:
    (here / "scenario.toml").write_text('title = "x"\n[groups.a]\n')
    assert is_task(str(here / "task.toml"))
    assert not is_task(str(here / "scenario.toml"))
    assert not is_task("rotated-digits")
