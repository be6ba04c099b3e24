"""A target of numbers is refused by its distinct values, and labels that are classes never are."""

import numpy as np
import pytest

from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.tables.targets import check_classes
from mycroft_fl.errors import DataError


def written(tmp_path, labels):
    lines = [f"{place},{label}" for place, label in enumerate(labels)]
    (tmp_path / "t.csv").write_text("\n".join(["x,target", *lines]))
    return DatasetSpec("t.csv", label="target")


def test_a_measured_target_is_refused_with_its_count_and_range(tmp_path):
    labels = np.round(np.random.default_rng(0).uniform(90, 180, 300), 1)
    with pytest.raises(DataError) as caught:
        load_dataset(written(tmp_path, labels), tmp_path)
    message = str(caught.value)
    assert f"label 'target' holds {len(np.unique(labels))} different numbers in 300 rows" in message
    assert f"from {labels.min():g} to {labels.max():g}" in message
    assert "make classes of it" in message
    assert "\n" not in message


def test_a_counted_target_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds 120 different numbers in 120 rows"):
        load_dataset(written(tmp_path, range(100, 220)), tmp_path)


@pytest.mark.parametrize(
    "labels",
    [
        [str(each % 100) for each in range(1000)],  # a hundred classes by number
        [f"{each / 2}" for each in range(11)] * 20,  # a rating in halves
        ["0", "1"] * 100,
        [f"intent-{each}" for each in range(90)],
        [str(each) for each in range(40)],  # few rows, each another class
    ],
)
def test_classes_are_none(tmp_path, labels):
    dataset = load_dataset(written(tmp_path, labels), tmp_path)
    assert len(dataset.classes) == len(set(labels))


def test_an_owner_may_have_one_row_of_each_class(tmp_path):
    spec = written(tmp_path, range(80))
    assert len(load_dataset(spec, tmp_path, {"x": "number"}, records=True)) == 80


def test_a_word_among_numbers_says_that_they_are_names():
    check_classes("f", "t", [*map(str, range(500)), "other"], 501)
