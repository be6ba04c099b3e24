"""The page of a run: everything is on it, and nothing on it does anything."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest

from mycroft_fl.foreign_text import cleaned_lines
from mycroft_fl.report.layout.page import LONGEST_TEXT
from mycroft_fl.report.run.files import read_run
from mycroft_fl.report.run.page import run_page
from mycroft_fl.report.run.summary import accuracy_rows

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "--></svg><script>alert(1)</script>",
    "{{ 7 * 7 }}{% raw %}",
    r"$\frac{1}{0$",
    "two\nlines\x00\x1b[31m",
    "\ud800 half of a pair",
    "名前 \N{RIGHT-TO-LEFT OVERRIDE}eman",
    "x" * 5000,
    "' onmouseover='alert(1)",
    "&lt;b&gt;",
    "http://203.0.113.7/a.png",
]
VOID = {"meta", "link", "img"}


class Page(HTMLParser):
    """What a browser would see: tags, attributes, text, and whether all that opens also closes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.said: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag in ("td", "th"):
            self.said.append(" ")

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.said).split())


def page_of(folder) -> Page:
    html, _ = run_page(read_run(folder))
    page = Page(html)
    assert page.open == []
    return page


def test_everything_of_the_result_is_on_the_page(runs):
    result = json.loads((runs["images"] / "result.json").read_text())
    page = page_of(runs["images"])
    _, rows = accuracy_rows(result)
    for word in [cell for row in rows for cell in row]:
        assert word in page.text
    for key, value in result["settings"].items():
        assert key in page.text
        assert (value if isinstance(value, str) and value else json.dumps(value)) in page.text
    for key, value in result["environment"].items():
        assert f"{key} {value}" in page.text or (key in page.text and str(value) in page.text)
    for each in result["owners"]:
        assert each["owner"] in page.text
    for heading in ("Owners, ranked", "Accuracy", "What each owner disclosed", "Privacy"):
        assert heading in page.text
    assert "broken 1 error its client raised, or its process died" in page.text
    assert "No differential privacy applies to them." in page.text
    pictures = [dict(attributes)["alt"] for tag, attributes in page.tags if tag == "img"]
    assert sum(alt.startswith("an example") for alt in pictures) == result["disclosed"]
    assert len([tag for tag, _ in page.tags if tag == "svg"]) == 5


def test_a_page_of_noised_answers_states_the_cards_promises(runs):
    result = json.loads((runs["score"] / "result.json").read_text())
    page = page_of(runs["score"])
    for each in result["privacy"]:
        for text in (each["promise"], *each["taints"], *each["assumptions"]):
            assert text[1:] in page.text
    assert "No example." in page.text
    assert "SIMULATED noise" in page.text


@pytest.mark.parametrize("name", ["images", "rows", "score"])
def test_a_page_asks_nobody_for_anything_and_runs_nothing(runs, name):
    page = page_of(runs[name])
    assert not {"script", "iframe", "object", "embed", "base", "form"} & {
        tag for tag, _ in page.tags
    }
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for key in ("src", "href", "xlink:href"):
            value = attributes.get(key)
            assert value is None or value.startswith(("data:", "#"))
    html, _ = run_page(read_run(runs[name]))
    assert not re.findall(r"url\((?!#)", html)
    assert "@import" not in html
    policies = [a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    assert policies == [
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    ]


@pytest.mark.parametrize("name", ["images", "rows", "score"])
def test_a_page_can_be_heard_as_well_as_seen(runs, name):
    page = page_of(runs[name])
    assert ("html", {"lang": "en"}) in page.tags
    for tag, attributes in page.tags:
        if tag == "img":
            assert attributes["alt"]
        if tag == "div" and attributes.get("role") == "img":
            assert len(attributes["aria-label"]) > 20
        if tag == "th":
            assert attributes["scope"] in ("col", "row")
        if tag == "svg":
            assert attributes["aria-hidden"] == "true"
    tables = [tag for tag, _ in page.tags if tag == "table"]
    assert len([tag for tag, _ in page.tags if tag == "caption"]) == len(tables) > 3
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert sorted(ids) == sorted(set(ids))
    targets = {a["href"][1:] for t, a in page.tags if t == "a"}
    assert targets <= set(ids)


@pytest.mark.parametrize("word", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_words_are_words(runs, copied, word):
    def change(result):
        names = {each["owner"]: f"{each['owner']}{word}" for each in result["owners"]}
        for each in result["owners"]:
            each["owner"] = names[each["owner"]]
            each["holds"] = {word: 3}
            each["disclosed_groups"] = {word: each["disclosed"]}
        for each in result["privacy"]:
            each["owner"], each["promise"] = names[each["owner"]], word
        for each in result["rounds"]:
            each["failed"] = {names[owner]: code for owner, code in each["failed"].items()}
        for key in ("baseline", "control", "own_hard_set", "random", "final"):
            result[key]["groups"] = {word: 0.5}
        result["scenario"] = result["method"] = word
        result["warnings"] = [word]
        result["settings"][word] = word
        result["environment"][word] = word

    folder = copied("images", change)
    (folder / "task.json").write_text(json.dumps({"classes": [word] * 10, "table": None}))
    with np.load(folder / "acquired.npz") as saved:
        arrays = dict(saved)
    arrays["owner"] = np.array([f"{owner}{word}" for owner in arrays["owner"]])
    np.savez(folder / "acquired.npz", **arrays)
    page, plain = page_of(folder), page_of(runs["images"])
    # Words may bring a row or a warning, but no kind of element or attribute.
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain.tags} | {"section"}
    known = {name for _, attributes in plain.tags for name in attributes}
    assert {name for _, attributes in page.tags for name in attributes} <= known
    # As text, and without what would write elsewhere than where it stands.
    assert " ".join(cleaned_lines(word, LONGEST_TEXT).split()) in page.text
    _, plots = run_page(read_run(folder))
    for plot in plots:
        ET.fromstring(plot.svg)


def test_the_same_files_give_the_same_page_and_the_same_plots(runs):
    first, second = (run_page(read_run(runs["images"])) for _ in range(2))
    assert first == second


def test_what_is_left_out_is_said(runs, copied, monkeypatch):
    monkeypatch.setattr("mycroft_fl.report.run.disclosed.MOST_OWNERS", 1)
    assert "1 more owners disclosed examples" in page_of(runs["images"]).text
    folder = copied("images")
    (folder / "acquired.npz").unlink()
    assert "which this folder does not hold: acquired.npz is not there" in page_of(folder).text
    (folder / "task.json").unlink()
