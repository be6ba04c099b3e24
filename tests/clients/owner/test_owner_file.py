"""An owner's file: read strictly, by the vault alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.answering.policy import Policy
from clients.owner.file import load_owner_file, owner_file_text
from mycroft_fl.errors import InputError

WHOLE = """
name = "hospital-a"
dataset = { path = "scans.csv", label = "finding", unit-id = "patient", shareable = "consented" }
ledger-head = "elsewhere/a.head"
[policy]
modes = ["score", "raw"]
max-records = 200
epsilon = 1.0
delta = 1e-6
clip = 1.0
noise-multiplier = 8.0
models = ["mlp"]
expires = 2027-06-30
[[trainers]]
name = "lab"
max-records = 100
epsilon = 0.5
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "owner.toml"
    path.write_text(text)
    return path


def test_a_whole_file_is_read_and_paths_are_taken_from_its_folder(tmp_path: Path) -> None:
    file = load_owner_file(written(tmp_path, WHOLE))
    assert file.name == "hospital-a"
    assert file.data is not None
    assert (file.data.path, file.data.label) == ("scans.csv", "finding")
    assert (file.data.unit_id, file.data.shareable) == ("patient", "consented")
    assert file.ledger == tmp_path / "ledger.sqlite"
    assert file.ledger_head == tmp_path / "elsewhere" / "a.head"
    assert file.policy.noise_multiplier == 8.0
    [lab] = file.policy.trainers
    assert (lab.name, lab.max_records, lab.epsilon) == ("lab", 100, 0.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nam = 'a'", "unknown key 'nam'; did you mean 'name'?"),
        ("[policy]\nepsilom = 1.0", "unknown key 'policy.epsilom'; did you mean 'policy.epsilon'?"),
        ("[[trainers]]\nname = 'a'\nmode = 'raw'", r"unknown key 'trainers\[1\].mode'"),
        ("[[trainers]]\nmax-records = 3", r"trainers\[1\].name is missing"),
        ("dataset = { file = 'a' }", "unknown key 'dataset.file'"),
        ("name =", "cannot be read as TOML"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        load_owner_file(written(tmp_path, text))


def test_a_simulated_owners_file_gives_its_policy_back(tmp_path: Path) -> None:
    policy = Policy(modes=("score",), epsilon=0.5, delta=1e-5, answers=3)
    file = load_owner_file(written(tmp_path, owner_file_text("a", policy)))
    assert (file.name, file.policy) == ("a", policy)
