"""Columns that say whose a row is and whether it may leave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mycroft_fl.data.fitted import task_examples, task_records
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.tables.fit import fit_schema
from mycroft_fl.data.task import Task
from mycroft_fl.errors import DataError

SCANS = pd.DataFrame({
    "size": [1.0, 2.0, 2.0, 2.0, 5.0],
    "patient": [7, 7, 7, 8, 9],
    "consented": ["yes", "Yes ", "yes", "no", None],
    "finding": ["no", "yes", "yes", "yes", "no"],
})  # fmt: skip
SPEC = DatasetSpec("scans.csv", label="finding", unit_id="patient", shareable="consented")


def task_for(folder: Path, frame: pd.DataFrame = SCANS) -> Task:
    frame.to_csv(folder / "scans.csv", index=False)
    schema = fit_schema(load_dataset(SPEC, folder).table, SPEC)
    return Task(("no", "yes"), (schema.width,), np.dtype(np.float32), "mlp", schema)


def test_neither_column_is_a_feature_and_each_record_keeps_its_own(tmp_path):
    task = task_for(tmp_path)
    assert task.table is not None
    assert [column.name for column in task.table.columns] == ["size"]
    held = task_records(SPEC, tmp_path, task)
    # Row 3 repeats row 2 of the same patient; row 4 has that content too, but is another's.
    assert held.units.tolist() == ["7", "7", "8", "9"]
    assert held.examples.y.tolist() == [0, 1, 1, 0]
    assert len(task_examples(SPEC, tmp_path, task)) == 3


def test_what_stands_there_twice_may_leave_only_if_both_allow_it(tmp_path):
    held = task_records(SPEC, tmp_path, task_for(tmp_path))
    assert held.shareable.tolist() == [True, False, False, False]
    assert held[np.array([0])].units.tolist() == ["7"]


def test_a_person_taken_away_takes_all_that_it_added_and_nothing_else(tmp_path):
    task = task_for(tmp_path)
    whole = task_records(SPEC, tmp_path, task)
    SCANS[SCANS["patient"] != 7].to_csv(tmp_path / "scans.csv", index=False)
    left = task_records(SPEC, tmp_path, task)
    others = whole.units != "7"
    assert left.units.tolist() == whole.units[others].tolist()
    assert np.array_equal(left.examples.x, whole.examples.x[others])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"patient": [7, None, 7, 8, 9]}, "row 2 has no unit in column 'patient'; say whose it is"),
        ({"consented": ["yes", "no", "ask", "no", "no"]},
         "row 3, column 'consented' 'ask' says neither yes nor no"),
    ],
)  # fmt: skip
def test_a_row_that_does_not_say_is_named(tmp_path, change, words):
    SCANS.assign(**change).to_csv(tmp_path / "scans.csv", index=False)
    with pytest.raises(DataError) as caught:
        load_dataset(SPEC, tmp_path)
    assert words in str(caught.value)
    assert "scans.csv" in str(caught.value)


@pytest.mark.parametrize("values", [[1, 0, 1, 0, 1], [True, False, True, False, True]])
def test_yes_and_no_may_be_numbers_or_truth_values(tmp_path, values):
    SCANS.assign(consented=values, size=range(5)).to_csv(tmp_path / "scans.csv", index=False)
    assert load_dataset(SPEC, tmp_path).shareable.tolist() == [True, False, True, False, True]


def test_images_in_a_table_of_paths_have_units_too(tmp_path):
    for place, grey in enumerate((10, 200, 10)):
        Image.new("L", (8, 8), grey).save(tmp_path / f"{place}.png")
    rows = pd.DataFrame({
        "file": ["0.png", "1.png", "2.png"], "finding": ["no", "yes", "no"],
        "patient": ["a", "a", "b"], "consented": ["yes", "yes", "no"],
    })  # fmt: skip
    rows.to_csv(tmp_path / "scans.csv", index=False)
    spec = DatasetSpec(
        "scans.csv", label="finding", unit_id="patient", shareable="consented", image="file"
    )
    held = task_records(spec, tmp_path, Task(("no", "yes"), (1, 8, 8), np.dtype(np.uint8), "mlp"))
    assert held.units.tolist() == ["a", "a", "b"]
    assert held.shareable.tolist() == [False, True, False]
    assert len(load_dataset(spec, tmp_path)) == 2


def test_a_test_table_names_images_beside_itself_and_a_missing_one_is_placed(tmp_path):
    spec = DatasetSpec("a/t.csv", label="finding", image="file", test_path="b/t.csv")
    for folder, grey in (("a", 10), ("b", 90)):
        (tmp_path / folder).mkdir()
        Image.new("L", (4, 4), grey).save(tmp_path / folder / "0.png")
        (tmp_path / folder / "t.csv").write_text(f"file,finding\n0.png,{folder}\n")
    dataset = load_dataset(spec, tmp_path)
    assert dataset.x[:, 0, 0, 0].tolist() == [10, 90]
    assert dataset.from_test.tolist() == [False, True]
    (tmp_path / "b" / "t.csv").write_text("file,finding\n0.png,b\n1.png,b\n")
    with pytest.raises(DataError, match=r"t\.csv: row 2: 1\.png cannot be read"):
        load_dataset(spec, tmp_path)
    (tmp_path / "b" / "t.csv").write_text("file,finding\n,b\n")
    with pytest.raises(DataError, match=r"t\.csv: row 1 has no image in column 'file'"):
        load_dataset(spec, tmp_path)


def test_images_by_folder_have_no_such_columns(tmp_path):
    (tmp_path / "photos" / "a").mkdir(parents=True)
    with pytest.raises(DataError, match="unit-id and shareable do not apply; list its files in a"):
        load_dataset(DatasetSpec("photos", unit_id="patient"), tmp_path)
