"""A study's file is read strictly, and what is wrong with it is said before anything runs."""

from __future__ import annotations

import pytest

from mycroft_fl.errors import StudyError
from mycroft_fl.report.study.folder import Axis
from simulations.study.file import load_study, packaged_studies

FROM_THE_DOCS = """
title = "What a budget buys"
seeds = 10
[grid]
scenario = ["rotated-digits", "own/flows.toml"]
method = ["omp", "features", "random", "full"]
budget = [40, 80, 160]
"""


def written(tmp_path, text):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    return file


def grid(text):
    return f'[grid]\nscenario = "rotated-digits"\n{text}\n'


def test_every_combination_is_there_once_in_the_order_of_the_file(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "flows.toml").write_text("")
    study = load_study(written(tmp_path, FROM_THE_DOCS))
    assert (study.name, study.title, study.seeds) == (
        "mine",
        "What a budget buys",
        tuple(range(10)),
    )
    assert [axis.key for axis in study.axes] == ["scenario", "method", "budget"]
    output = [tuple(each.values()) for each in study.grids[0].combinations()]
    assert len(output) == len(set(output)) == 24
    assert output[:2] == [("rotated-digits", "omp", 40), ("rotated-digits", "omp", 80)]


def test_dotted_settings_and_tables_are_the_same_axis(tmp_path):
    one = load_study(written(tmp_path, grid("hard-set.sent = [4, 8]\npolicy.epsilon = [1, 2]")))
    two = load_study(
        written(tmp_path, grid("hard-set = { sent = [4, 8] }\npolicy = { epsilon = [1, 2] }"))
    )
    assert one.axes == two.axes
    assert one.axes[1:] == (Axis("hard-set.sent", (4, 8)), Axis("policy.epsilon", (1, 2)))


def test_a_list_of_data_sets_is_an_axis_and_one_table_is_none(tmp_path):
    study = load_study(
        written(tmp_path, grid('dataset = ["digits", { path = "a.csv", label = "y" }]'))
    )
    assert study.axes[1].values == ("digits", {"path": "a.csv", "label": "y"})
    study = load_study(written(tmp_path, grid('dataset = { path = "a.csv" }')))
    assert study.grids[0].fixed == {"dataset": {"path": "a.csv"}}


def test_grids_of_one_part_are_one_part_with_the_axes_of_both(tmp_path):
    text = """
    seeds = [3, 5]
    run = { budget = 9 }
    [[grid]]
    part = "age"
    title = "How old"
    scenario = "rotated-digits"
    owner-epochs = [1, 3]
    [[grid]]
    part = "age"
    scenario = "rotated-digits"
    gradients-from = ["trainer"]
    budget = 7
    [[grid]]
    part = "noise"
    scenario = "rotated-digits"
    label-noise = [0.0, 0.5]
    """
    study = load_study(written(tmp_path, text))
    assert study.seeds == (3, 5)
    assert [(name, len(grids)) for name, grids in study.parts.items()] == [("age", 2), ("noise", 1)]
    assert study.grids[0].title == "How old"
    assert [each.fixed["budget"] for each in study.grids] == [9, 7, 9]
    assert [axis.key for axis in study.axes] == [
        "scenario", "owner-epochs", "gradients-from", "label-noise",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("title = ", "cannot be read as TOML"),
        ("budgets = 3", "unknown key 'budgets'"),
        ("title = 3", "title is 3; give a text"),
        ("seeds = 3", "there is no grid"),
        ("grid = 3", "grid is 3; write one table"),
        ("seeds = 0\n" + grid(""), "seeds is 0; give a number"),
        ("seeds = []\n" + grid(""), "seeds is"),
        ("seeds = [1, -1]\n" + grid(""), "seeds is"),
        ("seeds = [1, 1]\n" + grid(""), "name each seed once"),
        ("seeds = true\n" + grid(""), "seeds is True"),
        ("[grid]\nbudget = [3]", "grid.scenario is missing"),
        ("[grid]\nscenario = 'rotated-digit'", "there is no packaged scenario of that name and no file"),
        ("[grid]\nscenario = [3]", "give names or paths"),
        (grid("budgte = [3]"), "grid.budgte is no setting; did you mean 'budget'"),
        (grid("budget = []"), "grid.budget is an empty list"),
        (grid("budget = [40, 40]"), "grid.budget holds 40 twice"),
        (grid("budget = [40, 0]"), "grid.budget does not fit: budget is 0"),
        (grid("budget = ['a']"), "grid.budget does not fit: budget is the text 'a'"),
        (grid("timeout = [inf]"), "grid.timeout holds inf; give a finite number"),
        (grid("policy.epsilon = [nan]"), "policy.epsilon holds nan"),
        (grid("seed = [1]"), "grid.seed is no axis"),
        (grid("engine = ['slurm']"), "grid.engine holds 'slurm'"),
        (grid("mode = ['raw', 'rwa']"), "grid.mode does not fit"),
        ("[run]\nbudget = [1, 2]\n" + grid(""), "run.budget is a list"),
        ("[run]\nbudgte = 1\n" + grid(""), "run.budgte is no setting"),
        ("[[grid]]\nscenario = 'rotated-digits'\n[[grid]]\npart = 'b'\nscenario = 'rotated-digits'",
         r"grid\[1\].part is missing"),
        (grid(f"budget = {list(range(1, 400))}\nowner-epochs = {list(range(1, 400))}"),
         "are more than 100,000 cells"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_file_and_key(tmp_path, text, output):
    with pytest.raises(StudyError, match=output) as error:
        load_study(written(tmp_path, text))
    assert "mine.toml" in str(error.value)


def test_a_name_that_is_neither_study_nor_file_gets_a_suggestion():
    with pytest.raises(StudyError, match="did you mean 'paper'"):
        load_study("papr")
    with pytest.raises(StudyError, match="no study"):
        load_study("x" * 5000)


def test_packaged_studies_are_listed_by_name():
    assert {"paper", "privacy", "scale"} <= set(dict(packaged_studies()))
