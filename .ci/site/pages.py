"""Pages that the site has beside docs/: the API, the notebooks, and files of the top level.

MkDocs calls the functions named `on_...`. Nothing is written into docs/.
"""

from __future__ import annotations

import ast
import json
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
TOP = {name: f"{name.lower()}.md" for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY")}
"""Files of the top level and the page of each."""
WORKER, FOREIGN_WORKER = "file_worker.js", "https://unpkg.com/iframe-worker/shim"
"""Our script in place of the one that the theme would have every reader fetch from another host."""
LINK = re.compile(r"\]\((?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
API = {
    "The library": ("index", "What `import mycroft_fl as mf` offers.", ()),
    "Choosing": ("selection", "Methods by name, and what one of your own gets and returns.", (
        "mycroft_fl/selection", "mycroft_fl/represent",
    )),
    "Matching": ("match", "The engine under the methods: pursuits, covers and neighbours.", (
        "mycroft_fl/match",
    )),
    "Data and models": ("data", "What is read, inspected, fitted and encoded.", (
        "mycroft_fl/data", "mycroft_fl/inspection", "mycroft_fl/models", "mycroft_fl/encoders",
        "mycroft_fl/tasks",
    )),
    "Privacy": ("privacy", "Noise, prices, ledgers, relevance, audits and attacks.", (
        "mycroft_fl/privacy",
    )),
    "Owner": ("owner", "A vault, its policy, its folder and its server.", ("clients",)),
    "Trainer": ("trainer", "Rounds, scores, runs on disk and over real owners.", ("strategies",)),
    "Messages": ("protocol", "What a trainer asks and an owner answers, settings and errors.", (
        "mycroft_fl/protocol", "mycroft_fl/settings", "mycroft_fl/metrics", "mycroft_fl",
    )),
    "Reports": ("report", "Pages and figures of runs and studies.", ("mycroft_fl/report",)),
    "Simulations": ("simulations", "Both sides on one machine.", ("simulations",)),
}  # fmt: skip
"""A page each: its file, what it is about, and the folders whose modules it shows.

A folder alone means what no other page has; commands stand on a page of their own.
"""
ELSEWHERE = ("mycroft_fl/cli", "mycroft_fl/face", "simulations/face")


def api_page(title: str) -> str:
    """Return a page's text; the library's has every name of the face."""
    _, about, folders = API[title]
    shown = [room_part(module) for folder in folders for module in modules_of(folder)]
    for public, module in sorted(() if folders else faces().items(), key=str):
        options = f"    options:\n      heading: mf.{public}\n      toc_label: mf.{public}\n"
        shown.append(f"::: {module}.{public}\n{options}")
    # Pages in prose come first in what a search finds.
    return f"---\nsearch: {{boost: 0.03}}\n---\n# {title}\n\n{about}\n\n" + "\n".join(shown)


def room_part(module: str) -> str:
    """Return a module's part of a page, without what the library's page shows of it already."""
    names = [f"!^{public}$" for public, place in faces().items() if place == module]
    filters = json.dumps(["!^_[^_]", *names])
    return f"::: {module}\n    options:\n      filters: {filters}\n"


def modules_of(folder: str) -> list[str]:
    """Return the public modules under a folder that no page shows for a folder further in."""
    others = {each for _, _, named in API.values() for each in named} | set(ELSEWHERE)
    inner = [ROOT / each for each in others if each.startswith(f"{folder}/")]
    paths = (ROOT / folder).rglob("[!_]*.py")
    found = [path for path in paths if not any(map(path.is_relative_to, inner))]
    return sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in found)


def faces() -> dict[str, str]:
    """Return the module of each public name, read from the source: importing it would load torch."""
    tree = ast.parse((ROOT / "mycroft_fl" / "__init__.py").read_text(encoding="utf-8"))
    values = [each.value for each in tree.body if isinstance(each, ast.Assign)]
    [places] = [ast.literal_eval(each) for each in values if isinstance(each, ast.Dict)]
    return places


def notebook_page(path: Path) -> str:
    """Return a notebook's cells as Markdown; it is kept without outputs."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(each["source"]) for each in cells]
    parts = [
        text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
        for cell, text in zip(cells, texts, strict=True)
    ]
    note = f"This page is a notebook: `examples/{path.name}` of a checkout. A test runs it."
    return "\n\n".join([parts[0], note, *parts[1:]])


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Name the pages of the API in the navigation."""
    pages = [{title: f"api/{name}.md"} for title, (name, *_) in API.items()]
    config.nav = [{"API": pages} if "API" in each else each for each in config.nav]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside docs/, under the name that links are led to."""
    texts = {f"api/{name}.md": api_page(title) for title, (name, *_) in API.items()}
    texts |= {page: (ROOT / f"{name}.md").read_text(encoding="utf-8") for name, page in TOP.items()}
    texts["examples/index.md"] = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    for path in sorted((ROOT / "examples").glob("*.ipynb")):
        texts[f"examples/{path.stem}.md"] = notebook_page(path)
    for name in ("site.css", WORKER):
        texts[name] = (Path(__file__).parent / name).read_text(encoding="utf-8")
    for each in linked_sources(files, texts):
        texts[f"source/{each}"] = (ROOT / each).read_text(encoding="utf-8")
    for name, text in texts.items():
        files.append(File.generated(config, name, content=text))
    return files


def linked_sources(files: Files, texts: dict[str, str]) -> set[str]:
    """Return the files of the project that a page links to and that are no pages themselves."""
    pages = {each.src_uri: each.content_string for each in files if each.is_documentation_page()}
    found = set()
    for page, text in (pages | {k: v for k, v in texts.items() if k.endswith(".md")}).items():
        for link in LINK.finditer(text):
            place = led(page, link["path"])
            if place is not None and place.startswith("source/"):
                found.add(place.removeprefix("source/"))
    return found


def home_of(page: str) -> str:
    """Return where a page's text stands in the project, from which its links go."""
    tops = {name: f"{top}.md" for top, name in TOP.items()}
    if page.startswith("examples/"):
        return page.replace("index.md", "README.md")
    return tops.get(page) or f"docs/{page}"


def led(page: str, link: str) -> str | None:
    """Return the place in the site of what a page links to; None where the link may stay."""
    if "://" in link or link.startswith("mailto:"):
        return None
    place = posixpath.normpath(posixpath.join(posixpath.dirname(home_of(page)), link))
    known = {f"{top}.md": name for top, name in TOP.items()}
    known |= {"README.md": "index.md", "examples/README.md": "examples/index.md"}
    if place in known:
        return known[place]
    if place.startswith("docs/"):
        return place.removeprefix("docs/")
    if place.startswith("examples/") and place.endswith(".ipynb"):
        return place.replace(".ipynb", ".md")
    return f"source/{place}" if (ROOT / place).is_file() else None


def on_page_markdown(markdown: str, page, **_: object) -> str:
    """Lead links that GitHub follows through the checkout to their place in the site."""
    here = page.file.src_uri
    if here.startswith("api/"):
        return markdown

    def changed(link: re.Match[str]) -> str:
        place = led(here, link["path"])
        if place is None:
            return link[0]
        way = posixpath.relpath(place, posixpath.dirname(here) or ".")
        return f"]({way}{link['anchor'] or ''})"

    return LINK.sub(changed, markdown)


def on_post_page(output: str, page, **_: object) -> str:
    """Take the script that searches without a server from the site itself."""
    here = posixpath.dirname(page.file.dest_uri)
    return output.replace(FOREIGN_WORKER, posixpath.relpath(WORKER, here or "."))


def on_post_template(output_content: str, **_: object) -> str:
    """Do the same for pages without a text, such as that of a lost link."""
    return output_content.replace(FOREIGN_WORKER, WORKER)
