"""What a column holds is the main table's to say, in every group and at every owner of a scenario."""

from __future__ import annotations

from pathlib import Path

from simulations.population.scenario_file import load_scenario
from simulations.population.world import World

SCENARIO = """
dataset = { path = "main.csv", label = "y", columns.seen = "date" }
model = "random-forest"
groups.young.where = { age = "< 60", seen = ">= 2021-01-02" }
groups.old.where = { age = ">= 60", code = ["01", "2A"] }
groups.other.dataset = { path = "other.csv", label = "y", decimal = "," }
trainer.train = { young = 30 }
trainer.validation = { young = 8, old = 8 }
trainer.test = { young = 8, old = 8, other = 4 }
[[owners]]
name = "a"
dataset = { path = "owner.csv", label = "y" }
"""
HEAD = "age,code,seen,y"


def rows(ages: range, codes: list[str], *, decimal: str = ".") -> list[str]:
    mark = ";" if decimal == "," else ","
    parts = (
        (
            f"{age}{decimal}5",
            codes[age % len(codes)],
            f"2021-01-{1 + age % 28:02d}",
            "no" if age % 4 else "yes",
        )
        for age in ages
    )
    return [mark.join(each) for each in parts]


def test_codes_stay_codes_in_files_that_hold_numbers_alone(tmp_path: Path) -> None:
    files = {
        "main.csv": [HEAD, *rows(range(10, 110), ["01", "2A", "2"])],
        "other.csv": [HEAD.replace(",", ";"), *rows(range(200, 230), ["01", "2"], decimal=",")],
        "owner.csv": [HEAD, *rows(range(300, 330), ["01"])],
    }
    for name, lines in files.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    (tmp_path / "s.toml").write_text(SCENARIO)
    world = World(load_scenario(tmp_path / "s.toml"), 0)
    table = world.task.table
    assert table is not None
    assert table.kinds == {"code": "category", "age": "number", "seen": "date"}
    assert set(table.decoded(world.owner("a").x)["code"]) == {"01"}
    shown = table.decoded(world.trainer("test").x)
    others = shown[world.trainer_groups("test") == "other"]
    assert set(others["code"]) <= {"01", "2"}
    assert others["age"].min() > 199
    old = shown[world.trainer_groups("test") == "old"]
    assert set(old["code"]) <= {"01", "2A"}
    assert old["age"].min() > 59
