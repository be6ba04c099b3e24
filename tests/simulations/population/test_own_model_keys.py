"""The keys by which scenarios and tasks name a network of one's own, and a data set's loader."""

from __future__ import annotations

from pathlib import Path

import pytest

from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.errors import DataError, ScenarioError
from simulations.population.scenario_file import load_scenario

TEXT = """
dataset = "digits"
model = "{model}"
head = "fc"
transform = "mine:scaled"
groups.all = {{}}
trainer.train = {{ all = 9 }}
trainer.validation = {{ all = 9 }}
trainer.test = {{ all = 9 }}
owners = [{{ name = "a", holds = {{ all = 9 }} }}]
"""


def test_head_and_transform_become_part_of_the_models_name(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(TEXT.format(model="mine:net"))
    scenario = load_scenario(tmp_path / "own.toml")
    assert scenario.model == "mine:net?head=fc&transform=mine:scaled"


def test_they_are_for_a_network_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(TEXT.format(model="mlp"))
    with pytest.raises(ScenarioError, match=r"own.toml: head is for a network of your own"):
        load_scenario(tmp_path / "own.toml")


def test_a_loader_gives_arrays_or_a_frame_and_a_broken_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "loaders.py").write_text(
        "import numpy as np, pandas as pd\n"
        "def arrays():\n    return np.eye(4), ['a', 'b', 'a', 'b']\n"
        "def frame():\n    return pd.DataFrame({'size': [1, 2], 'kind': ['p', 'q']})\n"
        "def broken():\n    raise RuntimeError('no disk')\n"
    )
    arrays = load_dataset("loaders:arrays", tmp_path)
    assert (len(arrays), arrays.classes) == (4, ("a", "b"))
    frame = load_dataset(DatasetSpec("loaders:frame", label="kind"), tmp_path)
    assert frame.table is not None
    assert frame.classes == ("p", "q")
    with pytest.raises(DataError, match=r"'loaders:broken' cannot be made \(no disk\)"):
        load_dataset("loaders:broken", tmp_path)
