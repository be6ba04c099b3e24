"""The notebooks of examples/: short, run from top to bottom, and right about whom not to ask."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
MOST_LINES = 15
LAST = {"own_network": "dataset", "own_pipeline": "plain"}
"""The owner that holds nothing of what each notebook's model lacks."""


def code_lines(notebook: dict) -> int:
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return sum(bool(line.strip()) for cell in cells for line in cell["source"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_short_and_kept_without_outputs(path: Path) -> None:
    notebook = json.loads(path.read_text())
    assert code_lines(notebook) <= MOST_LINES
    assert all(not cell.get("outputs") for cell in notebook["cells"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_ranks_last_who_has_nothing_to_give(path: Path, monkeypatch) -> None:
    nbclient = pytest.importorskip("nbclient")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Jupyter's own
        import nbformat

        notebook = nbformat.read(path, as_version=4)
        places = [str(EXAMPLES), str(EXAMPLES.parent), os.environ.get("PYTHONPATH", "")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, places)))
        notebook.cells.append(nbformat.v4.new_code_cell("print(result.ranking.owner.iloc[-1])"))
        client = nbclient.NotebookClient(
            notebook, timeout=600, resources={"metadata": {"path": EXAMPLES}}
        )
        client.execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [each for each in shown if each.get("name") == "stderr"]
    assert any("text/html" in each.get("data", {}) for each in shown)
    assert shown[-1]["text"].strip() == LAST[path.stem]


def test_both_notebooks_are_there() -> None:
    assert {path.stem for path in NOTEBOOKS} == set(LAST)
