"""The house stays as it is drawn: who imports whom, what is loaded, what is documented."""

from __future__ import annotations

import ast
import itertools
import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from mycroft_fl.cli.main import cli
from mycroft_fl.settings.run_config import RunConfig, setting_rows
from simulations.population.scenario_file import BEHAVIOURS, packaged_scenarios

ROOT = Path(__file__).parents[1]
CONTRACTS = ROOT / ".importlinter"
FRONT_DOOR = {"scenario": "rotated-digits", "given": "", "out": "", "engine": "flower"}


PACKAGES = ("mycroft_fl", "strategies", "clients", "simulations")


def modules_of(root: Path) -> dict[str, Path]:
    """Each module's file, by its dotted name; a package's is its `__init__.py`."""
    found = {}
    for path in (each for package in PACKAGES for each in (root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """The import rules checked on the packages that lie in `folder`."""
    tool = Path(sys.executable).parent / "lint-imports"
    command = [str(tool), "--config", str(CONTRACTS), "--no-cache", "--no-logo"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


def test_nobody_imports_whom_it_may_not():
    checked = lint(ROOT)
    assert checked.returncode == 0, checked.stdout
    assert "4 kept, 0 broken" in checked.stdout


ALLOWED = {
    "mycroft_fl.cli.simulate": "def run():\n    import simulations.engines.run\n",
    "mycroft_fl.protocol.wire": "from flwr.app import Array\n",
    "mycroft_fl.selection.methods": "import torch\n",
    "clients.client_app": "import flwr.app\nimport mycroft_fl.protocol.wire\n",
    "clients.answering.vault": "import mycroft_fl.selection.methods\n",
    "simulations.engines.run": "import clients.answering.vault\nimport strategies.mycroft\n",
}


def build_house(folder: Path, sources: dict[str, str]) -> None:
    """The rooms as they are, each file empty but for `sources`."""
    for module, path in modules_of(ROOT).items():
        here = folder / path.relative_to(ROOT)
        here.parent.mkdir(parents=True, exist_ok=True)
        here.write_text(sources.get(module, ""))


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("mycroft_fl.cli.simulate", "", None),
        ("mycroft_fl.models.networks", "import mycroft_fl.data.sources", "never from one above"),
        (
            "mycroft_fl.errors",
            "def late():\n    import mycroft_fl.data.task",
            "never from one above",
        ),
        ("strategies.rounds.plans", "import strategies.runs.folder", "never from one above"),
        ("clients.answering.vault", "import clients.serving.server", "never from one above"),
        ("simulations.population.world", "import simulations.setup.export", "never from one above"),
        (
            "strategies.mycroft",
            "import clients.answering.vault",
            "trainer and owner never each other",
        ),
        (
            "clients.answering.vault",
            "import strategies.mycroft",
            "trainer and owner never each other",
        ),
        (
            "strategies.mycroft",
            "import simulations.engines.run",
            "trainer and owner never each other",
        ),
        ("mycroft_fl.selection.methods", "import simulations.engines.run", "all see the"),
        (
            "mycroft_fl.selection.methods",
            "import flwr.app",
            "wire.py and signed.py alone know Flower",
        ),
        ("mycroft_fl.protocol.wire", "import torch", "loads no torch"),
        ("clients.client_app", "import clients.answering.vault", "loads no torch"),
    ],
    ids=lambda value: str(value).replace("import ", "imports "),
)
def test_each_broken_rule_is_caught(tmp_path, module, line, broken):
    build_house(tmp_path, {**ALLOWED, module: f"{ALLOWED.get(module, '')}{line}\n"})
    checked = lint(tmp_path)
    if broken is None:
        assert checked.returncode == 0, checked.stdout
        return
    assert checked.returncode == 1
    output = checked.stdout.split("Broken contracts")[0]
    assert re.search(rf"{re.escape(broken)}[^\n]*(\n[^\n]*)?BROKEN", output), checked.stdout


def imports_of(root: Path) -> dict[str, set[str]]:
    """Module -> the modules of ours that it imports, late imports too."""
    modules = modules_of(root)
    found: dict[str, set[str]] = {}
    for module, path in modules.items():
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                inside = {f"{node.module}.{each.name}" for each in node.names}
                names |= {each if each in modules else node.module for each in inside}
        found[module] = (names & modules.keys()) - {module}
    return found


def rooms_of(imports: dict[str, set[str]]) -> dict[str, set[str]]:
    """Folder -> the folders that its files import from.

    The commands are left out: they alone look up, each at its first use.
    """
    folder = {module: str(path.parent) for module, path in modules_of(ROOT).items()}
    found: dict[str, set[str]] = {}
    for module, others in imports.items():
        if not module.startswith(("mycroft_fl.cli", "mycroft_fl.__main__")):
            room = found.setdefault(folder[module], set())
            room |= {folder[other] for other in others} - {folder[module]}
    return found


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """A circle of a graph, empty where it has none."""
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return []


def test_neither_files_nor_folders_import_in_a_circle():
    imports = imports_of(ROOT)
    assert len(imports) > 250
    assert circle_in(imports) == []
    assert circle_in(rooms_of(imports)) == []
    # A planted arrow upwards is seen.
    imports["mycroft_fl.errors"].add("strategies.mycroft")
    assert circle_in(imports)
    assert circle_in(rooms_of(imports))


def test_no_folder_has_more_than_sixteen_files_of_code():
    counts = Counter(path.parent for path in modules_of(ROOT).values() if path.stem != "__init__")
    assert {str(folder): n for folder, n in counts.items() if n > 16} == {}


def test_every_file_has_its_place_in_the_order_of_rooms():
    text = CONTRACTS.read_text().partition("contract:rooms]")[2]
    places = re.findall(r"(?:mycroft_fl|strategies|clients|simulations)(?:\.\w+)+", text)
    assert len(places) > 40
    nowhere = [
        module
        for module, path in modules_of(ROOT).items()
        if path.stem != "__init__"
        and not any(module == place or module.startswith(f"{place}.") for place in places)
    ]
    assert nowhere == []


def test_the_ways_that_the_documents_walk_go_down_and_are_short():
    page = (ROOT / "docs" / "architecture.md").read_text()
    order = CONTRACTS.read_text().partition("contract:rooms]")[2]
    ways = re.findall(r"(?:^\d\. .*\n)+", page, re.MULTILINE)
    assert len(ways) == 3
    for way in ways:
        rooms = re.findall(r"^\d\. `([\w/]+)`:(.*)", way, re.MULTILINE)
        assert len(rooms) <= 8
        heights = [
            re.search(rf"^    {room.replace('/', '[.]')}\b", order, re.MULTILINE)
            for room, _ in rooms
        ]
        assert all(heights), rooms
        crossed = [index for index, (_, text) in enumerate(rooms) if "the network" in text]
        for index, (above, below) in enumerate(itertools.pairwise(heights)):
            # Over the network a value arrives at the top of the other side.
            assert index in crossed or above.start() < below.start(), rooms[index : index + 2]


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("mycroft_fl", ["flwr", "opacus", "torch"]),
        (
            "mycroft_fl.cli.main",
            ["flwr", "opacus", "torch", "simulations", "strategies", "clients"],
        ),
        ("mycroft_fl.protocol.wire", ["torch", "opacus", "ray"]),
        ("mycroft_fl.protocol.signed", ["torch", "opacus", "ray"]),
        ("clients.client_app", ["torch", "opacus", "ray", "strategies", "simulations"]),
        ("clients.deployed_app", ["torch", "opacus", "ray", "strategies", "simulations"]),
        ("clients.serving.server", ["torch", "opacus", "flwr", "strategies", "simulations"]),
        (
            "mycroft_fl.selection.methods",
            ["flwr", "opacus", "strategies", "clients", "simulations"],
        ),
        ("clients.answering.vault", ["flwr", "opacus", "strategies", "simulations"]),
    ],
)
def test_nothing_heavy_or_foreign_is_loaded(module, absent):
    code = f"import sys, {module}; print([name for name in {absent} if name in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300,
        check=True,
    )  # fmt: skip
    assert loaded.stdout == "[]\n"


@pytest.fixture(scope="module")
def pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def flat(table: dict, at: str = "") -> dict:
    pairs: dict = {}
    for key, value in table.items():
        pairs |= flat(value, f"{at}{key}.") if isinstance(value, dict) else {f"{at}{key}": value}
    return pairs


def test_flower_knows_every_setting_with_its_default(pyproject):
    config = flat(pyproject["tool"]["flwr"]["app"]["config"])
    wanted = FRONT_DOOR | {key: default for key, default, _ in RunConfig.rows()}
    assert config == wanted
    # 1 == 1.0 == True in Python, but not in TOML: Flower refuses -c of another type.
    assert {key: type(value) for key, value in config.items()} == {
        key: type(value) for key, value in wanted.items()
    }


def test_the_scenario_of_a_plain_flwr_run_is_packaged(pyproject):
    assert FRONT_DOOR["scenario"] in dict(packaged_scenarios())


def test_every_setting_is_documented_as_the_command_tells_it():
    text = (ROOT / "docs" / "settings.md").read_text()
    rows = [
        f"| `{key}` | `{json.dumps(default)}` | {meaning.replace('|', chr(92) + '|')} |"
        for key, default, meaning in setting_rows()
    ]
    assert [line for line in text.splitlines() if line.startswith("| `")] == rows


def test_every_behaviour_of_an_owner_is_documented():
    text = (ROOT / "docs" / "scenarios.md").read_text()
    assert [name for name in BEHAVIOURS if f"`{name}`" not in text] == []


def test_every_command_is_documented():
    text = (ROOT / "README.md").read_text()
    assert [name for name in cli.commands if f"mycroft-fl {name}" not in text] == []


def test_what_flower_ships_is_what_runs_and_no_test(pyproject):
    included = pyproject["tool"]["flwr"]["app"]["fab-include"]
    shipped = {path for pattern in included for path in ROOT.glob(pattern)}
    packages = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    needed = {path for package in packages for path in (ROOT / package).rglob("*.py")}
    assert needed <= shipped
    assert not any("tests" in path.relative_to(ROOT).parts for path in shipped)
    # Flower leaves such files out of a bundle.
    named = [path.name for path in shipped if re.fullmatch(r"test_.*\.py|.*_test\.py", path.name)]
    assert named == []


def test_every_file_says_first_what_it_holds():
    packages = ("mycroft_fl", "strategies", "clients", "simulations", "benchmarks", "tests")
    files = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    assert len(files) > 50
    silent = [
        str(path.relative_to(ROOT)) for path in files if not path.read_text().startswith('"""')
    ]
    assert silent == []


def test_the_tests_have_names_of_their_own_and_are_no_packages():
    names = [path.name for path in (ROOT / "tests").rglob("*.py")]
    assert "__init__.py" not in names
    tests = [name for name in names if name.startswith("test_")]
    assert sorted(tests) == sorted(set(tests))
