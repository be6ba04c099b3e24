"""A run's folder: new, empty or forced; never more is removed than a run writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mycroft_fl.errors import DataError, InputError
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import flat_weights, load_weights
from strategies.rounds.owner_record import OwnerRecord, RoundRecord
from strategies.runs.checkpoint import Checkpoints
from strategies.runs.folder import FILES, MARKER, RunFolder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def earlier_run(folder: Path) -> None:
    (folder / "models").mkdir(parents=True)
    (folder / "owners" / "a").mkdir(parents=True)
    for name in (MARKER, *FILES, "models/final.safetensors", "owners/a/ledger.sqlite"):
        (folder / name).write_text("old")


@pytest.mark.parametrize("force", [True, False])
def test_a_new_folder_and_an_empty_one_will_do(tmp_path, force):
    for path in (tmp_path, tmp_path / "new" / "below"):
        made = RunFolder.prepared(path, force=force)
        assert made.path == path
        assert made.model("final").parent.is_dir()
        assert made.owner("a").parent.is_dir()


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(tmp_path):
    earlier_run(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(InputError, match=r"is not empty; give a new folder, or --force to replace"):
        RunFolder.prepared(tmp_path, force=False)
    assert contents(tmp_path) == before


def test_force_removes_what_a_run_writes_and_nothing_else(tmp_path):
    earlier_run(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "result.json").write_text("mine too")
    RunFolder.prepared(tmp_path, force=True)
    mine = {"notes.txt": b"mine", "deeper/result.json": b"mine too"}
    assert {name: text for name, text in contents(tmp_path).items() if name != MARKER} == mine


def test_force_clears_no_folder_that_is_not_a_runs(tmp_path):
    earlier_run(tmp_path)
    (tmp_path / MARKER).unlink()
    before = contents(tmp_path)
    with pytest.raises(InputError, match="is not the folder of a run, so --force does not clear"):
        RunFolder.prepared(tmp_path, force=True)
    assert contents(tmp_path) == before


def test_a_folder_is_fresh_from_its_making_until_a_round_has_run(tmp_path):
    folder = RunFolder(tmp_path / "run")
    assert not folder.is_fresh()
    RunFolder.prepared(folder.path, force=False)
    assert folder.is_fresh()
    folder.add_round(RoundRecord(1, 1, 1, {}, 1, 0.1))
    assert not folder.is_fresh()
    assert RunFolder.prepared(folder.path, force=True).is_fresh()


def test_a_file_in_the_way_is_refused_even_with_force(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(InputError, match="is a file; give a folder that is new or empty"):
        RunFolder.prepared(tmp_path / "run", force=True)
    assert (tmp_path / "run").read_text() == "mine"


@pytest.mark.parametrize(
    ("folder", "reason"),
    [("file/below", "Not a directory"), ("x" * 300, "File name too long")],
    ids=["below-a-file", "long-name"],
)
def test_a_folder_that_cannot_be_written_is_an_input_error(tmp_path, folder, reason):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=f"cannot be written: {reason}; give another folder"):
        RunFolder.prepared(tmp_path / folder, force=False)


def test_something_of_ours_that_cannot_be_removed_is_an_input_error(tmp_path):
    (tmp_path / MARKER).touch()
    (tmp_path / MARKER).touch()
    (tmp_path / "result.json").mkdir()
    with pytest.raises(InputError, match="cannot be written: Is a directory"):
        RunFolder.prepared(tmp_path, force=True)


def half_a_run(folder: Path, *, force: bool) -> None:
    with RunFolder.replacing(folder, force=force) as run:
        run.save_json("error.json", {})
        run.save_text("summary.md", "half a run")
        raise InputError("bad")


def test_bad_input_gives_an_earlier_run_back_as_it_was(tmp_path):
    earlier_run(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(InputError, match="bad"):
        half_a_run(tmp_path, force=True)
    assert contents(tmp_path) == before


def test_bad_input_leaves_no_folder_where_none_was(tmp_path):
    with pytest.raises(InputError, match="bad"):
        half_a_run(tmp_path / "run", force=False)
    assert not (tmp_path / "run").exists()


def test_a_run_that_ends_replaces_the_earlier_one_for_good(tmp_path):
    earlier_run(tmp_path)
    with RunFolder.replacing(tmp_path, force=True) as folder:
        folder.save_text("summary.md", "new")
    assert {name: text for name, text in contents(tmp_path).items() if name != MARKER} == {
        "summary.md": b"new"
    }


def test_models_come_back_as_they_were_saved(tmp_path):
    folder = RunFolder.prepared(tmp_path, force=False)
    model, other = (build("mlp", (1, 8, 8), 10, seed=seed) for seed in (1, 2))
    folder.save_model("round-1", model)
    load_weights(other, folder.model("round-1"))
    np.testing.assert_array_equal(flat_weights(other), flat_weights(model))


def test_rounds_are_lines_of_json_each_appended(tmp_path):
    folder = RunFolder.prepared(tmp_path, force=False)
    records = [RoundRecord(n, 3, 2, {"b": "error"}, 10 * n, 0.5) for n in (1, 2)]
    for record in records:
        folder.add_round(record)
    lines = (tmp_path / "rounds.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [record.as_json() for record in records]


def examples(count: int, start: int) -> Examples:
    return Examples(
        np.arange(start, start + count, dtype=np.float32)[:, None], np.full(count, start % 10)
    )


def test_what_was_acquired_is_kept_with_its_owner_and_answer_and_without_pickle(tmp_path):
    folder = RunFolder.prepared(tmp_path, force=False)
    folder.save_acquired(
        [
            OwnerRecord("a", acquired=(examples(2, 10), examples(1, 20))),
            OwnerRecord("b", failure="error"),
            OwnerRecord("c", acquired=(examples(0, 0), examples(1, 35))),
        ]
    )
    with np.load(tmp_path / "acquired.npz", allow_pickle=False) as saved:
        assert saved["owner"].tolist() == ["a", "a", "a", "c"]
        assert saved["answer"].tolist() == [1, 1, 2, 2]
        assert saved["x"][:, 0].tolist() == [10, 11, 20, 35]
        assert saved["y"].tolist() == [0, 0, 0, 5]


def test_nothing_acquired_is_an_archive_without_examples(tmp_path):
    folder = RunFolder.prepared(tmp_path, force=False)
    folder.save_acquired([OwnerRecord("a")])
    with np.load(tmp_path / "acquired.npz", allow_pickle=False) as saved:
        assert [len(saved[name]) for name in ("owner", "answer")] == [0, 0]


def test_files_are_written_whole_or_not_at_all(tmp_path):
    folder = RunFolder.prepared(tmp_path, force=False)
    folder.save_json("result.json", {"a": 1})
    with pytest.raises(TypeError):
        folder.save_json("result.json", {"a": object()})
    assert folder.read_json("result.json") == {"a": 1}
    assert folder.read_json("error.json") is None
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000, b"9" * 10_000, b"NaN,"])
def test_a_broken_file_of_a_run_is_named_and_what_to_do(tmp_path, content):
    folder = RunFolder.prepared(tmp_path / "run", force=False)
    (folder.path / "published.json").write_bytes(content)
    with pytest.raises(DataError, match=r"published.json is no whole JSON .*; start a new run"):
        folder.read_json("published.json")


@pytest.mark.parametrize("content", ["", "two", "1\n2", "9" * 30, "\u00b2"])
@pytest.mark.unchecked
def test_a_note_of_the_last_asking_that_names_no_round_is_refused(tmp_path, content):
    (tmp_path / "asked-last").write_text(content)
    with pytest.raises(InputError, match="asked-last names no round; bring the whole folder back"):
        _ = Checkpoints(tmp_path, None).asked_last
