"""The notebooks of examples/: short, run from top to bottom, and right in what they show."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
MOST_LINES = 15
TRUTHS = {
    # The owner that holds nothing of what the model lacks stands last.
    "own_network": ("print(result.ranking.owner.iloc[-1])", "dataset"),
    "own_pipeline": ("print(result.ranking.owner.iloc[-1])", "plain"),
    # The owner that holds most comes first; the model is better than any without owners.
    "first_run": (
        "print(result.ranking.owner[0], result.models.failures.idxmax())", "a final",
    ),
    # More epsilon, a better ranking.
    "privacy_against_utility": ("print(curve.iloc[-1] > curve.iloc[0] + 0.1)", "True"),
}  # fmt: skip
"""A last line for each notebook, and what it must print."""
QUICK = {"own_network", "own_pipeline"}
RUN = [
    pytest.param(path, id=path.stem, marks=[] if path.stem in QUICK else pytest.mark.slow)
    for path in NOTEBOOKS
]


def code_lines(notebook: dict) -> int:
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return sum(bool(line.strip()) for cell in cells for line in cell["source"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_short_and_kept_without_outputs(path: Path) -> None:
    notebook = json.loads(path.read_text())
    assert code_lines(notebook) <= MOST_LINES
    assert all(not cell.get("outputs") for cell in notebook["cells"])


@pytest.mark.parametrize("path", RUN)
def test_a_notebook_runs_and_what_it_shows_is_true(path: Path, monkeypatch, tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Jupyter's own
        import nbformat

        notebook = nbformat.read(path, as_version=4)
        places = [str(EXAMPLES), str(EXAMPLES.parent), os.environ.get("PYTHONPATH", "")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, places)))
        line, truth = TRUTHS[path.stem]
        notebook.cells.append(nbformat.v4.new_code_cell(line))
        client = nbclient.NotebookClient(
            notebook, timeout=600, resources={"metadata": {"path": tmp_path}}
        )
        client.execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [each for each in shown if each.get("name") == "stderr"]
    assert any("text/html" in each.get("data", {}) for each in shown)
    assert shown[-1]["text"].strip() == truth


def test_every_notebook_has_a_truth() -> None:
    assert {path.stem for path in NOTEBOOKS} == set(TRUTHS)
