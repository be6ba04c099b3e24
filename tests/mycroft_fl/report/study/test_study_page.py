"""The page of a study: figures that numpy agrees with, and no epsilon for what has none."""

from __future__ import annotations

import io
import itertools
import json
import math
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy import stats

from mycroft_fl.report.layout.drawing import canvas, legend_below, look
from mycroft_fl.report.layout.page import as_latex, as_markdown
from mycroft_fl.report.study.cells import Panel, is_numeric, panels
from mycroft_fl.report.study.comparisons import compared
from mycroft_fl.report.study.folder import Axis, Part, Study, csv_text
from mycroft_fl.report.study.fronts import front, fronts
from mycroft_fl.report.study.page import _part_table, study_page
from mycroft_fl.report.study.plots import _look_of, draw_band
from mycroft_fl.report.study.privacy_plots import _draw_ceilings, privacy_plots
from mycroft_fl.report.writing import write_report
from mycroft_fl.statistics import over_seeds

HOSTILE = [
    '<script>alert("x")</script>',
    "a|b",
    "$\\frac{1",
    "two\nlines",
    "50 % & #1_{~}^",
    "=1+1",
]


def grid(axes: dict[str, tuple], seeds: int = 5, part: str = "", **extra) -> list[dict]:
    """A row for every combination and seed, whose hard accuracy depends on both and on luck."""
    rng = np.random.default_rng(1)
    return [
        {
            "part": part, **dict(zip(axes, values, strict=True)), "seed": seed, "status": "done",
            "reason": "", "hard": 0.4 + 0.05 * number + rng.normal(0, 0.02),
            "test": 0.7 + rng.normal(0, 0.01), "own_hard_set_hard": 0.3 + 0.01 * seed,
            "control_hard": 0.1, "random_hard": 0.35, "disclosed": 40.0 * (number + 1), **extra,
        }
        for number, values in enumerate(itertools.product(*axes.values()))
        for seed in range(seeds)
    ]  # fmt: skip


def study_of(axes: dict[str, tuple], rows: list[dict], name: str = "s", seeds: int = 5) -> Study:
    listed = tuple(Axis(key, values) for key, values in axes.items())
    cells = seeds * math.prod(len(values) for values in axes.values())
    part = Part("", "", listed, cells)
    return Study(
        name,
        "What a budget buys",
        tuple(range(seeds)),
        listed,
        (part,),
        ({"python": "3"},),
        tuple(rows),
    )


PLAIN = {"scenario": ("x", "y"), "method": ("omp", "random"), "budget": (40, 80, 640)}
PRIVATE = {"mode": ("raw", "score"), "policy.epsilon": (0.25, 0.5, 1.0)}


def private_rows() -> list[dict]:
    rows = grid(PRIVATE)
    for row in rows:
        noised = row["mode"] == "score"
        row |= {
            "epsilon": row["policy.epsilon"] if noised else None,
            "mu": 0.2 * row["policy.epsilon"] if noised else None,
            "auc": 0.5 + 0.01 * row["seed"] if noised else None,
            "auc_ceiling": 0.6 + 0.1 * row["policy.epsilon"] if noised else None,
            "tau": 0.9 if noised else 0.1,
            "disclosed": 0.0 if noised else 50.0,
            "hard": row["hard"] if noised else 0.9 + 0.001 * row["seed"],
        }
    return rows


class Text(HTMLParser):
    """The words of a page, and its tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.said: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.said.append(" ")

    def handle_data(self, data):
        self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.said).split())


def page_text(study: Study) -> str:
    return Text(study_page(study, "0" * 64)[0]).text


def test_numbers_run_along_names_are_told_apart_and_the_rest_stays_fixed():
    found = panels(study_of(PLAIN, grid(PLAIN)))
    assert [(p.along.key, p.apart.key, dict(p.fixed)) for p in found] == [
        ("budget", "method", {"scenario": "x"}),
        ("budget", "method", {"scenario": "y"}),
    ]
    assert sum(len(p.rows) for p in found) == 2 * 2 * 3 * 5
    assert found[0].places() == [40, 80, 640]
    assert {r["method"] for r in found[0].at("omp", 80)} == {"omp"}
    assert len(found[0].at("omp", 80)) == 5


def test_yes_and_no_are_no_numbers():
    assert is_numeric(Axis("budget", (1, 2.5)))
    assert not is_numeric(Axis("stop-early", (True, False)))
    assert not is_numeric(Axis("method", ("omp",)))


def test_the_table_holds_what_pandas_and_scipy_compute():
    rows = grid(PLAIN)
    text = page_text(study_of(PLAIN, rows))
    frame = pd.DataFrame(rows)
    for values, cell in frame.groupby(list(PLAIN)):
        mean, half = cell["hard"].mean(), stats.t.ppf(0.975, 4) * stats.sem(cell["hard"])
        gain = cell["hard"] - cell["own_hard_set_hard"]
        gain_half = stats.t.ppf(0.975, 4) * stats.sem(gain)
        scenario, method, budget = values
        row = (
            f"{scenario} {budget} {method} 5 {100 * mean:.1f} ± {100 * half:.1f} "
            f"{100 * gain.mean():+.1f} ± {100 * gain_half:.1f}"
        )
        assert row in text, row


def test_what_is_missing_or_failed_is_said_before_the_figures():
    rows = grid(PLAIN)[:-3]
    rows[0] |= {"status": "failed", "reason": "2 owners answered within 600 s", "hard": None}
    text = page_text(study_of(PLAIN, rows))
    assert "3 of 60 cells are not run yet; the same command goes on where it stopped." in text
    assert "1 cell failed and is left out" in text
    assert "scenario x, method omp, budget 40 0 2 owners answered within 600 s" in text


def test_a_study_that_has_only_begun_says_so():
    study = study_of(PLAIN, [])
    assert "No cell has ended yet" in page_text(study)
    assert study_page(study, "0" * 64)[1] == []


def test_one_seed_has_no_band_and_no_p():
    rows = grid(PLAIN, seeds=1)
    text = page_text(study_of(PLAIN, rows, seeds=1))
    assert "±" not in text.split("What was run")[0].replace("its 95 % interval", "")
    assert "Which differences are clear" not in text


@pytest.mark.parametrize(("column", "rival"), [("free_hard", "free"), (None, "own hard set")])
def test_the_best_is_named_with_what_it_gains_over_what_is_free(column, rival):
    rows = grid({"method": ("omp", "random")})
    for row in rows:
        row["hard"] += 0.3 * (row["method"] == "omp")
        if column:  # studies of version 0.1 have no such column
            row[column] = row["own_hard_set_hard"]
    text = page_text(study_of({"method": ("omp", "random")}, rows))
    assert re.search(r"omp does best, 7\d\.\d ± \d\.\d % of the failures right; \+", text)
    assert re.search(rf"points over {rival} \(p [<=] [\d.e-]+, clear\)", text)
    assert re.search(r"points over random \(p [<=] [\d.e-]+, clear\)", text)


def plotted(study: Study) -> dict[str, str]:
    return {plot.name: plot.alt for plot in [*privacy_plots(study), *fronts(study)]}


def test_what_has_no_noise_has_no_epsilon_anywhere():
    study = study_of(PRIVATE, private_rows())
    said = plotted(study)
    assert "score at epsilon 0.25: 0.90" in said["epsilon-tau-1"]
    assert "raw, without noise: 0.10" in said["epsilon-tau-1"]
    assert not any("raw at" in text or "inf" in text for text in said.values())
    # The front of epsilon names noised answers alone, although raw ones reach more.
    assert "90." not in said["front-epsilon-1"]
    assert "at epsilon 1" in said["front-epsilon-1"]
    html, plots = study_page(study, "0" * 64)
    lines = next(plot for plot in plots if plot.name == "utility-1")
    ET.fromstring(lines.svg)
    assert "infinit" not in Text(html).text


def test_a_study_without_noise_draws_nothing_along_epsilon():
    assert not any("epsilon" in name for name in plotted(study_of(PLAIN, grid(PLAIN))))


MIXED = {"mode": ("gradient", "dp-sgd", "raw"), "policy.epsilon": (0.5, 8.0)}


def mixed() -> Study:
    """Noised modes along epsilon, and in the same part plain examples by two methods, at no epsilon."""
    noised = grid({"mode": ("gradient", "dp-sgd"), "policy.epsilon": (0.5, 8.0)}, method="omp")
    for row in noised:
        by_sgd = row["mode"] == "dp-sgd"
        row |= {
            "epsilon": row["policy.epsilon"], "auc": 0.55, "tau": 0.5,
            "auc_ceiling": (0.95 if by_sgd else 0.75) - 0.01 * row["seed"],
        }  # fmt: skip
    plain = grid({"mode": ("raw",), "method": ("omp", "random")})
    for row in plain:
        row["policy.epsilon"] = ""  # as an empty field is read
    return study_of({**MIXED, "method": ("omp", "random")}, [*noised, *plain])


def test_modes_and_the_methods_of_those_that_have_one_share_a_plot():
    (panel,) = panels(mixed())
    assert panel.kinds() == ["gradient", "dp-sgd", "raw, omp", "raw, random"]
    assert panel.places() == [0.5, 8.0]
    assert panel.everywhere() == [0.5, 8.0, None]
    assert [panel.is_aside(kind) for kind in panel.kinds()] == [False, False, True, True]
    assert len(panel.at("raw, random", None)) == len(panel.at("gradient", 8.0)) == 5


def test_plain_examples_beside_noised_ones_are_drawn_and_told_without_an_epsilon():
    study = mixed()
    _, plots = study_page(study, "0" * 64)
    (utility,) = [plot for plot in plots if plot.name.startswith("utility")]
    (panel,) = panels(study)
    assert _look_of(panel, "raw, omp")[1] == "raw, omp: no epsilon"
    assert _look_of(panel, "gradient")[1] == "gradient"
    reached = np.mean([r["hard"] for r in study.rows if (r["mode"], r["method"]) == ("raw", "omp")])
    assert f"raw, omp: {100 * reached:.1f}" in utility.alt
    assert "at -" not in utility.alt


def test_plain_examples_are_compared_with_what_each_epsilon_leaves_and_with_each_other_once():
    said = [(each.where, each.first, each.second) for each in compared(panels(mixed()))]
    assert len(said) == len(set(said))
    assert ("policy.epsilon 8.0", "gradient", "raw, omp") in said
    between = [where for where, *two in said if two == ["raw, omp", "raw, random"]]
    assert between == ["no policy.epsilon"]


def test_an_axis_that_is_nothing_to_a_row_has_no_value_there_even_where_a_setting_has_a_default():
    study = mixed()
    for row in study.rows:
        if row["mode"] == "raw":
            row["policy.epsilon"] = "1.0"  # a default, and on no axis
    (panel,) = panels(study)
    table = _part_table([panel])
    at = table["head"].index("policy.epsilon")
    assert [row[at] for row in table["rows"]] == ["0.5", "0.5", "8.0", "8.0", "-", "-"]


def test_bands_of_few_seeds_end_where_the_quantity_does():
    with look():
        axes = Figure().subplots()
        found = over_seeds([0.1, 0.9])
        assert found.half_width > 1
        draw_band(axes, [(1, found), (2, found)], {"color": "k"}, "x")
        draw_band(axes, [(1, found), (2, found)], {"color": "k"}, "y", 1, (-1, 1))
    ends = [band.get_paths()[0].vertices[:, 1] for band in axes.collections]
    assert [(end.min(), end.max()) for end in ends] == [(0, 100), (-1, 1)]


@pytest.mark.parametrize(
    "names", [["a"], ["omp", "random"], ["raw, hard-features: no epsilon"] * 7]
)
@pytest.mark.parametrize("columns", [2, 3])
def test_a_legend_stays_within_its_plot(names, columns):
    with look():
        figure, axes = canvas(3.6)
        for number, name in enumerate(names):
            axes.plot([0, 1], [0, number], label=f"{name}{number}")
        legend_below(figure, columns)
        figure.savefig(io.BytesIO(), format="svg")
        drawn = figure.legends[0].get_window_extent()
    assert drawn.x0 >= 0
    assert drawn.x1 <= figure.bbox.x1


def ceilings(study: Study) -> dict[str, list[float]]:
    with look():
        axes = Figure().subplots()
        rows = [row for row in study.rows if row.get("epsilon") is not None]
        epsilons = sorted({row["policy.epsilon"] for row in rows})
        _draw_ceilings(study, axes, rows, epsilons)
    return {str(line.get_label()): list(line.get_ydata()) for line in axes.get_lines()}


def test_every_mode_has_the_ceiling_that_its_own_noise_allows():
    assert ceilings(mixed()) == {
        "ceiling of gradient": [0.75, 0.75], "ceiling of dp-sgd": [0.95, 0.95],
    }  # fmt: skip
    assert "epsilon-auc-1" in plotted(mixed())


def test_a_mode_alone_has_one_ceiling():
    assert ceilings(study_of(PRIVATE, private_rows())) == {
        "ceiling": pytest.approx([0.625, 0.65, 0.7])
    }


points = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=30)


@given(points)
def test_the_front_is_what_brute_force_finds_undominated(drawn):
    def dominated(one):
        return any(
            other[0] <= one[0] and other[1] >= one[1] and other != one for other in set(drawn)
        )

    assert front(drawn) == sorted({one for one in drawn if not dominated(one)})


def test_markdown_and_latex_hold_every_cell_and_nothing_in_them_acts():
    head, rows = ["name", "points"], [[word, "1.0 ± 0.5"] for word in HOSTILE]
    markdown, latex = as_markdown(head, rows), as_latex(head, rows)
    lines = markdown.splitlines()
    assert len(lines) == 2 + len(rows)
    for line in lines:
        assert len(re.findall(r"(?<!\\)\|", line)) == 3
    assert r"a\|b" in markdown
    body = latex.split("\\midrule")[1]
    assert body.count(r"\\") == len(rows)
    assert r"50 \% \& \#1\_\{\textasciitilde \}\textasciicircum" in body
    assert r"\$\textbackslash frac" in body
    assert body.count(r"$\pm$") == len(rows)
    assert as_latex(head, []) == ""


@pytest.mark.parametrize("word", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_words_are_words(word):
    axes = {"method": (word, "random"), "budget": (40, 80)}
    study = study_of(axes, grid(axes))
    rows = [dict(row) for row in study.rows]
    rows[0] |= {"status": "failed", "reason": word}
    html, plots = study_page(study_of(axes, rows), "0" * 64)
    known = Text(study_page(study_of(PLAIN, grid(PLAIN)), "0" * 64)[0]).tags
    assert set(Text(html).tags) <= set(known) | {"section"}
    assert " ".join(word.split()) in Text(html).text
    for plot in plots:
        ET.fromstring(plot.svg)


def test_many_series_and_facets_are_drawn_with_names_of_their_own():
    axes = {"method": tuple(f"m{n}" for n in range(12)), "engine": ("a", "b"), "budget": (1, 2)}
    study = study_of(axes, grid(axes))
    plots = study_page(study, "0" * 64)[1]
    names = [plot.name for plot in plots]
    assert sorted(names) == sorted(set(names))
    assert names[:2] == ["utility-1", "utility-2"]
    assert all(isinstance(panel, Panel) for panel in panels(study))


def test_a_folder_of_a_study_becomes_a_page(tmp_path):
    axes = [Axis(key, values) for key, values in PLAIN.items()]
    output = {
        "schema": 1, "name": "s", "title": "What a budget buys", "seeds": list(range(5)),
        "axes": [{"key": axis.key, "values": axis.values} for axis in axes],
        "parts": [
            {"name": "", "title": "", "cells": 60,
             "axes": [{"key": axis.key, "values": axis.values} for axis in axes]}
        ],
        "environments": [{"python": "3"}],
    }  # fmt: skip
    (tmp_path / "study.json").write_text(json.dumps(output))
    (tmp_path / "cells.csv").write_text(csv_text(grid(PLAIN), axes))
    page = write_report(tmp_path)
    assert "<h1>What a budget buys</h1>" in page.read_text(encoding="utf-8")
    assert {path.suffix for path in (tmp_path / "plots").iterdir()} == {".svg", ".png"}
    assert page.read_bytes() == write_report(tmp_path).read_bytes()
