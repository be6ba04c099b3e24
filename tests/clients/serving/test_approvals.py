"""Nothing that waits for a person leaves without one, and the page shows exactly what would leave."""

from __future__ import annotations

import base64
import csv
import io
import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from clients.owner.load import records_of
from clients.serving.approval_page import decoded, release_page
from clients.serving.approvals import Approvals, Entry, content_digest, entry_id, now
from clients.serving.socket_protocol import ANSWERED, FAILED, HEAD, SELECT
from mycroft_fl.data.fitted import task_records
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.task import Task
from mycroft_fl.data.written import as_written
from mycroft_fl.errors import InputError, Withheld
from mycroft_fl.examples import Examples
from mycroft_fl.privacy.spending.ledger import Key, PrivacyLedger
from tests.mycroft_fl.data.tables.cases import owned, spec_of, task_from, written

Hospital = Any
KEY = Key("hospital", "f" * 32, "d" * 64)
THREE = Examples(np.arange(6, dtype=np.float32).reshape(3, 2), np.array([0, 1, 1]))
TASK = Task(("ill", "well"), (2,), np.dtype(np.float32), "mlp")


def entry(id: str, content: str) -> Entry:
    return Entry(id, "lab", "raw", 1, 3, now(), content)


def required(approvals: Approvals, examples: Examples = THREE, key: Key = KEY) -> None:
    approvals.require(key, entry, examples, lambda: "<p>page</p>")


@pytest.fixture
def waiting(tmp_path: Path) -> Approvals:
    approvals = Approvals(tmp_path)
    with pytest.raises(Withheld, match="waits for consent"):
        required(approvals)
    return approvals


def test_what_was_approved_passes_and_nothing_else_does(waiting: Approvals) -> None:
    waiting.decide(entry_id(KEY), "approved")
    required(waiting)
    with pytest.raises(Withheld, match="waits"):
        required(waiting, key=replace(KEY, digest="e" * 64))
    with pytest.raises(Withheld, match="waits"):
        required(waiting, key=replace(KEY, peer="e" * 32))


def test_what_was_refused_never_passes(waiting: Approvals) -> None:
    waiting.decide(entry_id(KEY), "refused")
    with pytest.raises(Withheld, match="a person refused"):
        required(waiting)


@pytest.mark.parametrize(
    "changed",
    [
        Examples(THREE.x + 1, THREE.y),
        Examples(THREE.x, 1 - THREE.y),
        THREE[np.array([0, 2, 1])],
        THREE[np.array([0, 1])],
    ],
    ids=["values", "labels", "order", "fewer"],
)
def test_consent_is_to_exactly_these_examples(waiting: Approvals, changed: Examples) -> None:
    waiting.decide(entry_id(KEY), "approved")
    with pytest.raises(Withheld, match="has changed"):
        required(waiting, changed)
    assert content_digest(changed) != content_digest(THREE)


def test_a_decision_is_final(waiting: Approvals) -> None:
    waiting.decide(entry_id(KEY)[:4], "refused")
    with pytest.raises(InputError, match="was refused before; that is final"):
        waiting.decide(entry_id(KEY), "approved")
    with pytest.raises(Withheld):
        required(waiting)


@pytest.mark.parametrize("torn", ["", "appro", "yes", "APPROVED"])
def test_a_torn_decision_is_no_consent(waiting: Approvals, torn: str) -> None:
    (waiting.folder / entry_id(KEY) / "decision").write_text(torn)
    with pytest.raises(Withheld):
        required(waiting)


def test_asking_again_does_not_wait_twice(waiting: Approvals) -> None:
    with pytest.raises(Withheld):
        required(waiting)
    assert [each.id for each in waiting.pending()] == [entry_id(KEY)]
    waiting.decide(entry_id(KEY), "approved")
    assert waiting.pending() == []
    assert [each.id for each in waiting.entries()] == [entry_id(KEY)]


def test_an_entry_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> int:
        raise OSError(28, "No space left on device")

    approvals = Approvals(tmp_path)
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        required(approvals)
    monkeypatch.undo()
    assert list(approvals.folder.iterdir()) == []
    with pytest.raises(Withheld, match="waits"):
        required(approvals)


def test_an_id_that_names_none_or_two_is_said(waiting: Approvals) -> None:
    with pytest.raises(InputError, match=f"'zz' names 0 requests; waiting: {entry_id(KEY)}"):
        waiting.decide("zz", "approved")
    with pytest.raises(Withheld):
        required(waiting, key=replace(KEY, digest="e" * 64))
    with pytest.raises(InputError, match="names 2 requests"):
        waiting.decide("", "approved")


# The page


class Cells(HTMLParser):
    """The texts of a page's table cells, row by row, and of its other elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


@pytest.mark.parametrize("channels", [1, 3])
def test_the_pictures_of_a_page_are_the_images_pixel_by_pixel(channels: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (4, channels, 9, 7), dtype=np.uint8)
    page = release_page(Examples(x, np.array([0, 1, 1, 0])), TASK, "4", [])
    shown = re.findall(r"base64,([^']+)'", page)
    for image, encoded in zip(x, shown, strict=True):
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))
        expected = image[0] if channels == 1 else image.transpose(1, 2, 0)
        assert picture.tolist() == expected.tolist()
    assert re.findall(r"<figcaption>(.*?)<", page) == ["1: ill", "2: well", "3: well", "4: ill"]


def test_the_rows_of_a_page_are_those_of_the_file(make_hospital: Callable[..., Hospital]) -> None:
    hospital = make_hospital()
    records = records_of(hospital.file, hospital.task)
    file = pd.read_csv(hospital.base / "patients.csv")
    names = [column.name for column in hospital.task.table.columns]
    assert sorted(names) == ["age", "pressure", "ward"]
    for row, (_, own) in zip(
        decoded(records.examples.x, hospital.task.table), file.iterrows(), strict=True
    ):
        output = dict(zip(names, row, strict=True))
        assert output["ward"] == own["ward"]
        assert float(output["age"]) == pytest.approx(own["age"], rel=1e-4)
        assert float(output["pressure"]) == pytest.approx(own["pressure"], rel=1e-4)


TRAINERS = "day,chol,ward,y\n2024-01-01,54,a,no\n2024-02-03,66.125,b,yes\n2024-03-04,0,a,no\n"
OWNERS = (
    "secret,ward,chol,day,y\n"
    "s1,a,0,2024-05-06 07:08,no\ns2,x,,2024-05-07,yes\ns3,,1e9,2024-05-08,no\ns4,b,0.10,2024-05-09,yes\n"
)


def test_a_page_shows_the_texts_of_the_file_and_what_leaves_in_their_place(tmp_path: Path) -> None:
    how = {"missing": "fill", "unseen": "ignore"}
    task = task_from(tmp_path, TRAINERS, columns={"day": "date"}, **how)
    task = replace(task, classes=("no", "yes"))
    records = owned(tmp_path, OWNERS, task)
    spec = spec_of("owner.csv")
    order = np.array([3, 0, 2, 1])
    found = as_written(spec, tmp_path, task, records.examples[order])
    assert found is not None
    assert found.places == ("4", "1", "3", "2")
    assert found.head == ("day", "chol", "ward")
    furthest = decoded(records.examples.x, task.table)[2][3]
    assert found.cells == (
        ("2024-05-09", "0.10", "b"),
        ("2024-05-06 07:08", "0", "a"),
        ("2024-05-08", f"1e9; {furthest} leaves", "missing; a leaves"),
        ("2024-05-07", "missing; 54 leaves", "x; no category leaves"),
    )
    page = release_page(records.examples[order], task, "4", [], found)
    assert Cells(page).rows[0] == ["", "row", "class", "day", "chol", "ward"]
    assert Cells(page).rows[2] == ["2", "1", "no", "2024-05-06 07:08", "0", "a"]
    assert "secret" not in page
    assert "s1" not in page
    # Without the file, a zero is a zero, and not what 32 bits leave of it.
    assert decoded(records.examples.x, task.table)[0][3] == "0"
    # A file that has changed since shows what it would leave, not what it says now.
    (tmp_path / "owner.csv").write_text(OWNERS.replace("s4,b,0.10", "s4,b,0.20"))
    assert as_written(spec, tmp_path, task, records.examples) is None


def test_a_missing_date_shows_each_number_that_leaves_in_its_place(tmp_path: Path) -> None:
    how = {"missing": "fill", "unseen": "ignore"}
    task = task_from(tmp_path, TRAINERS, columns={"day": "date"}, **how)
    task = replace(task, classes=("no", "yes"))
    records = owned(tmp_path, "ward,chol,day,y\na,1,,no\n", task)
    found = as_written(spec_of("owner.csv"), tmp_path, task, records.examples)
    assert found is not None
    shown = dict(
        zip(
            [
                f"{column.source} {column.part}"
                for column in task.table.columns
                if column.source == "day"
            ],
            [
                decoded(records.examples.x, task.table)[0][place]
                for place, column in enumerate(task.table.columns)
                if column.source == "day"
            ],
            strict=True,
        )
    )
    assert len(shown) > 1
    leaving = ", ".join(f"{name.removeprefix('day ')} {value}" for name, value in shown.items())
    assert found.cells[0][0] == f"missing; {leaving} leave"


def test_texts_stand_whole_with_their_row(tmp_path: Path) -> None:
    long = "one line, " * 300
    written(tmp_path / "t.csv", f'body,y\nshort,no\n"{long}",yes\n')
    spec = DatasetSpec("t.csv", text="body", label="y")
    task = Task(("no", "yes"), (4096,), np.dtype(np.uint8), "linear:hashing")
    examples = task_records(spec, tmp_path, task).examples
    found = as_written(spec, tmp_path, task, examples)
    assert found is not None
    assert (found.places, found.head) == (("1", "2"), ())
    page = release_page(examples, task, "2", [], found)
    assert Cells(page).rows[2] == ["2", "2", "yes", long.strip()]
    assert "overflow-wrap:anywhere" in page
    assert "white-space:pre-wrap" in page


def test_a_page_shows_the_first_of_very_many_hard_examples() -> None:
    many = Examples(np.arange(600, dtype=np.float32).reshape(300, 2), np.zeros(300, np.int64))
    page = release_page(THREE, TASK, "3", [], None, many)
    assert "The 300 hard examples that the trainer sent, of which these are the first 100" in page
    assert len(Cells(page).rows) == 4 + 101


def test_logarithms_are_undone_and_unknown_categories_are_said() -> None:
    from mycroft_fl.data.tables.columns import Categories, Numbers
    from mycroft_fl.data.tables.schema import TableSchema

    schema = TableSchema(
        (Numbers("bytes", 0.0, 3.0, 2.0, log=True), Categories("flag", "a", ("a", "b"))),
        ignores=True,
    )
    values = np.array([-50.0, 0.0, 7000.0])
    scaled = (np.sign(values) * np.log1p(np.abs(values)) - 3.0) / 2.0
    x = np.column_stack([scaled, [1, 0, 0], [0, 1, 0]]).astype(np.float32)
    rows = decoded(x, schema)
    assert [float(row[0]) for row in rows] == pytest.approx(values.tolist(), rel=1e-4, abs=1e-4)
    assert [row[1] for row in rows] == ["a", "b", "(other)"]


def test_what_a_trainer_writes_is_text_on_the_page_and_nothing_is_loaded() -> None:
    evil = "<script>alert(1)</script><img src=x>"
    task = replace(TASK, classes=(evil, "well"))
    page = release_page(THREE, task, evil, [evil])
    cells = Cells(page)
    assert not {"script", "img", "link", "iframe"} & cells.tags
    assert cells.rows[1][1] == evil
    assert "default-src 'none'" in page
    assert "http://" not in page
    assert "https://" not in page


# Through the served vault


@pytest.fixture(scope="module")
def careful(make_hospital: Callable[..., Hospital]) -> Iterator[Hospital]:
    hospital = make_hospital(policy={"approval": True})
    with hospital.served():
        yield hospital


def silent(hospital: Hospital, request: Any, within: float = 1.0) -> None:
    began = time.monotonic()
    assert hospital.ask(request, within=within) == (FAILED, None)
    assert time.monotonic() - began >= within


def waits_anew(hospital: Hospital, request: Any) -> str:
    """The id under which a request waits that was not asked before."""
    before = {each.id for each in Approvals(hospital.folder).pending()}
    silent(hospital, request)
    output = hospital.run("pending").stdout.replace("\n", "")
    [id] = set(re.findall(r"approvals/(\w+)/page.html", output)) - before
    return id


def test_approved_examples_leave_as_they_were_shown_and_charged_once(careful: Hospital) -> None:
    request = careful.request(seed=1)
    id = waits_anew(careful, request)
    charged = careful.ledger_rows()
    assert (charged[-1].mode, charged[-1].records) == ("raw", 4)
    page = (careful.folder / "approvals" / id / "page.html").read_text()
    assert careful.run("approve", id).stdout == f"{id}: 4 records for lab are approved\n"
    status, report = careful.ask(request)
    assert status == ANSWERED
    recorded = PrivacyLedger(careful.file.ledger).disclosed().tolist()
    assert set(report.disclosed.ids.tolist()) <= set(recorded)
    assert careful.ledger_rows() == charged
    asked = f"<h2>The {len(request.hard)} hard examples that the trainer sent</h2>"
    page, hard = page.split(asked)
    shown = [cells[2:] for cells in Cells(hard).rows[1:]]
    assert shown == decoded(request.hard.x, careful.task.table)
    head, *rows = Cells(page).rows
    names = [careful.task.classes[label] for label in report.disclosed.y]
    assert [cells[2] for cells in rows] == names
    # Each row of the page is that of the file, text by text, and what it stands for is what left.
    with (careful.base / "patients.csv").open() as file:
        lines = list(csv.DictReader(file))
    for cells in rows:
        assert cells[3:] == [lines[int(cells[1]) - 1][name] for name in head[3:]]
    numbers = [float(cells[head.index("age")]) for cells in rows]
    left = careful.task.table.decoded(report.disclosed.x)["age"]
    assert left.tolist() == pytest.approx(numbers, rel=1e-4)


def test_refused_examples_never_leave_and_the_charge_stays(careful: Hospital) -> None:
    request = careful.request(seed=2)
    charged = len(careful.ledger_rows())
    id = waits_anew(careful, request)
    assert careful.run("refuse", id).returncode == 0
    silent(careful, request)
    assert len(careful.ledger_rows()) == charged + 1
    assert f"a person refused {id}" in careful.log


def test_silence_is_not_broken_by_one_who_talks_on(careful: Hospital) -> None:
    """Or a trainer's code on the SuperNode could tell what waits from what is being computed."""
    envelope = careful.envelope(careful.request(seed=3), careful.terms(within=2.0))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(60)
        connection.connect(str(careful.file.vault.socket))
        began = time.monotonic()
        connection.sendall(HEAD.pack(SELECT, len(envelope)) + envelope + b"and more")
        assert connection.recv(100) == HEAD.pack(FAILED, 0)
        assert time.monotonic() - began >= 1.9


def test_a_noised_answer_waits_for_nobody(careful: Hospital) -> None:
    from mycroft_fl.models.networks import build
    from mycroft_fl.models.weights import flat_weights

    weights = flat_weights(build("mlp", careful.task.shape, 2, seed=0))
    assert careful.ask(careful.request(mode="score", weights=weights))[0] == ANSWERED


def test_the_policy_refuses_at_once_whether_or_not_a_person_would(careful: Hospital) -> None:
    status, _ = careful.ask(careful.request(method="nobody:knows"), within=600)
    assert status != FAILED


def test_nothing_to_approve_is_said(make_hospital: Callable[..., Hospital]) -> None:
    hospital = make_hospital(policy={"approval": True})
    assert hospital.run("pending").stdout == "nothing waits for consent\n"
    assert "names 0 requests; waiting: nothing" in hospital.run("approve", "abc").stderr
