"""The site over docs/: built without a warning, alone, and wide enough for nobody's telephone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mycroft_fl as mf

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / ".ci" / "site" / "mkdocs.yml"
PAGES = ("index", "benchmarks", "settings", "api/index", "api/privacy", "examples/first_run")
WIDTHS = (360, 1280)


def build(config: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Build the site as `make docs` does."""
    pytest.importorskip("mkdocstrings", reason="no mkdocs: install the extra docs")
    # Not quietly: a warning that is not shown ends no build.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    return subprocess.run(
        [*command, "--config-file", str(config), "--site-dir", str(out)], cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    built = build(CONFIG, out)
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return out


def test_every_page_of_docs_and_every_notebook_is_in_it(site: Path) -> None:
    pages = [path.stem for path in (ROOT / "docs").glob("*.md")]
    pages += [f"examples/{path.stem}" for path in (ROOT / "examples").glob("*.ipynb")]
    assert [name for name in pages if not (site / f"{name}.html").is_file()] == []


def test_no_page_asks_another_host_for_anything(site: Path) -> None:
    fetched = re.compile(r'<(?:script|img|iframe|link)[^>]*(?:src|href)="?(?:https?:)?//[^">]+')
    for page in site.rglob("*.html"):
        assert fetched.findall(page.read_text(encoding="utf-8")) == [], page
    for style in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", style.read_text()), style


def test_the_reference_shows_every_public_name_with_its_example(site: Path) -> None:
    text = (site / "api" / "index.html").read_text(encoding="utf-8")
    shown = re.findall(r"<h2 id=[^>]*>(?:<code[^>]*></code>|\s|<span[^>]*>)*mf\.(\w+)", text)
    assert sorted(shown) == sorted(set(mf.__all__) - {"__version__"})
    # Doctests are code, not quotations of quotations.
    assert "&gt;&gt;&gt; " in text
    assert "<blockquote>" not in text


def test_links_out_of_docs_lead_to_pages_of_the_site(site: Path) -> None:
    home = (site / "index.html").read_text(encoding="utf-8")
    assert 'href="examples/first_run.html"' in home
    assert 'href="contributing.html"' in home
    paper = (site / "reproducing-the-paper.html").read_text(encoding="utf-8")
    assert 'href="source/mycroft_fl/hard_set.py"' in paper
    assert (site / "source" / "mycroft_fl" / "hard_set.py").is_file()


def test_a_link_to_nothing_and_an_anchor_to_nothing_end_the_build(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# Home\n\n[a](nowhere.md) and [b](#nowhere)\n")
    text = CONFIG.read_text(encoding="utf-8").partition("nav:\n")[0]
    text = text.replace("../../docs", "docs").replace("hooks: [pages.py]", "")
    text = text.replace("extensions: [doctests.py]", "")
    (tmp_path / "mkdocs.yml").write_text(text)
    built = build(tmp_path / "mkdocs.yml", tmp_path / "out")
    assert built.returncode == 1
    assert "nowhere.md" in built.stderr
    assert "#nowhere" in built.stderr


def test_words_are_found_in_the_index_without_a_server(site: Path) -> None:
    script = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    index = json.loads(script[script.index("{") : script.rindex("}") + 1])
    glossary = [each for each in index["docs"] if each["location"].startswith("glossary.html")]
    assert any("epsilon" in each["text"] for each in glossary)
    assert (site / "file_worker.js").is_file()


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_quiet_alone_and_narrow(browser, site: Path, name: str, width: int) -> None:
    tab = browser.new_page(viewport={"width": width, "height": 740})
    said, asked = [], []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto((site / f"{name}.html").as_uri())
    tab.wait_for_timeout(500)
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate("[...document.images].filter(i => !i.naturalWidth).length") == 0
    tab.close()


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS)
def test_a_search_finds_the_glossary_from_a_folder(browser, site: Path, width: int) -> None:
    tab = browser.new_page(viewport={"width": width, "height": 740})
    tab.goto((site / "index.html").as_uri())
    if width < 960:
        tab.locator("label.md-header__button[for=__search]:visible").first.click()
        tab.wait_for_timeout(600)
    else:
        tab.click("input.md-search__input")
    tab.keyboard.type("epsilon-minus")
    tab.wait_for_selector(".md-search-result__link", timeout=20_000)
    found = tab.locator(".md-search-result__link").evaluate_all("all => all.map(a => a.href)")
    assert any("glossary.html" in link for link in found)
    tab.close()
