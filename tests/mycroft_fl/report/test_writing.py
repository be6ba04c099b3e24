"""A report on disk: files where they are said to be, or one clear line."""

from __future__ import annotations

import shutil

import pytest
from click.testing import CliRunner
from PIL import Image

from mycroft_fl.cli.main import cli
from mycroft_fl.errors import InputError
from mycroft_fl.report.writing import write_report

PLOTS = {"ranking", "disclosed", "rounds", "groups", "front"}


def test_the_page_and_its_plots_lie_beside_the_result(copied):
    folder = copied("images")
    before = {path.name for path in folder.iterdir()}
    page = write_report(folder)
    assert page == folder / "report.html"
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert {path.name for path in folder.iterdir()} - before == {"report.html", "plots"}
    assert {path.name for path in (folder / "plots").iterdir()} == {
        f"{name}.{kind}" for name in PLOTS for kind in ("svg", "png")
    }
    for name in PLOTS:
        with Image.open(folder / "plots" / f"{name}.png") as picture:
            assert min(picture.size) > 200
        assert "<svg" in (folder / "plots" / f"{name}.svg").read_text()


def test_another_folder_will_do_and_the_run_stays_as_it_is(copied, tmp_path):
    folder = copied("images")
    before = {path.name for path in folder.iterdir()}
    assert (
        write_report(folder, tmp_path / "deep" / "out") == tmp_path / "deep" / "out" / "report.html"
    )
    assert {path.name for path in folder.iterdir()} == before


def test_a_report_made_again_replaces_the_first(copied):
    folder = copied("images")
    first = write_report(folder).read_bytes()
    (folder / "report.html").write_text("half a page")
    assert write_report(folder).read_bytes() == first


def test_a_new_run_in_the_folder_takes_the_old_report_away(copied):
    from strategies.runs.folder import RunFolder

    folder = copied("images")
    write_report(folder)
    RunFolder.prepared(folder, force=True)
    assert not (folder / "report.html").exists()
    assert not (folder / "plots").exists()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_where_it_cannot_be_written_it_says_so(copied, tmp_path, place):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=r"cannot be written: .*; give another folder as `out`"):
        write_report(copied("images"), tmp_path / place)
    assert (tmp_path / "file").read_text() == "mine"


def test_no_folder_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder .*; give the folder of a run"):
        write_report(tmp_path / "nowhere")


def test_the_command_names_the_page(copied):
    folder = copied("rows")
    outcome = CliRunner().invoke(cli, ["report", str(folder)], catch_exceptions=False)
    assert outcome.exit_code == 0
    assert outcome.output == f"The report is {folder / 'report.html'}\n"


def test_a_broken_run_leaves_no_half_report(copied):
    folder = copied("images")
    shutil.rmtree(folder / "models", ignore_errors=True)
    (folder / "result.json").write_text("{")
    with pytest.raises(InputError):
        write_report(folder)
    assert not (folder / "report.html").exists()
