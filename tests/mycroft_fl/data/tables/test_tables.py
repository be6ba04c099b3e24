"""Tables: what is read, how rows become vectors, and what each flaw is told as."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mycroft_fl.data.fitted import task_examples
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.tables.encode import read_table
from mycroft_fl.data.tables.fit import fit_schema
from mycroft_fl.data.tables.schema import TableSchema
from mycroft_fl.data.task import Task
from mycroft_fl.errors import DataError

ROWS = pd.DataFrame(
    {
        "bytes": [10.0, 20.0, 5.0, 80.0, 41.0, 7.5],
        "port": [80, 443, 80, 22, 80, 22],
        "protocol": ["tcp", "udp", "tcp", "icmp", "tcp", "udp"],
        "host": ["h1", "h1", "h2", "h2", "h3", "h3"],
        "attack": ["no", "no", "yes", "no", "yes", "no"],
    }
)
SPEC = DatasetSpec("t.csv", label="attack", drop=("host",))


def write(folder: Path, frame: pd.DataFrame, name: str = "t.csv", **options) -> Path:
    frame.to_csv(folder / name, index=False, **options)
    return folder / name


def task_of(folder: Path, spec: DatasetSpec = SPEC) -> Task:
    dataset = load_dataset(spec, folder)
    schema = fit_schema(dataset.table, spec)
    return Task(dataset.classes, (schema.width,), np.dtype(np.float32), "mlp", schema)


def test_rows_become_what_scikit_learns_own_pipeline_makes_of_them(tmp_path):
    holes = ROWS.copy()
    holes.loc[1, "bytes"], holes.loc[3, "protocol"] = np.nan, None
    spec = DatasetSpec("t.csv", label="attack", drop=("host",), missing="fill", unseen="ignore")
    table = read_table(write(tmp_path, holes), spec)
    schema = fit_schema(table, spec)
    numbers, names = ["bytes", "port"], ["protocol"]
    wanted = ColumnTransformer([
        ("n", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        ("c", make_pipeline(SimpleImputer(strategy="most_frequent", missing_values=None),
                            OneHotEncoder(sparse_output=False, handle_unknown="ignore")), names),
    ])  # fmt: skip
    frame = holes[[*numbers, *names]].astype({"protocol": object})
    frame["protocol"] = frame["protocol"].where(frame["protocol"].notna(), None)
    np.testing.assert_allclose(schema.encode(table), wanted.fit_transform(frame), atol=1e-6)
    strange = ROWS.assign(protocol="sctp", bytes=1.0)
    table = read_table(write(tmp_path, strange, "other.csv"), spec)
    np.testing.assert_allclose(
        schema.encode(table), wanted.transform(strange[[*numbers, *names]]), atol=1e-6
    )


def test_a_logarithm_is_taken_before_scaling_where_asked(tmp_path):
    spec = DatasetSpec("t.csv", label="attack", drop=("host", "protocol", "port"), log=("bytes",))
    table = read_table(write(tmp_path, ROWS), spec)
    logged = np.log1p(ROWS[["bytes"]].to_numpy())
    np.testing.assert_allclose(
        fit_schema(table, spec).encode(table), StandardScaler().fit_transform(logged), atol=1e-6
    )


def test_a_schema_travels_as_json(tmp_path):
    schema = task_of_file(tmp_path)
    assert TableSchema.from_dict(json.loads(json.dumps(schema.as_dict()))) == schema
    for broken in ({}, {"columns": [{"kind": "code"}], "fills": True, "ignores": True}):
        with pytest.raises(DataError, match="not the description of a table"):
            TableSchema.from_dict(broken)
    for change in (
        lambda columns: columns * 2,
        lambda columns: [],
        lambda columns: [{**columns[0], "name": 7}],
        lambda columns: [{"kind": "categories", "name": "p", "fill": "a", "known": ["a", "a"]}],
        lambda columns: [{"kind": "categories", "name": "p", "fill": "a", "known": []}],
    ):
        plain = schema.as_dict()
        with pytest.raises(DataError, match="not the description of a table"):
            TableSchema.from_dict({**plain, "columns": change(plain["columns"])})
    hostile = schema.as_dict()
    hostile["columns"][0]["scale"] = 0.0
    with pytest.raises(DataError, match="not scaled by finite numbers"):
        TableSchema.from_dict(hostile)


def task_of_file(folder: Path) -> TableSchema:
    write(folder, ROWS)
    schema = task_of(folder).table
    assert schema is not None
    return schema


def test_only_vectors_that_a_row_can_become_are_held_possible(tmp_path):
    write(tmp_path, ROWS)
    task = task_of(tmp_path)
    x = task_examples(SPEC, tmp_path, task).x
    assert task.table.could_hold(x).all()
    names = [i for i in range(x.shape[1]) if set(np.unique(x[:, i])) <= {0.0, 1.0}]
    assert len(names) == 3
    jittered, two, none, far = (x.copy() for _ in range(4))
    jittered[:, names] += np.float32(0.001)
    two[:, names] = 1
    none[:, names] = 0
    far[:, 0] = 101
    for wrong in (jittered, two, none, far):
        assert not task.table.could_hold(wrong).any()
    numbers = x + np.where(np.isin(np.arange(x.shape[1]), names), 0, 0.1).astype(np.float32)
    assert task.table.could_hold(numbers).all()
    np.testing.assert_array_equal(task.table.with_names_of(jittered, x), x)
    ignoring = task_of(tmp_path, replace(SPEC, unseen="ignore")).table
    assert ignoring.could_hold(none).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.assign(bytes=[1, 2, None, 4, 5, 6]), "row 3, column 'bytes' is missing"),
        (lambda f: f.assign(protocol=["tcp"] * 4 + ["sctp", "udp"]),
         "row 5, column 'protocol' 'sctp' is a category that the trainer's rows do not have"),
        (lambda f: f.assign(bytes=["1", "2", "x", "4", "5", "6"]),
         "row 3, column 'bytes' 'x' is not a finite number"),
        (lambda f: f.drop(columns="port"), "column 'port' is missing; the task's columns are"),
        (lambda f: f.assign(attack=["no"] * 5 + ["maybe"]),
         "row 6: label 'maybe' is no class of the task"),
        (lambda f: f.assign(attack=["no", None] * 3), "row 2 has no label in column 'attack'"),
        (lambda f: f.drop(columns="attack"), "there is no column 'attack'"),
        (lambda f: f[:0], "has a header but no rows"),
    ],
)  # fmt: skip
def test_each_flaw_of_an_owners_table_is_one_line_that_names_it(tmp_path, change, words):
    write(tmp_path, ROWS)
    task = task_of(tmp_path)
    write(tmp_path, change(ROWS), "theirs.csv")
    theirs = DatasetSpec("theirs.csv", label="attack", drop=("host",))
    with pytest.raises(DataError) as caught:
        task_examples(theirs, tmp_path, task)
    assert words in str(caught.value)
    assert "theirs.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty (0 bytes)"),
        (b"a,b,attack\n1,2,no\n1,2,3,4,5\n", "cannot be read as a table"),
        (b"host,a,a,attack\nh,1,2,no\n", "has two columns 'a'; rename one of them"),
        (b"host,a, a,attack\nh,1,2,no\n", "has two columns 'a'; rename one of them"),
        (b"host,a,attack\nh,1,no,9\nh,2,no,9\n", "cannot be read as a table"),
        (b"\xff\xfe\x00", "cannot be read as a table"),
    ],
)  # fmt: skip
def test_what_is_no_such_table_is_told_so(tmp_path, content, words):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / "t.csv", SPEC)
    assert words in str(caught.value)
    assert "t.csv" in str(caught.value)


def test_owners_names_are_mapped_and_unknown_ones_dropped_where_so_set(tmp_path):
    write(tmp_path, ROWS)
    task = task_of(tmp_path)
    theirs = ROWS.assign(bytes=range(6), attack=["dos", "benign", "worm", "dos", "benign", "dos"])
    write(tmp_path, theirs, "theirs.csv")
    spec = DatasetSpec(
        "theirs.csv", label="attack", drop=("host",), unknown_labels="drop",
        labels=(("dos", "yes"), ("benign", "no")),
    )  # fmt: skip
    examples = task_examples(spec, tmp_path, task)
    assert [task.classes[label] for label in examples.y] == ["yes", "no", "yes", "no", "yes"]
    everything = DatasetSpec("theirs.csv", label="attack", drop=("host",), labels=(("*", "yes"),))
    assert {task.classes[y] for y in task_examples(everything, tmp_path, task).y} == {"yes"}


def test_rows_in_both_files_are_dropped_from_the_test_and_counted(tmp_path):
    write(tmp_path, ROWS)
    second = pd.concat([ROWS[2:4], ROWS.assign(bytes=ROWS["bytes"] + 1)[:2]])
    write(tmp_path, second, "test.csv")
    spec = DatasetSpec("t.csv", label="attack", drop=("host",), test_path="test.csv")
    dataset = load_dataset(spec, tmp_path)
    assert (len(dataset), dataset.overlap, dataset.duplicates) == (8, 2, 0)
    assert dataset.from_test.tolist() == [False] * 6 + [True] * 2
    assert dataset.where({"host": "h1"}).sum() == 4
    assert dataset.where({"protocol": ["udp", "icmp"], "host": "h2"}).sum() == 1
    with pytest.raises(DataError, match="no row has host = "):
        dataset.where({"host": "h9"})


def test_parquet_holds_what_csv_holds(tmp_path):
    pytest.importorskip("pyarrow")
    write(tmp_path, ROWS)
    ROWS.to_parquet(tmp_path / "t.parquet")
    both = [
        load_dataset(DatasetSpec(f"t.{kind}", label="attack"), tmp_path)
        for kind in ("csv", "parquet")
    ]
    texts = [
        {name: column.texts.tolist() for name, column in each.table.features.items()}
        for each in both
    ]
    assert texts[0] == texts[1]
    assert both[0].ids.tolist() == both[1].ids.tolist()


def test_a_category_of_parquet_may_be_numbers_or_names(tmp_path):
    pytest.importorskip("pyarrow")
    typed = ROWS.astype({"protocol": "category", "port": "category"})
    typed.to_parquet(tmp_path / "t.parquet")
    spec = DatasetSpec("t.parquet", label="attack", drop=("host",))
    dataset = load_dataset(spec, tmp_path)
    write(tmp_path, ROWS)
    plain = load_dataset(SPEC, tmp_path)
    np.testing.assert_array_equal(
        fit_schema(dataset.table, spec).encode(dataset.table),
        fit_schema(plain.table, SPEC).encode(plain.table),
    )


@pytest.mark.data
def test_nsl_kdd_has_118_rows_in_both_files(tmp_path):
    dataset = load_dataset("nsl-kdd", tmp_path)
    assert (dataset.overlap, dataset.duplicates) == (118, 57)
