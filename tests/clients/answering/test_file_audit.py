"""What a row of an owner's file can do to a score, by the path that a vault takes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from clients.answering.private_records import PrivateRecords
from clients.owner import audit as file_audit
from clients.owner.audit import audit_score_through_a_file
from clients.owner.file import OwnerFile
from mycroft_fl.data.task import Task


def test_one_row_of_an_owners_file_moves_a_score_by_no_more_than_the_bound() -> None:
    [finding] = audit_score_through_a_file()
    assert finding.claimed == pytest.approx(math.sqrt(1.25))
    assert finding.holds, f"a row moves the sum by {finding.found:.2f}"
    assert finding.found >= 0.9 * finding.claimed  # or the audit sees nothing


def test_the_audit_sees_rows_that_are_told_apart_by_content_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = file_audit.records_of

    def by_content(file: OwnerFile, task: Task) -> PrivateRecords:
        records = plain(file, task)
        first = np.unique(records.examples.x, axis=0, return_index=True)[1]
        return PrivateRecords(records.examples[np.sort(first)])

    monkeypatch.setattr(file_audit, "records_of", by_content)
    [finding] = audit_score_through_a_file()
    assert not finding.holds
