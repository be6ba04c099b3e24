"""Shares of a partition, against brute force, scipy's Dirichlet and flwr-datasets.

`python tests/simulations/population/test_shares.py`, where flwr-datasets is installed, writes anew what
it made of `LABELS`.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.settings.toml_table import TomlTable
from simulations.population.shares import DIVIDE, Partition, read_partition, shares

LABELS = np.random.default_rng(0).integers(0, 10, 1000)


def read(**partition: object) -> Partition:
    return read_partition(TomlTable({"partition": partition}, "", "", SettingError))


RECORDED = Path(__file__).with_name("flwr_datasets_shares.json")
SEED, NUM = 7, 6
TAKEN: dict[str, tuple[str, dict[str, Any]]] = {
    "iid": ("IidPartitioner", {}),
    "dirichlet": ("DirichletPartitioner", {"alpha": 0.3, "min_partition_size": 20}),
    "shards": ("ShardPartitioner", {"num_shards_per_partition": 3}),
    "classes": (
        "PathologicalPartitioner",
        {"num_classes_per_partition": 2, "class_assignment_mode": "first-deterministic"},
    ),
}
OURS: dict[str, Any] = {"iid": True, "dirichlet": 0.3, "shards": 3, "classes": 2}


def theirs(kind: str, values: np.ndarray, num: int, seed: int) -> list[list[int]]:
    """What flwr-datasets makes of rows in their order."""
    partitioner = pytest.importorskip("flwr_datasets.partitioner")
    datasets = pytest.importorskip("datasets")
    name, arguments = TAKEN[kind]
    if kind != "iid":
        arguments = {"partition_by": "value", "seed": seed, **arguments}
    made = getattr(partitioner, name)(num, **arguments)
    made.dataset = datasets.Dataset.from_dict({"value": values, "row": np.arange(len(values))})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [sorted(made.load_partition(place)["row"]) for place in range(num)]


def ours(kind: str, values: np.ndarray, num: int, seed: int) -> list[list[int]]:
    at_least = TAKEN[kind][1].get("min_partition_size", 0)
    rng = np.random.default_rng(seed)
    found = DIVIDE[kind](read(**{kind: OURS[kind]}, num=num), values, rng, at_least)
    return [sorted(rows.tolist()) for rows in found]


@pytest.mark.parametrize("kind", TAKEN)
def test_shares_are_those_of_flwr_datasets(kind) -> None:
    recorded = json.loads(RECORDED.read_text())
    assert sorted(map(len, recorded[kind]))[0] >= 20
    assert ours(kind, LABELS[:400], NUM, SEED) == recorded[kind]


@pytest.mark.parametrize("kind", TAKEN)
@pytest.mark.parametrize("seed", range(4))
def test_shares_are_those_of_the_installed_flwr_datasets(kind, seed) -> None:
    labels = np.random.default_rng(seed).integers(0, 7, 300)
    assert ours(kind, labels, 3 + seed, seed) == theirs(kind, labels, 3 + seed, seed)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=80), st.integers(1, 8), st.integers(0, 2**40)
)
def test_iid_gives_each_row_to_one_owner_and_each_owner_as_many(values, num, seed) -> None:
    labels = np.array(values)
    if num > len(labels):
        with pytest.raises(DataError, match="lower num"):
            shares(read(iid=True, num=num), labels, seed)
        return
    found = shares(read(iid=True, num=num), labels, seed)
    sizes = [len(rows) for rows in found]
    assert len(sizes) == num
    assert max(sizes) - min(sizes) <= 1
    assert sorted(np.concatenate(found).tolist()) == list(range(len(labels)))
    again = shares(read(iid=True, num=num), labels, seed)
    assert all(np.array_equal(one, other) for one, other in zip(found, again, strict=True))


@settings(deadline=None, max_examples=30)
@given(
    st.floats(0.05, 20), st.integers(1, 6), st.integers(0, 12), st.integers(0, 5),
    st.sampled_from([LABELS, np.array(["a", "b"] * 60)]),
)  # fmt: skip
def test_dirichlet_gives_each_row_to_one_owner_and_each_owner_enough(
    concentration, num, at_least, seed, values
) -> None:
    partition = read(dirichlet=concentration, num=num)
    try:
        found = shares(partition, values, seed, at_least)
    except DataError as error:
        assert "no draw of dirichlet" in str(error)  # noqa: PT017
        return
    assert sorted(np.concatenate(found).tolist()) == list(range(len(values)))
    assert min(len(rows) for rows in found) >= at_least
    again = shares(partition, values, seed, at_least)
    assert all(np.array_equal(one, other) for one, other in zip(found, again, strict=True))


@pytest.mark.parametrize("concentration", [0.3, 1.0, 5.0])
def test_shares_of_a_class_follow_the_dirichlet_distribution(concentration) -> None:
    num, of_class, draws = 5, 400, []
    labels = np.repeat(np.arange(40), of_class)
    for seed in range(8):
        rows = shares(read(dirichlet=concentration, num=num), labels, seed)[1]
        draws += (np.bincount(labels[rows], minlength=40) / of_class).tolist()
    # One part of a symmetric Dirichlet draw is Beta(a, (n - 1) a); counts are whole, so a little off.
    truth = stats.beta(concentration, (num - 1) * concentration)
    assert stats.kstest(draws, truth.cdf).statistic < 1.95 / np.sqrt(len(draws)) + 0.02
    assert np.mean(draws) == pytest.approx(1 / num, abs=4 * truth.std() / np.sqrt(len(draws)))
    assert np.std(draws) == pytest.approx(truth.std(), rel=0.15)


@pytest.mark.parametrize(("num", "pieces"), [(7, 2), (20, 1), (3, 5), (1, 1)])
def test_shards_are_pieces_of_the_rows_in_order_of_class(num, pieces) -> None:
    found = shares(read(shards=pieces, num=num), LABELS, 1)
    size = len(LABELS) // (num * pieces)
    assert [len(rows) for rows in found] == [pieces * size] * num
    assert len(np.unique(np.concatenate(found))) == num * pieces * size
    # The rows of one piece are neighbours in order of class: with all of a share's, they take up few classes.
    place = np.searchsorted(np.sort(LABELS), LABELS)
    for rows in found:
        gaps = np.diff(np.sort(place[rows]))
        biggest = np.bincount(LABELS).max()
        assert (gaps > biggest).sum() <= pieces - 1


@pytest.mark.parametrize(("num", "classes"), [(10, 2), (30, 3), (12, 1), (10, 10)])
def test_each_owner_has_rows_of_as_many_classes_as_it_is_given(num, classes) -> None:
    found = shares(read(classes=classes, num=num), LABELS, 2)
    assert [len(np.unique(LABELS[rows])) for rows in found] == [classes] * num
    # As many owners as classes: no class is nobody's.
    assert sorted(np.concatenate(found).tolist()) == list(range(len(LABELS)))


def test_other_seeds_give_other_shares_and_rows_are_not_taken_in_their_order() -> None:
    for given_ in ({"iid": True}, {"dirichlet": 1.0}):
        one, other = (shares(read(**given_, num=4), LABELS, seed)[0] for seed in (0, 1))
        assert not np.array_equal(np.sort(one), np.sort(other))
        of_class = np.sort(one[LABELS[one] == LABELS[one[0]]])
        assert len(of_class) < 3 or np.diff(of_class).max() > 1


@pytest.mark.parametrize(
    ("partition", "words"),
    [
        ({"num": 3}, "partition names no way to divide; give one of dirichlet = 0.3, iid = true"),
        ({"iid": True, "shards": 2, "num": 3}, "partition names iid and shards; give one of"),
        ({"iid": True}, "partition.num is missing; give a whole number"),
        ({"iid": True, "num": 0}, "partition.num is 0; give a whole number of at least 1"),
        ({"iid": False, "num": 3}, "partition.iid is false; leave it out and give one of"),
        ({"iid": 3, "num": 3}, "partition.iid is 3; give true or false"),
        ({"iid": True, "num": 3, "over": "group"}, "partition.over does nothing beside iid"),
        ({"dirichlet": 0, "num": 3}, "partition.dirichlet is 0.0; give a number above 0"),
        ({"dirichlet": -1.5, "num": 3}, "partition.dirichlet is -1.5; give a number above 0"),
        ({"dirichlet": float("nan"), "num": 3}, "partition.dirichlet is nan; give a number above"),
        ({"dirichlet": float("inf"), "num": 3}, "partition.dirichlet is inf; give a number above"),
        ({"dirichlet": 1.0, "num": 2.5}, "partition.num is 2.5; give a whole number"),
        ({"shards": 0, "num": 3}, "partition.shards is 0; give a whole number of at least 1"),
        ({"classes": -1, "num": 3}, "partition.classes is -1; give a whole number of at least 1"),
        ({"dirichlet": 1.0, "num": 3, "over": "clas"}, "is 'clas'; did you mean 'class'?"),
        (
            {"dirichlett": 1.0, "num": 3},
            "unknown key 'partition.dirichlett'; did you mean 'partition.dirichlet'?",
        ),
    ],
)  # fmt: skip
def test_a_mistake_in_a_partition_is_one_line(partition, words) -> None:
    with pytest.raises(SettingError) as caught:
        read(**partition)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("partition", "at_least", "words"),
    [
        ({"iid": True, "num": 1001}, 0, "1001 owners need 1001 rows, and 1000 are left; lower num"),
        (
            {"iid": True, "num": 30}, 40,
            "30 owners of 40 rows need 1200 rows, and 1000 are left; lower num",
        ),
        (
            {"dirichlet": 0.05, "num": 20}, 45,
            "no draw of dirichlet = 0.05 gives all of 20 owners at least 45 rows; lower at-least or num, "
            "raise dirichlet, or say",
        ),
        ({"shards": 9, "num": 200}, 0, "200 owners of 9 shards are more than 1000 rows; lower shards"),
        ({"classes": 11, "num": 3}, 0, "classes is 11, but rows have 10; lower it"),
        ({"classes": 9, "num": 900}, 0, "owners are to share a class of "),
        ({"classes": 1, "num": 19}, 52, "classes = 1 leaves an owner "),
    ],
)  # fmt: skip
def test_what_cannot_be_divided_so_is_said_in_one_line(partition, at_least, words) -> None:
    with pytest.raises(DataError) as caught:
        shares(read(**partition), LABELS, 0, at_least)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "partition",
    [{"iid": True}, {"dirichlet": 0.5}, {"shards": 2}, {"classes": 2, "over": "group"}],
)
def test_a_partition_is_read_from_its_own_table(partition) -> None:
    found = read(**partition, num=4)
    assert read(**found.as_table()) == found


if __name__ == "__main__":
    found = {kind: theirs(kind, LABELS[:400], NUM, SEED) for kind in TAKEN}
    RECORDED.write_text(json.dumps(found) + "\n")
