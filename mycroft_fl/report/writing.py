"""A report on disk: the page and its plots, written whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mycroft_fl.errors import InputError
from mycroft_fl.files import check_no_way_out, disk_full, is_full, private_folder, write_whole
from mycroft_fl.report.layout.drawing import Plot
from mycroft_fl.report.run.files import no_result, read_bytes, read_run, result_file
from mycroft_fl.report.run.page import run_page
from mycroft_fl.report.study.folder import CSV, is_study, read_study
from mycroft_fl.report.study.page import study_page

PAGE, PLOTS = "report.html", "plots"


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Read the run or study in `folder` and write its report into `out`, else beside it.

    Returns the page's path. `InputError` where there is nothing to report, a file is broken, or
    the report cannot be written.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; give the folder of a run or of a study")
    # It may be somebody else's: nothing of this machine belongs on its page, nor may be written over.
    check_no_way_out(folder)
    page, plots = _made(folder)
    out = out or folder
    try:
        private_folder(out / PLOTS)
        for plot in plots:
            write_whole(out / PLOTS / f"{plot.name}.svg", plot.svg)
            write_whole(out / PLOTS / f"{plot.name}.png", plot.png)
        write_whole(out / PAGE, page.encode("utf-8", "replace"))
    except OSError as error:
        if is_full(error):
            raise disk_full(error, out) from error
        raise InputError(
            f"{out} cannot be written: {error.strerror}; give another folder as `out`"
        ) from error
    return out / PAGE


def _made(folder: Path) -> tuple[str, list[Plot]]:
    if result_file(folder) is not None:
        return run_page(read_run(folder))
    if is_study(folder):
        rows = folder / CSV
        digest = hashlib.sha256(read_bytes(rows) if rows.is_file() else b"").hexdigest()
        return study_page(read_study(folder), digest)
    raise no_result(folder)
