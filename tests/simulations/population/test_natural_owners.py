"""The ten-line scenarios of the documents over real sets with natural owners, against pandas and zipfile."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mycroft_fl.data.tables.columns import Categories, Numbers
from mycroft_fl.texts import as_texts
from simulations.population.scenario_file import load_scenario
from simulations.population.world import World
from tests.test_docs import ROOT, blocks

pytestmark = [pytest.mark.data, pytest.mark.slow]
SHOWN = {
    name: block.text for block in blocks(ROOT / "docs" / "scenarios.md") if (name := block.noted("file"))
}  # fmt: skip


@pytest.fixture
def folder() -> Path:
    return Path(os.environ["MYCROFT_DATA"])


def world_of(name: str, at: Path) -> World:
    assert len(SHOWN[name].splitlines()) <= 10
    (at / name).write_text(SHOWN[name])
    return World(load_scenario(at / name), 0)


def test_hearts_zeros_are_missing_by_column_and_each_hospital_is_an_owner(
    folder: Path, tmp_path: Path
) -> None:
    world = world_of("heart.toml", tmp_path)
    frame = pd.read_csv(folder / "heart-hospitals" / "heart.csv").drop_duplicates()
    sizes = frame.hospital.value_counts()
    held = {owner.name: len(world.records(owner.name).examples) for owner in world.scenario.owners}
    mine = {"cleveland": 160 + 60 + 70, "va-long-beach": 50 + 60}
    near = {name: int(size) - mine.get(name, 0) for name, size in sizes.items()}
    assert held.keys() == near.keys()
    # Rows that only sentinels told apart are one row.
    assert all(near[name] - 3 <= held[name] <= near[name] for name in near)
    # All of Switzerland's cholesterol is 0: each of its rows has the trainer's median in its place.
    columns = {each.name: each for each in world.task.table.columns}
    assert isinstance(columns["chol"], Numbers)
    shown = world.task.table.decoded(world.owner("switzerland").x)
    assert shown["chol"].round(3).unique().tolist() == [round(columns["chol"].fill, 3)]
    assert columns["chol"].fill > 100


def test_diabetes_codes_are_categories_persons_units_and_payers_owners(
    folder: Path, tmp_path: Path
) -> None:
    world = world_of("diabetes.toml", tmp_path)
    frame = pd.read_csv(
        folder / "diabetes-130" / "diabetes.csv.gz", dtype=str, keep_default_na=False
    )
    table = world.task.table
    assert len(table.kinds) == 50 - len(["readmitted", "patient_nbr", "encounter_id", "payer_code"])
    codes = next(each for each in table.columns if each.name == "diag_1")
    assert isinstance(codes, Categories)
    assert set(codes.known) <= set(frame.diag_1)
    assert {"250.83", "V57"} & set(codes.known)
    counts = frame.payer_code.value_counts()
    wanted = {name for name, count in counts.items() if name and count >= 500}
    assert {owner.name for owner in world.scenario.owners} == wanted
    records = world.records("SP")
    assert set(map(str, records.units)) <= set(frame.patient_nbr[frame.payer_code == "SP"])


def test_domains_hold_the_images_of_their_zips(folder: Path, tmp_path: Path) -> None:
    world = world_of("domains.toml", tmp_path)
    with zipfile.ZipFile(folder / "pacs" / "sketch.zip") as archive:
        classes = {name.split("/")[-2] for name in archive.namelist() if name.endswith(".jpg")}
    assert set(world.task.classes) == classes
    assert world.owner("sketches").x.shape == (200, 3, 112, 112)
    # Drawings are white with few lines, photographs are not.
    assert world.owner("sketches").x.mean() > 200 > world.owner("photos").x.mean()


def test_an_assistants_services_hold_their_own_sentences(folder: Path, tmp_path: Path) -> None:
    world = world_of("assistant.toml", tmp_path)
    frame = pd.read_csv(folder / "clinc150" / "train.csv.gz", dtype=str, keep_default_na=False)
    by_text = dict(zip(frame.text.str.strip(), frame.domain, strict=True))
    assert {owner.name for owner in world.scenario.owners} == set(frame.domain)
    texts = as_texts(world.owner("travel").x)
    assert len(texts) == 400
    assert {by_text[each] for each in texts} == {"travel"}
    assert (
        np.mean([by_text[each] == "travel" for each in as_texts(world.trainer("train").x)]) < 0.01
    )
