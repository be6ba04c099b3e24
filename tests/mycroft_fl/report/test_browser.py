"""The pages in a real browser: quiet, alone, and never wider than a telephone."""

from __future__ import annotations

from pathlib import Path

import pytest

from mycroft_fl.report.writing import write_report

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WIDTHS = (360, 768, 1280)


def assert_is_quiet_alone_and_narrow(browser, page: Path, *, scheme: str = "light") -> None:
    for width in WIDTHS:
        context = browser.new_context(viewport={"width": width, "height": 740}, color_scheme=scheme)
        tab = context.new_page()
        said, asked = [], []
        tab.on("console", lambda message, said=said: said.append(message.text))
        tab.on("pageerror", lambda error, said=said: said.append(str(error)))
        tab.on("dialog", lambda dialog, said=said: said.append(dialog.message))
        tab.on("request", lambda request, asked=asked: asked.append(request.url))
        tab.goto(page.as_uri())
        for details in tab.query_selector_all("summary"):
            details.click()
        assert said == []
        assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
        wide = tab.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{wide} pixels wide at {width}"
        broken = tab.evaluate("[...document.images].filter(i => !i.naturalWidth).length")
        assert broken == 0
        context.close()


@pytest.mark.parametrize("name", ["images", "rows", "score"])
def test_a_runs_page_is_quiet_alone_and_narrow(browser, copied, name):
    assert_is_quiet_alone_and_narrow(browser, write_report(copied(name)))


def test_hostile_names_stay_words_and_widen_nothing(browser, copied):
    hostile = "<img src=x onerror=alert(1)>" + "x" * 400

    def change(result):
        for number, each in enumerate(result["owners"]):
            each["owner"] = f"{number}{hostile}"
        for each in result["rounds"]:
            each["failed"] = {}
        result["scenario"] = hostile
        result["warnings"] = [hostile]
        result["settings"][hostile] = hostile

    folder = copied("images", change)
    (folder / "acquired.npz").unlink()
    assert_is_quiet_alone_and_narrow(browser, write_report(folder))


def test_the_dark_page_is_dark_and_its_letters_are_light(browser, copied):
    page = write_report(copied("images"))
    assert_is_quiet_alone_and_narrow(browser, page, scheme="dark")
    context = browser.new_context(color_scheme="dark")
    tab = context.new_page()
    tab.goto(page.as_uri())
    script = "n => getComputedStyle(document.body)[n].match(/\\d+/g).slice(0, 3).map(Number)"
    assert max(tab.evaluate(script, "backgroundColor")) < 60
    assert min(tab.evaluate(script, "color")) > 200
    drawn = tab.evaluate("getComputedStyle(document.querySelector('figure svg path')).fill")
    assert max(int(part) for part in drawn.removeprefix("rgb(").removesuffix(")").split(",")) < 60
    context.close()
