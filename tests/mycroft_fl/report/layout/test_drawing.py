"""Plots look the same everywhere: colours, names of their own, the dark, and print in grey."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET

import matplotlib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycroft_fl.report.layout.drawing import (
    IN_PAGE,
    SERIES,
    canvas,
    finished,
    look,
    shortened,
    style,
)


def drawn(name: str = "plot", label: str = "a"):
    with look():
        figure, axes = canvas(2)
        for place, _ in enumerate(SERIES):
            axes.plot([0, 1], [place, place], label=label, **style(place))
        return finished(figure, name, "What it shows.", "The same in words.")


def test_a_pages_style_sheet_may_colour_everything_anew():
    inline = drawn().inline()
    for colour, variable in IN_PAGE.items():
        if colour in drawn().svg:
            assert f"var(--{variable}, {colour})" in inline
    left = re.sub(r"var\(--[a-z0-9-]+, #[0-9a-f]{6}\)", "", inline)
    assert re.findall(r"#[0-9a-f]{6}\b(?!\")", left) == []


def test_two_plots_on_a_page_share_no_id_and_find_their_own():
    first, second = (drawn(name).inline() for name in ("first", "second"))
    ids = [set(re.findall(r'\sid="([^"]+)"', svg)) for svg in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for svg, own in zip((first, second), ids, strict=True):
        assert set(re.findall(r'href="#([^"]+)"', svg)) <= own
        assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= own


def test_drawing_changes_nothing_outside():
    before = dict(matplotlib.rcParams)
    drawn()
    assert dict(matplotlib.rcParams) == before


def test_series_differ_in_more_than_colour():
    styles = [style(place) for place in range(28)]
    for one, other in itertools.combinations(styles, 2):
        assert one != other
    assert all(a["marker"] != b["marker"] for a, b in itertools.pairwise(styles))


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def palettes() -> dict[str, dict[str, str]]:
    from importlib import resources

    css = (resources.files("mycroft_fl.report") / "templates" / "style.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)
    return {
        name: dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{3,6});", block))
        for name, block in zip(("light", "dark"), blocks, strict=False)
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_and_lines_stand_out_from_the_paper_as_the_guidelines_ask(scheme):
    """WCAG 2.2: 4.5 for text (1.4.3), 3 for lines and marks (1.4.11)."""
    palette = palettes()[scheme]
    for name in ("ink", "muted", "accent"):
        assert contrast(palette[name], palette["paper"]) >= 4.5
        assert contrast(palette[name], palette["wash"]) >= 4.5
    assert contrast(palette["warn"], palette["warn-wash"]) >= 4.5
    for place in range(1, len(SERIES) + 1):
        assert contrast(palette[f"series-{place}"], palette["paper"]) >= 3


def test_the_pages_colours_are_the_plots_own():
    for colour, variable in IN_PAGE.items():
        assert palettes()["light"][variable] == colour


@given(st.text(max_size=60))
def test_any_name_can_be_drawn(name):
    short = shortened(name)
    assert len(short) <= 22
    assert short.isprintable()


def test_a_name_the_font_lacks_is_drawn_without_a_word():
    ET.fromstring(drawn(label=shortened("名前")).svg)
