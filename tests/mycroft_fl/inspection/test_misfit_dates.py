"""The advice on a date that an owner's table writes in another way than the task reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from mycroft_fl.data.fitted import task_records
from mycroft_fl.errors import DataError
from mycroft_fl.inspection.misfits import all_misfits_told
from tests.mycroft_fl.data.tables.cases import spec_of, task_from, written

TRAINERS = "day,age,y\n2024-01-01,54,no\n2024-02-03,66,yes\n2024-03-04,70,no\n"


def test_the_key_that_an_owner_is_told_for_a_date_is_one_of_its_own_file(tmp_path: Path) -> None:
    task = task_from(tmp_path, TRAINERS, columns={"day": "date"})
    written(tmp_path / "owner.csv", "day,age,y\n31/01/2024,54,no\n01/02/2024,60,yes\n")
    with (
        pytest.raises(DataError, match=r'dataset\.columns\.day = "date:%d/%m/%Y"'),
        all_misfits_told(spec_of("owner.csv"), tmp_path, task),
    ):
        task_records(spec_of("owner.csv"), tmp_path, task)
    mended = spec_of("owner.csv", columns={"day": "date:%d/%m/%Y"})
    assert len(task_records(mended, tmp_path, task).examples) == 2
