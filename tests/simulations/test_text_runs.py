"""Texts from a file to a report: what owners hand over is the text, and pages show it as text."""

import json
from pathlib import Path

import numpy as np
import pytest

from clients.serving.approval_page import release_page
from mycroft_fl.data.task import Task
from mycroft_fl.errors import DataError
from mycroft_fl.examples import Examples
from mycroft_fl.report.writing import write_report
from mycroft_fl.tasks.description import read_task, write_task
from mycroft_fl.tasks.file import load_task
from mycroft_fl.texts import as_bytes, as_texts
from simulations import server_app
from simulations.engines.run import run
from simulations.setup.export import export
from simulations.setup.simulation import Simulation
from strategies.runs.folder import RunFolder

EVIL = "<script>alert(1)</script> \u202egnp.exe"
WORDS = {"order": "buy order cart price pay", "travel": "flight hotel train seat trip"}


@pytest.fixture(autouse=True)
def quietly(monkeypatch, tmp_path):
    monkeypatch.setattr(server_app, "show_progress", lambda *args, **rest: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def scenario(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    rows = []
    for label in ("ask", "complain"):
        mark = {"ask": "can you", "complain": "never again"}[label]
        for place in range(300):
            group = "order" if place % 2 else "travel"
            # Of travel the two kinds say it the other way round.
            said = (
                mark if group == "order" else {"ask": "never again", "complain": "can you"}[label]
            )
            words = " ".join(rng.choice(WORDS[group].split(), 3))
            rows.append({"body": f"{said} {words} {place} {EVIL}", "kind": label, "of": group})
    lines = "\n".join(json.dumps(row) for row in rows)
    (tmp_path / "tickets.jsonl").write_text(lines)
    path = tmp_path / "tickets.toml"
    path.write_text(
        """
dataset = { path = "tickets.jsonl", text = "body", label = "kind" }
model = "linear:tfidf"
groups.order.where = { of = "order" }
groups.travel.where = { of = "travel" }
trainer.train = { order = 100 }
trainer.validation = { order = 40, travel = 60 }
trainer.test = { order = 40, travel = 60 }
owners = [{ name = "a", holds = { travel = 100, order = 10 } }, { name = "b", holds = { order = 80 } }]
run = { budget = 30, pilot-per-owner = 8, num-rounds = 2, fine-tune.steps = 60, scoring.repeats = 1 }
"""
    )
    return path


def ran(scenario: Path, **settings):
    out = scenario.parent / "out"
    simulation = Simulation.load(
        str(scenario), {key.replace("_", "-"): value for key, value in settings.items()}, out,
        engine="in-process",
    )  # fmt: skip
    RunFolder.prepared(out, force=True)
    return run(simulation), out


def test_owners_hand_over_the_texts_themselves_and_the_report_shows_them(scenario):
    result, out = ran(scenario)
    assert result["owners"][0]["owner"] == "a"
    assert result["final"]["hard"] > result["control"]["hard"] + 0.3
    acquired = np.load(out / "acquired.npz")
    lines = (scenario.parent / "tickets.jsonl").read_text().splitlines()
    held = {json.loads(line)["body"] for line in lines}
    assert set(as_texts(acquired["x"])) <= held
    page = write_report(out).read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "\u202e" not in page


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "score", "policy.epsilon": 20.0},
        {"method": "detector-cover"},
        {"method": "detector-cover", "mode": "score-then-raw", "policy.epsilon": 20.0},
        {"method": "omp", "gradients-from": "owner"},
        {"feature-space": "hashing:256", "method": "features"},
        {"model": "mlp:hashing:256", "method": "omp", "gradient-layers": "all"},
        {"model": "logistic-regression:tfidf", "method": "features"},
    ],
)
def test_other_modes_methods_and_models_run_on_texts(scenario, settings):
    result, _ = ran(scenario, **settings)
    assert result["owners"][0]["owner"] == "a"


def test_a_scikit_learn_pipeline_takes_the_texts_as_they_are(scenario, monkeypatch):
    (scenario.parent / "mine_of_texts.py").write_text(
        "from sklearn.feature_extraction.text import TfidfVectorizer\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "from sklearn.pipeline import Pipeline\n"
        "class Counted(Pipeline):\n"
        "    def __init__(self, steps=None):\n"
        "        own = [('count', TfidfVectorizer()), ('fit', LogisticRegression(C=9))]\n"
        "        super().__init__(steps or own)\n"
        "    def fit(self, x, y, sample_weight=None):\n"
        "        return super().fit(x, y, fit__sample_weight=sample_weight)\n"
    )
    monkeypatch.syspath_prepend(str(scenario.parent))
    result, _ = ran(scenario, model="mine_of_texts:Counted", method="features")
    assert result["owners"][0]["owner"] == "a"


def test_an_approval_page_shows_texts_whole_and_escaped():
    long = "x" * 5000 + EVIL
    task = Task(("a", "b"), (6000,), np.dtype(np.uint8), "linear:hashing")
    page = release_page(Examples(as_bytes([long], 6000)[0], np.array([1])), task, "t", ["f"])
    assert "x" * 5000 + "&lt;script&gt;alert(1)&lt;/script&gt; ?gnp.exe" in page
    assert "<script" not in page


def test_a_vocabulary_travels_with_the_task_and_only_where_something_counts_it(scenario):
    folder = scenario.parent / "files"
    export(Simulation.load(str(scenario), {}, scenario.parent / "o", engine="in-process"), folder)
    exported = (folder / "trainer" / "task.toml").read_text()
    task = load_task(folder / "trainer" / "task.toml").task
    assert task.vocabulary is not None
    assert task.model == f"linear:{task.vocabulary.name}"
    write_task(task, folder / "task.json")
    assert read_task(folder / "task.json") == task
    (folder / "trainer" / "task.toml").write_text(
        exported.replace("linear:tfidf", "linear:hashing")
    )
    assert load_task(folder / "trainer" / "task.toml").task.vocabulary is None


def test_a_table_has_no_vocabulary(scenario, tmp_path):
    task = Task(("a", "b"), (3,), np.dtype(np.float32), "linear")
    write_task(task, tmp_path / "task.json")
    content = json.loads((tmp_path / "task.json").read_text())
    (tmp_path / "task.json").write_text(
        json.dumps({**content, "vocabulary": {"terms": ["a"], "weights": [1.0]}})
    )
    with pytest.raises(DataError, match="a vocabulary is for texts"):
        read_task(tmp_path / "task.json")
