"""A plot's looks, and a plot as SVG and PNG: the same in print, on a phone and in the dark.

Colours are those of Okabe & Ito (2008), which people with any common colour blindness tell apart;
each goes with a marker and a dash of its own, for those who print in grey.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, LINE, PAPER = "#1c1f23", "#59626e", "#d8dde3", "#ffffff"
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY = (
    "#0072b2", "#d55e00", "#009e73", "#b0568c", "#c98500", "#3a9bd4", "#6f7883",
)  # fmt: skip
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))
# The colours that a page may change, by the names that its style sheet gives them.
IN_PAGE = {
    INK: "ink", MUTED: "muted", LINE: "line", PAPER: "paper",
    **{colour: f"series-{place}" for place, colour in enumerate(SERIES, start=1)},
}  # fmt: skip
HANDLE, LETTER = 0.62, 0.068  # inches in a legend: a line with its gaps, and a letter
WIDTH = 4.2  # inches: so narrow that the letters stay legible on a phone
LOOK: dict[Any, Any] = {
    "svg.fonttype": "path",
    "svg.hashsalt": "mycroft-fl",
    "text.parse_math": False,  # an owner's name may hold dollars
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
}


@dataclass(frozen=True)
class Plot:
    """A finished plot: its file's name, what it shows, the same in words, and its pictures."""

    name: str
    caption: str
    alt: str
    svg: str
    png: bytes

    def inline(self) -> str:
        """Return the SVG for a page: ids of its own, and colours that the page's style sheet may change."""
        svg = self.svg[self.svg.index("<svg") :]
        svg = re.sub(r"<(metadata|style).*?</\1>\s*", "", svg, flags=re.DOTALL)
        svg = re.sub(r'(\sid="|href="#|url\(#)', rf"\g<1>{self.name}-", svg)
        for colour, variable in IN_PAGE.items():
            svg = svg.replace(colour, f"var(--{variable}, {colour})")
        return svg.replace("<svg", '<svg aria-hidden="true" focusable="false"', 1)


@contextmanager
def look() -> Iterator[None]:
    """Make everything drawn inside `with` look like this project's plots; nothing else changes."""
    with matplotlib.rc_context(LOOK), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; the tables hold it in full.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def canvas(height: float, width: float = WIDTH) -> tuple[Figure, Axes]:
    """Return an empty plot, inches. Call inside `look`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def finished(figure: Figure, name: str, caption: str, alt: str) -> Plot:
    """Return the plot's pictures. The same figures give the same bytes. Call inside `look`.

    Args:
        figure: the drawn plot.
        name: of its files.
        caption: below it.
        alt: for who does not see it.
    """
    svg, png = io.StringIO(), io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": "mycroft-fl"})
    figure.savefig(png, format="png", dpi=200, metadata={"Software": "mycroft-fl"})
    # matplotlib writes each text as a comment beside its outline; the outline is enough.
    plain = re.sub(r"<!--.*?-->\s*", "", svg.getvalue(), flags=re.DOTALL)
    return Plot(name, caption, alt, plain, png.getvalue())


def style(place: int) -> dict[str, Any]:
    """Return colour, marker and dash of the series at `place`: never the same three twice."""
    return {
        "color": SERIES[place % len(SERIES)],
        "marker": MARKERS[place % len(MARKERS)],
        "linestyle": DASHES[place // len(SERIES) % len(DASHES)],
    }


def legend_below(figure: Figure, columns: int = 2) -> None:
    """Name all series once, under the plot, where they hide nothing, in as many columns as fit."""
    named: dict[str, Any] = {}
    for axes in figure.axes:
        named |= {label: h for h, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if named:
        labels = list(named)
        while columns > 1 and _width(labels, columns) > figure.get_figwidth():
            columns -= 1
        figure.legend(
            list(named.values()), labels, loc="outside lower left", ncols=columns, handlelength=2.6
        )


def _width(labels: Sequence[str], columns: int) -> float:
    """Estimate how wide a legend is, in inches; matplotlib fills its columns one after the other."""
    rows = -(-len(labels) // columns)
    longest = [max(map(len, labels[at : at + rows])) for at in range(0, len(labels), rows)]
    return sum(HANDLE + LETTER * each for each in longest)


def shortened(text: str, most: int = 22) -> str:
    """Return a name that fits beside a plot."""
    text = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return text if len(text) <= most else text[: most - 1] + "…"
