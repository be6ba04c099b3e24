"""A run's folder from somebody else: its links lead nowhere, its names are names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mycroft_fl.errors import DataError, InputError
from mycroft_fl.files import check_no_way_out
from mycroft_fl.report.board import boards
from mycroft_fl.report.study.folder import CSV, csv_text
from mycroft_fl.report.writing import PAGE, PLOTS, write_report
from strategies.runs.folder import MARKER, RunFolder

LEADS_OUT = "is a link that leads out of .*; put the file itself there, or take the link away"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").write_text("mine")
    return tmp_path / "secret"


@pytest.mark.parametrize("name", ["result.json", "task.json", "acquired.npz", PAGE])
def test_a_file_that_is_a_link_out_is_neither_read_nor_written(copied, secret, name) -> None:
    folder = copied("images")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(secret / "file")
    for read in (write_report, lambda each: list(boards(each))):
        with pytest.raises(InputError, match=LEADS_OUT):
            read(folder)
    assert (secret / "file").read_text() == "mine"


def test_plots_are_not_written_through_a_link(copied, secret) -> None:
    folder = copied("images")
    shutil.rmtree(folder / PLOTS, ignore_errors=True)
    (folder / PLOTS).symlink_to(secret)
    with pytest.raises(InputError, match=LEADS_OUT):
        write_report(folder)
    assert [each.name for each in secret.iterdir()] == ["file"]


def test_a_report_elsewhere_replaces_a_link_and_does_not_follow_it(
    copied, secret, tmp_path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / PAGE).symlink_to(secret / "file")
    (out / f".{PAGE}.part").symlink_to(secret / "file")
    write_report(copied("images"), out)
    assert (secret / "file").read_text() == "mine"
    assert not (out / PAGE).is_symlink()


def test_a_link_that_stays_inside_is_followed(copied) -> None:
    folder = copied("images")
    (folder / "result.json").rename(folder / "whole.json")
    (folder / "result.json").symlink_to("whole.json")
    check_no_way_out(folder)
    write_report(folder)


def test_a_run_is_not_gone_on_with_where_links_lead_out(secret, tmp_path) -> None:
    folder = RunFolder.prepared(tmp_path / "run", force=False)
    (folder.path / "models").rmdir()
    (folder.path / "models").symlink_to(secret)
    with pytest.raises(InputError, match=LEADS_OUT):
        RunFolder.reopened(folder.path)

    def replaced() -> None:
        with RunFolder.replacing(folder.path, force=True):
            pass

    with pytest.raises(InputError, match=LEADS_OUT):
        replaced()
    assert (folder.path / MARKER).is_file()
    assert [each.name for each in secret.iterdir()] == ["file"]


def test_a_studys_row_names_no_folder_outside(tmp_path, secret) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    output = {"schema": 1, "name": "s", "title": "S", "seeds": [0], "axes": [], "environments": []}
    part = {"name": "", "title": "S", "axes": [], "cells": 1}
    (folder / "study.json").write_text(json.dumps({**output, "parts": [part]}))
    row = {"part": "", "seed": 0, "status": "done", "digest": f"../../{secret.name}"}
    (folder / CSV).write_text(csv_text([row], []))
    with pytest.raises(DataError, match="names a cell that none is called"):
        list(boards(folder))


@pytest.mark.parametrize(
    "change",
    [
        {"environments": ["text"]},
        {"axes": [{"key": [], "values": [1]}]},
        {"axes": [{"key": {}, "values": [1]}]},
        {"parts": [{"name": None, "title": "", "axes": [], "cells": 1}]},
        {"parts": [{"name": "p", "title": "", "axes": [{"key": 1, "values": []}], "cells": 1}]},
    ],
)
def test_a_studys_description_with_names_that_are_none_is_refused(tmp_path, change) -> None:
    plain = {
        "schema": 1, "name": "s", "title": "t", "seeds": [0], "axes": [], "parts": [],
        "environments": [],
    }  # fmt: skip
    (tmp_path / "study.json").write_text(json.dumps(plain | change))
    (tmp_path / CSV).write_text(csv_text([], []))
    with pytest.raises(DataError, match=r"study.json lacks or garbles"):
        write_report(tmp_path)
