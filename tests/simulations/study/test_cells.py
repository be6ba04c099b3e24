"""A cell is named by all that its result depends on, and by nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from mycroft_fl.errors import StudyError
from simulations.study.cells import once, planned
from simulations.study.file import load_study

SCENARIO = """
dataset = "digits"
[groups.upright]
[groups.rotated]
classes = [2, 3, 4]
transform = "rotate-180"
[trainer]
train = { upright = 100 }
validation = { upright = 40, rotated = 40 }
test = { upright = 20, rotated = 20 }
[[owners]]
name = "a"
holds = { rotated = 20, upright = 20 }
[[owners]]
name = "b"
holds = { upright = 30 }
[run]
budget = 20
pilot-per-owner = 5
"""
STUDY = """
seeds = 2
[grid]
scenario = "small.toml"
method = ["features", "random"]
budget = [10, 20]
"""


@pytest.fixture
def plan(tmp_path):
    def of(study=STUDY, scenario=SCENARIO):
        (tmp_path / "small.toml").write_text(scenario)
        (tmp_path / "mine.toml").write_text(study)
        return planned(load_study(tmp_path / "mine.toml"))

    return of


def digests(cells):
    return [cell.digest for cell in cells]


def test_each_combination_runs_on_each_seed_those_of_one_seed_side_by_side(plan):
    cells = plan()
    assert len(set(digests(cells))) == len(cells) == 8
    assert [cell.seed for cell in cells] == [0] * 4 + [1] * 4
    assert len({cell.world for cell in cells}) == 2
    assert cells[0].keys == {
        "part": "", "scenario": "small.toml", "method": "features", "budget": 10, "seed": 0,
    }  # fmt: skip
    assert str(cells[0]) == "scenario = small.toml, method = features, budget = 10, seed = 0"


def test_comments_titles_and_the_place_of_a_setting_do_not_matter(plan):
    before = digests(plan())
    assert digests(plan(scenario="# hm\ntitle = 'T'\n" + SCENARIO)) == before
    moved = STUDY.replace("budget = [10, 20]", "budget = [10, 20]\npilot-per-owner = 5")
    assert digests(plan(moved, SCENARIO.replace("pilot-per-owner = 5", ""))) == before
    # Told at its default it is as good as not told.
    assert digests(plan(STUDY + "owner-epochs = 1\n")) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("test = { upright = 20", "test = { upright = 21"),
        ("holds = { upright = 30 }", "holds = { upright = 31 }"),
        ('name = "b"', 'name = "b"\nlabel-noise = 0.5'),
        ("pilot-per-owner = 5", "pilot-per-owner = 6"),
        ("[run]", "[policy]\nmax-records = 5\n[run]"),
    ],
)
def test_whatever_may_change_a_result_changes_the_name(plan, old, new):
    assert old in SCENARIO
    assert not set(digests(plan())) & set(digests(plan(scenario=SCENARIO.replace(old, new))))


def test_a_changed_file_of_data_changes_the_name_and_a_moved_one_does_not(plan, tmp_path):
    def save(seed, at):
        rng = np.random.default_rng(seed)
        at.parent.mkdir(exist_ok=True)
        np.savez(at, x=rng.normal(size=(200, 3)).astype(np.float32), y=np.arange(200) % 2)

    study = '[grid]\nscenario = "own.toml"\nmethod = ["random"]\n'
    text = """
    dataset = "data.npz"
    [groups.all]
    [trainer]
    train = { all = 40 }
    validation = { all = 40 }
    test = { all = 20 }
    [[owners]]
    holds = { all = 20 }
    """
    found = []
    for seed, folder in ((0, "one"), (1, "one"), (0, "two")):
        save(seed, tmp_path / folder / "data.npz")
        (tmp_path / folder / "own.toml").write_text(text)
        (tmp_path / folder / "mine.toml").write_text(study)
        found.append(digests(planned(load_study(tmp_path / folder / "mine.toml"))))
    assert found[0] == found[2]
    assert not set(found[0]) & set(found[1])


def test_a_changed_file_of_costs_changes_the_name_and_a_moved_one_does_not(plan, tmp_path):
    names = [str(label) for label in range(10)]

    def digest_with(cost, name):
        rows = [[a, *(str(cost * (a < b) + (a > b)) for b in names)] for a in names]
        text = "\n".join(",".join(row) for row in [["true", *names], *rows])
        (tmp_path / name).write_text(text)
        return digests(plan(scenario=SCENARIO + f'metric = "cost:{name}"\n'))

    before = digest_with(2, "costs.csv")
    assert before == digest_with(2, "others.csv")
    assert not set(before) & set(digest_with(3, "costs.csv"))
    assert not set(before) & set(digests(plan()))


def test_parts_that_ask_for_the_same_run_share_it(plan):
    cells = plan("""
    seeds = 1
    [[grid]]
    part = "a"
    scenario = "small.toml"
    method = ["features", "random"]
    [[grid]]
    part = "b"
    scenario = "small.toml"
    method = "features"
    budget = [20, 10]
    """)
    assert len(cells) == 4
    assert len(once(cells)) == 3
    assert {
        cell.keys["part"]: cell.keys["budget"] for cell in cells if cell.keys["method"] == "random"
    } == {"a": 20}


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("split.selection = [0.4, 0.6]", "with .*split.selection = 0.6: .* leave less than 5 %"),
        ('method = ["features", "omq"]', "with .*method = omq: "),
        ("owners = [2, 0]", "with .*owners = 0: owners is 0"),
        ("owners = [2, 400]", "with .*owners = 400: "),
        ('model = ["mlp", "milp"]', "with .*model = milp: "),
        ("policy.epsilon = [1.0, -1.0]", "with .*policy.epsilon = -1.0: "),
        ("corruption.fraction = [0.5]", "corruption.kind is missing"),
        ('corruption.kind = ["gaussian-noise"]\ncorruption.fraction = [0.5, 2.0]', "from 0 to 1"),
        ("label-noise = [0.5, 2.0]", "with .*label-noise = 2.0: .* from 0 to 1"),
        ('label-noise = ["much"]', "label-noise is the text 'much'"),
    ],
)  # fmt: skip
def test_a_combination_that_cannot_run_is_named_before_any_does(plan, line, output):
    study = STUDY.replace('method = ["features", "random"]\n', "") if "method" in line else STUDY
    with pytest.raises(StudyError, match=f"(?s){output}"):
        plan(study + line + "\n")
