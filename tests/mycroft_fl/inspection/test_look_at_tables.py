"""A look at a table finds all that is amiss and invents nothing; the scenario that it writes is taken."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.errors import DataError, InputError
from mycroft_fl.inspection.look import look_at
from mycroft_fl.inspection.skeleton import scenario_text, task_text
from mycroft_fl.inspection.table import Look, look_at_table
from mycroft_fl.inspection.told import all_told, problems_of
from simulations.setup.simulation import Simulation

sys.path.append(str(Path(__file__).parent))
from planted import PLANTED, Planted, text_of

DATA = os.environ.get("MYCROFT_DATA", "")


@pytest.fixture
def look(tmp_path: Path):
    def at(name: str) -> Look:
        planted = PLANTED[name]
        path = tmp_path / "table.csv"
        path.write_bytes(text_of(planted))
        return look_at_table(path, DatasetSpec(str(path), label=planted.label))

    return at


@pytest.mark.parametrize("name", PLANTED)
def test_everything_planted_is_found_and_nothing_else(look, name: str) -> None:
    found = [each.text for each in look(name).findings]
    wanted = PLANTED[name].said
    for part in wanted:
        assert [text for text in found if part in text], (part, found)
    assert len(found) == len(wanted), found


@pytest.mark.parametrize("name", [name for name, each in PLANTED.items() if each.mended])
def test_the_first_scenario_is_one_that_runs(look, tmp_path: Path, name: str) -> None:
    """As far as a run is checked before anything is fitted: data, schema, groups, model, method."""
    found, out = look(name), tmp_path / "first.toml"
    assert not found.needs_a_mended_file
    out.write_text(scenario_text(found, out), encoding="utf-8")
    simulation = Simulation.load(str(out), {}, tmp_path / "run", engine="in-process")
    simulation.check()
    for owner in simulation.scenario.owners:  # none of them would stay out
        assert len(simulation.world.records(owner.name).examples) > 0


@pytest.mark.parametrize("name", [name for name, each in PLANTED.items() if not each.mended])
def test_what_no_setting_mends_is_said_to_need_a_person(look, name: str) -> None:
    assert look(name).needs_a_mended_file


def test_rows_are_counted_as_the_data_set_counts_them(look, tmp_path: Path) -> None:
    from mycroft_fl.data.sources import load_dataset

    for name in ("sound", "conflicting rows"):
        found = look(name)
        dataset = load_dataset(found.spec, tmp_path)
        counts = {c: int((dataset.y == place).sum()) for place, c in enumerate(dataset.classes)}
        assert dict(found.distinct) == counts
        assert sum(found.classes.values()) == found.rows == len(dataset) + dataset.duplicates


def test_a_table_that_settings_do_not_fit_is_told_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text_of(PLANTED["all at once"]))
    lines = problems_of([DatasetSpec(str(path), label="y", drop=("nothing",))], tmp_path)
    for part in ("there is no column 'nothing'", "when", "person", "note", "values are missing"):
        assert [line for line in lines if part in line], (part, lines)
    with (
        pytest.raises(DataError, match=r"(?s)'when'.*'person'.*values are missing"),
        all_told([DatasetSpec(str(path), label="y")], tmp_path),
    ):
        raise DataError("t.csv: column 'when' holds dates")


def test_an_error_that_a_look_does_not_find_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text_of(PLANTED["sound"]))
    with (
        pytest.raises(DataError, match=r"^something else$"),
        all_told([DatasetSpec(str(path), label="y")], tmp_path),
    ):
        raise DataError("something else")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("a,b\n", "has a header but no rows"),
        ("a,b\n1,2\n3\n", "row 2 has 1 fields, the header 2"),
        ('a,b\n1,"2\n', "cannot be read as a table"),
    ],
)
def test_what_is_no_table_is_one_error(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        look_at(path, "b")


def test_a_header_with_flaws_is_looked_past(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = "\n".join(f"{i},{i % 5},x{i % 3},7,{i % 2}" for i in range(60))
    path.write_text(f",size,size,,y\n{rows}\n")
    found = [each.text for each in look_at(path, "y").all[0].findings]
    assert [text for text in found if "column 1 has no name and is left out" in text]
    assert [text for text in found if "two columns 'size'" in text]
    assert [text for text in found if "column 4 has no name; give it one" in text]


def test_a_folder_of_parts_becomes_a_task(tmp_path: Path) -> None:
    from mycroft_fl.tasks.file import load_task

    for name, seed in (("train", "missing values"), ("validation", "sound")):
        (tmp_path / f"{name}.csv").write_bytes(text_of(PLANTED[seed]))
    looks = look_at(tmp_path, "y")
    assert set(looks.parts) == {"train", "validation"}
    out = tmp_path / "task.toml"
    out.write_text(task_text(looks, out), encoding="utf-8")
    assert len(load_task(out).train) == 600
    (tmp_path / "validation.csv").unlink()
    with pytest.raises(InputError, match="a folder with a table for each part"):
        task_text(look_at(tmp_path, "y"), out)


def test_a_part_that_lacks_a_column_or_a_class_is_told_beside_the_first(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_bytes(text_of(PLANTED["sound"]))
    text = text_of(PLANTED["sound"]).decode().replace("site", "place").replace(",yes", ",maybe")
    (tmp_path / "val.csv").write_text(text)
    found = [each.text for each in look_at(tmp_path, "y").parts["validation"].findings]
    assert "column 'site' is missing, and train.csv has it" in found
    assert [
        text for text in found if "1 classes do not stand in train.csv, such as 'maybe'" in text
    ]


@pytest.mark.parametrize(
    ("columns", "guess"),
    [
        (("a", "label", "b"), "label"),
        (("a", "b", "kind"), "kind"),
        (("Target", "b", "a"), "Target"),
    ],
)
def test_the_class_is_guessed_by_name_and_place(tmp_path: Path, columns, guess: str) -> None:
    path = tmp_path / "t.csv"
    rows = "\n".join(f"{i * 1.5},{'uv'[i % 2]},{'pq'[i % 2]}" for i in range(60))
    path.write_text(f"{','.join(columns)}\n{rows}\n")
    found = look_at(path).all[0]
    assert found.spec.label == guess
    assert f"the class is taken to be in column '{guess}'" in found.findings[0].text


def test_without_any_guess_the_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "\n".join(f"{i},{i * 2}" for i in range(90)) + "\n")
    with pytest.raises(
        DataError, match="say which column holds the class with --label, one of a, b"
    ):
        look_at(path)


def test_too_small_a_table_gets_no_scenario(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "\n".join(f"{i},{'uv'[i % 2]}" for i in range(30)) + "\n")
    with pytest.raises(InputError, match="too few for a first scenario"):
        scenario_text(look_at(path, "y").all[0], tmp_path / "s.toml")


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "label", "said"),
    [
        ("heart-hospitals/heart.csv", "disease", {"'chol' holds 0 in 172", "values are missing", "2 rows"}),
        (
            "nsl-kdd/train.csv.gz", "attack",
            {"6 classes have", "num_outbound_cmds' is '0'", "is_host_login' is '0'", "service, flag: some"},
        ),
        ("clinc150/train.csv.gz", "intent", {"hardly anything else tells rows apart; set text = \"text\""}),
    ],
)  # fmt: skip
def test_real_tables_have_their_known_trouble_and_no_other(
    file: str, label: str, said: set[str]
) -> None:
    path = Path(DATA) / file
    found = [
        each.text for each in look_at_table(path, DatasetSpec(str(path), label=label)).findings
    ]
    for part in said:
        assert [text for text in found if part in text], (part, found)
    assert len(found) == len(said), found


def test_planted_tables_are_fifteen_and_one_of_them_is_sound() -> None:
    assert len(PLANTED) == 15
    assert [name for name, each in PLANTED.items() if not each.said] == ["sound"]
    assert isinstance(PLANTED["sound"], Planted)


def texts(path: Path, *, beside: bool = False, torn: bool = False) -> Path:
    """A table of 300 sentences in two classes; `beside` them a number, one row without its class."""
    rng = np.random.default_rng(0)
    words = [
        "bus",
        "card",
        "bank",
        "flight",
        "hotel",
        "money",
        "train",
        "room",
        "pay",
        "book",
        "visa",
    ]
    rows = [
        {
            "body": " ".join(rng.choice(words, 9)),
            "size": f"{rng.normal():.4f}",
            "queue": "ab"[n % 2],
        }
        for n in range(300)
    ]
    rows[3]["body"], rows[5]["queue"] = "NA", "" if torn else "b"
    frame = pd.DataFrame(rows)
    (frame if beside else frame.drop(columns="size")).to_csv(path, index=False)
    return path


def test_a_table_of_texts_alone_is_for_a_model_of_texts_and_its_scenario_runs(tmp_path) -> None:
    look = look_at(texts(tmp_path / "t.csv"), "queue").all[0]
    assert [each.text for each in look.findings] == [
        "column 'body' holds free text, 9 words in the mean, and hardly anything else tells rows apart; "
        'set text = "body" for a model that reads texts'
    ]
    assert (look.spec.text, look.columns[0].kind, look.columns[0].missing) == ("body", "text", 0)
    scenario = tmp_path / "s.toml"
    scenario.write_text(scenario_text(look, scenario))
    Simulation.load(str(scenario), {}, tmp_path / "run", engine="in-process").check()
    assert not look_at_table(tmp_path / "t.csv", look.spec).findings


def test_beside_other_columns_a_text_may_be_left_out_or_read_alone(tmp_path) -> None:
    look = look_at(texts(tmp_path / "t.csv", beside=True), "queue").all[0]
    (found,) = [each for each in look.findings if "free text" in each.text]
    assert (
        'columns.body = "ignore", or set text = "body" for a model that reads it alone'
        in found.text
    )
    assert (look.spec.text, look.spec.kinds) == ("", {"body": "ignore"})


def test_flaws_of_a_table_of_texts_are_its_own_alone(tmp_path) -> None:
    path = texts(tmp_path / "t.csv", beside=True, torn=True)
    spec = DatasetSpec(str(path), label="queue", text="body")
    (problem,) = problems_of([spec], tmp_path)
    assert problem.startswith("t.csv: 1 rows have no class in column 'queue', the first is row 6")


@pytest.mark.parametrize(("numbers", "rows", "stops"), [(25, 10, False), (60, 1, True)])
def test_classes_that_look_measured_stop_a_run_only_where_it_would_refuse_them(
    tmp_path, numbers: int, rows: int, stops: bool
) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "t.csv"
    lines = [f"{rng.normal():.4f},{n}" for n in range(numbers) for _ in range(rows)]
    path.write_text("\n".join(["size,days", *lines]) + "\n")
    spec = DatasetSpec(str(path), label="days")
    (found,) = [each for each in look_at_table(path, spec).findings if "a measurement" in each.text]
    assert found.stops == stops
    if stops:
        with pytest.raises(DataError, match="a target to be predicted as a number"):
            load_dataset(spec, tmp_path)
    else:
        assert len(load_dataset(spec, tmp_path).classes) == numbers
