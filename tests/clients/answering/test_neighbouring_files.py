"""Neighbours are two owner's files that differ by one row: what that row changes is bounded, end to end."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clients.answering.noised import contributions
from clients.answering.private_records import PrivateRecords
from clients.answering.trainer_view import TrainerView, in_range
from mycroft_fl.data.fitted import Records, task_records
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.tables.fit import fit_schema
from mycroft_fl.data.tables.values import known_as
from mycroft_fl.data.task import Task
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import flat_weights
from mycroft_fl.privacy.noise.mechanisms import UNITS, exact_sum
from mycroft_fl.protocol.messages import Request

HEAD = "age,pressure,code,patient,outcome"
SPEC = DatasetSpec("owner.csv", label="outcome", drop=("patient",), unseen="ignore", missing="fill")


def rows_of(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [
        f"{rng.normal(50, 9):.3f},{rng.normal(120, 9):.3f},{rng.choice(['01', 'V2', '3'])},{place},"
        f"{rng.choice(['ill', 'well'])}"
        for place in range(n)
    ]


@pytest.fixture
def task(tmp_path: Path) -> Task:
    (tmp_path / "owner.csv").write_text("\n".join([HEAD, *rows_of(60, 0)]))
    own = load_dataset(SPEC, tmp_path)
    assert own.table is not None
    schema = fit_schema(own.table, SPEC)
    return Task(own.classes, (schema.width,), np.dtype(np.float32), "mlp", schema)


def owned(folder: Path, rows: list[str], task: Task, spec: DatasetSpec = SPEC) -> Records:
    (folder / "owner.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    return task_records(spec, folder, task)


def summed(records: Records, task: Task, mode: str) -> tuple[np.ndarray, Fraction]:
    """The exact sum that noise is added to, and the squared length that one unit may add."""
    weights = flat_weights(build("mlp", task.shape, task.num_classes, seed=0))
    rng = np.random.default_rng(5)
    hard = Examples(rng.normal(size=(6, *task.shape)).astype(np.float32), np.arange(6) % 2)
    asked = Request(
        server_round=1,
        method="omp",
        k=4,
        hard=hard,
        num_classes=task.num_classes,
        model="mlp",
        weights=weights,
        seed=0,
        mode=mode,
    )
    known = in_range(asked, records.examples)
    persons = None if records.units is None else records.units[known]
    added = contributions(
        TrainerView.of(asked, records.examples), records.examples[known], clip=1.0
    )
    return exact_sum(added.rows, added.bound_squared, persons=persons), added.bound_squared


def conflicting(content: str = "40.0,150.0,01") -> list[str]:
    return [f"{content},900,ill", f"{content},901,well"]


@pytest.mark.parametrize("mode", ["score", "gradient"])
@pytest.mark.parametrize(
    "changed",
    [
        conflicting(),
        ["40.0,150.0,01,900,ill", "40.0,150.0,01,901,ill"],
        # Among numbers alone pandas would read 01 as 1; one text more or less must not decide that.
        ["40.0,150.0,V2,900,ill"],
        ["40.0,150.0,,900,ill"],
        ["40.0,150.0,1e3,900,ill"],
    ],
)
def test_one_row_more_changes_the_sum_by_no_more_than_a_record_may(
    mode: str, changed: list[str], task: Task, tmp_path: Path
) -> None:
    whole = changed + [row.replace("V2", "3") for row in rows_of(40, 1)]
    with_all, bound = summed(owned(tmp_path, whole, task), task, mode)
    for place in range(len(changed) + 2):  # of the rows like any other two are enough
        rest = whole[:place] + whole[place + 1 :]
        without, _ = summed(owned(tmp_path, rest, task), task, mode)
        difference = (with_all - without).astype(object)
        assert int((difference**2).sum()) <= bound * UNITS**2, whole[place]


@pytest.mark.parametrize("mode", ["score", "gradient"])
def test_one_person_more_changes_it_by_no_more_whatever_rows_it_shares_with_others(
    mode: str, task: Task, tmp_path: Path
) -> None:
    spec = DatasetSpec(
        "owner.csv", label="outcome", unit_id="patient", unseen="ignore", missing="fill"
    )
    others = [*rows_of(30, 1), *conflicting(), *(f"40.0,150.0,01,7,{y}" for y in ("ill", "well"))]
    person = [
        f"{content},P,{y}" for content in ("40.0,150.0,01", "9.0,9.0,3") for y in ("ill", "well")
    ]
    with_person, bound = summed(owned(tmp_path, others + person, task, spec), task, mode)
    without, _ = summed(owned(tmp_path, others, task, spec), task, mode)
    assert int(((with_person - without).astype(object) ** 2).sum()) <= bound * UNITS**2


def most_by_one_row(folder: Path, head: str, rows: list[str], task: Task) -> int:
    """How many records a row that is taken away takes with it and lets in, together, at most."""

    def held(some: list[str]) -> Counter[tuple[bytes, int]]:
        (folder / "owner.csv").write_text("\n".join([head, *some]) + "\n")
        examples = task_records(SPEC, folder, task).examples
        return Counter((x.tobytes(), int(y)) for x, y in zip(examples.x, examples.y, strict=True))

    whole = held(rows)
    others = [held(rows[:at] + rows[at + 1 :]) for at in range(len(rows))]
    return max(((whole - each) + (each - whole)).total() for each in others)


@pytest.mark.parametrize("pair", [("01", "1"), ("1.0", "1"), ("True", "TRUE"), ("1e2", "100")])
def test_a_column_beyond_the_tasks_does_not_decide_by_one_row_whether_others_are_one(
    pair: tuple[str, str], task: Task, tmp_path: Path
) -> None:
    rows = [f"40.0,150.0,01,9,ill,{visit}" for visit in (*pair, "first")]
    others = [f"{row},{place % 2}" for place, row in enumerate(rows_of(4, 1))]
    assert most_by_one_row(tmp_path, HEAD + ",visit", rows + others, task) <= 1


@pytest.mark.parametrize("third", ["", "0.5"])
def test_large_whole_numbers_are_one_or_two_whatever_another_row_lacks(
    third: str, task: Task, tmp_path: Path
) -> None:
    rows = [f"{age},150.0,01,9,ill" for age in ("9007199254740993", "9007199254740992", third)]
    rows += [row.replace(row.split(",")[0], "50") for row in rows_of(4, 1)]
    assert most_by_one_row(tmp_path, HEAD, rows, task) <= 1


def forged(row: pd.DataFrame, last: str, changed: dict[str, object]) -> pd.DataFrame:
    """`row` with changes, and a number in its `last` column by which its pandas digest stays as it was."""

    def unmixed(digest: int) -> float:
        """The number whose digest this is: splitmix64 is a permutation."""
        for shift, times in ((31, 0x94D049BB133111EB), (27, 0xBF58476D1CE4E5B9), (30, 1)):
            found = digest
            for _ in range(64 // shift + 1):
                found = digest ^ (found >> shift)
            digest = found * pow(times, -1, 2**64) % 2**64
        return float(np.uint64(digest).view(np.float64))

    other = row.assign(**changed)
    wanted = int(pd.util.hash_pandas_object(row, index=False)[0])
    # Columns are joined by (before ^ digest) * odd + constant, and the last column is joined last.
    times, plus = 1000003, 97531
    for place in range(len(row.columns) - 1):
        times += 82520 + 2 * (len(row.columns) - place)
    goal = (wanted - plus) * pow(times, -1, 2**64) % 2**64
    now = int(pd.util.hash_pandas_object(other, index=False)[0])
    own = int(pd.util.hash_array(other[last].to_numpy(np.float64))[0])
    before = ((now - plus) * pow(times, -1, 2**64) % 2**64) ^ own
    return other.assign(**{last: unmixed(goal ^ before)})


def test_a_row_that_was_made_for_anothers_digest_is_a_record_of_its_own(tmp_path: Path) -> None:
    """Else the row that is known to its maker shows whether the other one is there: it is let in."""
    known = pd.DataFrame({"age": [71.0], "pressure": [160.0]})
    ages = (
        forged(known, "pressure", {"age": float(each)})
        for each in np.random.default_rng(0).normal(50, 9, 500)
    )
    made = next(each for each in ages if abs(each["pressure"][0]) < 1e3)
    digests = [int(pd.util.hash_pandas_object(each, index=False)[0]) for each in (known, made)]
    assert digests[0] == digests[1]  # or nothing is tried here
    spec = DatasetSpec("owner.csv", label="outcome")
    pair = pd.concat([known, made], ignore_index=True).assign(outcome="ill")
    rest = pd.DataFrame({"age": [30.0, 45.0], "pressure": [110.0, 125.0], "outcome": "well"})
    rest.to_csv(tmp_path / "owner.csv", index=False)
    own = load_dataset(spec, tmp_path)
    assert own.table is not None
    schema = fit_schema(own.table, spec)
    task = Task(("ill", "well"), (schema.width,), np.dtype(np.float32), "mlp", schema)
    pd.concat([pair, rest]).to_csv(tmp_path / "owner.csv", index=False)
    assert len(task_records(spec, tmp_path, task).examples) == 4


def test_persons_whose_ids_look_like_equal_numbers_stay_two(task: Task, tmp_path: Path) -> None:
    spec = DatasetSpec("owner.csv", label="outcome", unit_id="patient", missing="fill")
    names = ("01", "1", "1.0", "10000000000000001", "10000000000000002")
    rows = [f"4{place},150.0,01,{name},ill" for place, name in enumerate(names)]
    held = owned(tmp_path, rows, task, spec)
    assert held.units is not None
    assert len(set(held.units.tolist())) == 5


def test_a_content_with_two_labels_is_drawn_never_and_neither_row_lets_the_other_in(
    task: Task, tmp_path: Path
) -> None:
    def pool(rows: list[str]) -> set[int]:
        held = owned(tmp_path, rows, task)
        return set(PrivateRecords(held.examples).drawable().ids.tolist())

    rest, pair = rows_of(20, 1), conflicting()
    both, first, second = pool(rest + pair), pool([*rest, pair[0]]), pool([*rest, pair[1]])
    assert both == pool(rest)
    assert first == second
    assert len(first - both) == 1
    # Chosen without noise it may be, once.
    held = owned(tmp_path, rest + pair, task)
    assert len(held.examples) == 22
    assert len(PrivateRecords(held.examples).shareable()) == 21


@pytest.mark.parametrize(
    ("text", "known", "meant"),
    [
        ("01", {"1"}, "1"), ("01", {"1", "01"}, "01"), ("1", {"1.0"}, "1.0"), ("1.0", {"1"}, "1"),
        ("1E5", {"100000"}, "100000"), ("0.50", {"0.5"}, "0.5"), ("TRUE", {"True"}, "True"),
        ("false", {"False"}, "False"), ("V2", {"v2"}, "V2"), ("nan", {"0"}, "nan"),
        ("inf", {"0"}, "inf"), ("10000000000000001", {"10000000000000000"}, "10000000000000001"),
        ("", {"0"}, ""),
    ],
)  # fmt: skip
def test_a_value_is_read_by_itself_and_as_the_task_writes_it(
    text: str, known: set[str], meant: str
) -> None:
    assert known_as(text, known) == meant
