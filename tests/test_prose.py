"""Prose is plain: short sentences on every page, docstrings that begin as docstrings should.

python tests/test_prose.py            every page: sentences, mean and 90th percentile of words
python tests/test_prose.py docs/x.md  that page, and its longest sentences
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("mycroft_fl", "strategies", "clients", "simulations")
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    ROOT / "examples" / "README.md",
    # Made from the commands themselves: its lines are help texts, not sentences.
    *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name != "commands.md"),
]
MEAN, NINE_IN_TEN = 15.0, 28.0
NOT_PROSE = re.compile(
    r"^```.*?^```|^\|.*?$|^#.*?$|<!--.*?-->|^\$\$.*?^\$\$", re.DOTALL | re.MULTILINE
)
LIST_ITEM = re.compile(r"^\s*(?:[-*]|\d+\.)\s+", re.MULTILINE)
END = re.compile(r"(?<=[.!?])[\"')\]*_]*\s+(?=[\"'(\[*_`A-Z0-9])")
WORD = re.compile(r"[^\s]*\w[^\s]*")
ABBREVIATIONS = re.compile(r"\b(e\.g|i\.e|et al|cf|vs|Eq|Eqs|Fig|Sec|No|approx)\.\s")


def sentences(text: str) -> list[str]:
    """Split a page into sentences; code, tables and headings are none, a code span is one word."""
    text = NOT_PROSE.sub("\n\n", text)
    text = re.sub(r"`[^`]+`|\$[^$\n]+\$", "code", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = ABBREVIATIONS.sub(r"\1 ", LIST_ITEM.sub("\n\n", text))
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        found += [each for each in END.split(" ".join(paragraph.split())) if WORD.search(each)]
    return found


def lengths(text: str) -> np.ndarray:
    """Words of each sentence."""
    return np.array([len(WORD.findall(each)) for each in sentences(text)])


def test_sentences_are_counted_as_a_person_would() -> None:
    page = (
        "# A heading of five words\n\nOne two three. Four `five six`, seven!\n\n"
        "- eight nine\n- [ten](x.md) eleven\n\n| a | table |\n\n```bash\nno prose. at all\n```\n"
        "Of 3.5 points, e.g. this."
    )
    assert lengths(page).tolist() == [3, 3, 2, 2, 5]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_short_sentences(page: Path) -> None:
    found = lengths(page.read_text(encoding="utf-8"))
    assert found.mean() <= MEAN
    assert np.quantile(found, 0.9) <= NINE_IN_TEN


NOT_VERBS = frozenset({
    "A", "All", "An", "As", "At", "Both", "By", "Each", "Either", "Every", "Everything", "For",
    "From", "How", "If", "In", "Neither", "No", "None", "Nothing", "Of", "One", "Some", "That",
    "The", "Their", "These", "They", "This", "Those", "Two", "Up", "What", "When", "Where",
    "Whether", "Which", "Who", "Whose", "With",
})  # fmt: skip
NOT_NOUNS = frozenset(
    ["How", "If", "Of", "What", "When", "Where", "Whether", "Which", "Who", "Whose", "Why"]
)


def first_word(text: str | None) -> str:
    """The first word of a docstring, without what is around it."""
    return re.sub(r"\W+$", "", (text or " ").split(" ")[0].split("\n")[0])


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """Each function's name and the first word of its docstring; properties are nouns and left out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
            decorators = " ".join(ast.unparse(each) for each in node.decorator_list)
            # The help of a command is one too, but its groups say whose commands they are.
            if "property" not in decorators and "click.group" not in decorators:
                yield f"{path.relative_to(ROOT)}:{node.name}", first_word(ast.get_docstring(node))


def test_a_functions_docstring_begins_with_a_verb_and_a_modules_with_a_noun() -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    found = [each for path in files for each in docstrings(path)]
    assert len(found) > 1000
    assert [(name, word) for name, word in found if word in NOT_VERBS] == []
    modules = {
        str(path.relative_to(ROOT)): first_word(ast.get_docstring(ast.parse(path.read_text())))
        for path in files
    }
    assert {name: word for name, word in modules.items() if word in NOT_NOUNS} == {}


def main() -> None:
    """Print how long the sentences of pages are, of one page the longest too."""
    pages = [Path(name) for name in sys.argv[1:]] or PAGES
    for page in pages:
        text = page.read_text(encoding="utf-8")
        found = lengths(text)
        print(f"{page.name:26} {len(found):5} {found.mean():6.1f} {np.quantile(found, 0.9):6.1f}")
    if len(pages) == 1:
        longest = sorted(sentences(text), key=lambda each: -len(WORD.findall(each)))[:15]
        print(*(f"{len(WORD.findall(each)):3} {each[:240]}" for each in longest), sep="\n")


if __name__ == "__main__":
    main()
