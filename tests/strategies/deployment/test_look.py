"""A look that cannot be taken says why, before any process is started."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mycroft_fl.data.task import Task
from mycroft_fl.errors import InputError
from mycroft_fl.tasks.description import write_task
from strategies.deployment.look import look
from strategies.deployment.trainer_folder import make_trainer


def test_a_look_needs_a_task_to_compare_with_and_somebody_to_look_at(tmp_path: Path) -> None:
    made = make_trainer(tmp_path / "lab", "lab", "localhost", port=9092, listen="127.0.0.1")
    with pytest.raises(InputError, match=r"has no task\.json .*mycroft-fl trainer describe"):
        look(made, timeout=1.0)
    write_task(Task(("a", "b"), (3,), np.dtype(np.float32), "mlp"), made.path / "task.json")
    with pytest.raises(InputError, match=r"no owner was admitted .*mycroft-fl trainer admit"):
        look(made, timeout=1.0)
    assert not (made.path / "look").exists()
