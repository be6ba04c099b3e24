"""Data in memory as a task: labels, columns and owners of several kinds."""

from __future__ import annotations

import pandas as pd
import pytest
from simulations_face_data import digits, flows

from mycroft_fl.errors import DataError, SettingError
from simulations.face.given_task import GivenTask, Reading, given_task


def numbered(seed: int, kind: type, target: str = "label") -> pd.DataFrame:
    """Flows whose class is 0 or 1."""
    frame = flows(60, seed, 0.3)
    return frame.assign(label=(frame["label"] == "attack").astype(kind)).rename(
        columns={"label": target}
    )


def made(owners, train=None, validation=None, reading=None, model="mlp") -> GivenTask:
    parts = {
        "train": numbered(0, int) if train is None else train,
        "validation": numbered(1, int) if validation is None else validation,
    }
    return given_task(parts, owners, reading or Reading("", {}), None, model)


@pytest.mark.parametrize(("train", "other"), [(int, float), (float, int), (int, "Float64")])
@pytest.mark.parametrize("saved", [True, False])
def test_whole_numbers_are_one_class_however_they_are_typed(train, other, saved, tmp_path):
    later, owner = numbered(1, other), numbered(2, other)
    if saved:
        later.to_csv(tmp_path / "later.csv", index=False)
        later = tmp_path / "later.csv"
    task = made({"a": owner}, train=numbered(0, train), validation=later)
    assert task.task.classes == ("0", "1")


def test_a_label_that_train_never_has_is_said_in_one_line(caplog):
    later = numbered(1, int).replace({"label": {1: 7}})
    assert made({"a": numbered(2, int)}, validation=later).task.classes == ("0", "1", "7")
    said = [each.getMessage() for each in caplog.records if "never has" in each.getMessage()]
    assert said == ["validation has labels that train never has: 7"]


@pytest.mark.parametrize("target", ["class", "attack"])
def test_a_file_goes_by_the_column_that_train_was_found_to_have(target, tmp_path):
    path = tmp_path / "owner.csv"
    numbered(2, int, target).to_csv(path, index=False)
    reading = Reading("" if target == "class" else target, {})
    task = made(
        {"a": path},
        train=numbered(0, int, target),
        validation=numbered(1, int, target),
        reading=reading,
    )
    assert list(task.owners) == ["a"]


def test_a_file_beside_arrays_is_told_to_name_its_column(tmp_path):
    path = tmp_path / "owner.csv"
    numbered(2, int).to_csv(path, index=False)
    parts = digits()
    with pytest.raises(DataError, match=r"owner.csv is a table.* as label="):
        made({"a": path}, train=parts["train"], validation=parts["validation"])


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("owners", "said"), [([1, 2], "owners is a list; give data by name"), ({1: 2}, "the name 1;")]
)
def test_owners_without_names_are_told_in_one_line(owners, said):
    with pytest.raises(SettingError, match=said):
        made(owners)
