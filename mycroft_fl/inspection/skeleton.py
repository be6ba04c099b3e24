"""A first scenario, or a first task, of data that were looked at: a file that runs as it is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import tomli_w

from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.errors import InputError
from mycroft_fl.inspection.finding import with_settings
from mycroft_fl.inspection.look import Looks
from mycroft_fl.inspection.seen import LARGEST_SAMPLE
from mycroft_fl.inspection.table import Look

USUAL, SCARCE = "usual", "scarce"
SHARES = {"train": 0.2, "validation": 0.25, "test": 0.2}
FEW_IN_TRAIN = 0.05
OWNERS = {"a": (0.15, 0.25), "b": (0.1, 0.1), "c": (0.05, 0.0)}
"""Owner -> its share of the usual examples, and of the scarce."""
LEAST = 40
HEAD = {
    "scenario": (
        "# Made by `mycroft-fl inspect {path}`: a first scenario, to be changed. It pretends that the\n"
        "# trainer lacks the scarcest classes. Put your own shift there: where = {{ site = \"B\" }}.\n"
        "# All keys: docs/scenarios.md and docs/settings.md.\n"
    ),
    "task": (
        "# Made by `mycroft-fl inspect {path}`: a first task, to be changed. Try it over owners' files with\n"
        "#   mycroft-fl simulate THIS-FILE --owner a=a.csv --owner b=b.csv\n"
        "# All keys: docs/deployment.md and docs/settings.md.\n"
    ),
}  # fmt: skip


def scenario_text(look: Look, out: Path) -> str:
    """Return a scenario over one data set, as TOML. `InputError` where it has too few examples.

    Args:
        look: at the data set.
        out: where the file will lie; the data set's path is relative to it, where it lies below.
    """
    scarce = _scarce_classes(look.distinct)
    counts = {
        USUAL: sum(n for name, n in look.distinct.items() if name not in scarce),
        SCARCE: sum(n for name, n in look.distinct.items() if name in scarce),
    }
    if min(counts.values()) < LEAST:
        raise InputError(
            f"{look.path.name}: {sum(counts.values())} different examples, {counts[SCARCE]} of them of the "
            f"scarcest classes, are too few for a first scenario; it takes {LEAST} of those at least"
        )
    usual = [name for name in look.distinct if name not in scarce]
    content = {
        "title": f"A first look at {look.path.name}",
        "dataset": _placed(look.spec, out),
        "model": _model(look),
        "groups": {USUAL: {"classes": usual}, SCARCE: {"classes": sorted(scarce)}},
        "trainer": {part: _drawn(counts, share, part) for part, share in SHARES.items()},
        "owners": [
            {"name": name, "holds": _held(counts, *shares)} for name, shares in OWNERS.items()
        ],
        "run": _run(look, max(9, min(200, counts[SCARCE] // 3))),
    }
    return HEAD["scenario"].format(path=look.path) + tomli_w.dumps(content)


def task_text(looks: Looks, out: Path) -> str:
    """Return a task over a folder's train, validation and test tables, as TOML. `InputError` without them.

    Args:
        looks: at the folder.
        out: where the file will lie.
    """
    if not looks.parts:
        raise InputError(
            "a task takes a folder with a table for each part, such as train.csv and validation.csv; "
            "for one file, use --scenario"
        )
    train = looks.parts["train"]
    # How columns are read, and what fills them, is one for all parts.
    shared = [each for look in looks.parts.values() for each in look.findings]
    specs = {
        part: with_settings(replace(train.spec, path=look.spec.path), shared)
        for part, look in looks.parts.items()
    }
    classes = dict.fromkeys(name for look in looks.parts.values() for name in look.classes)
    specs = {part: replace(spec, unknown_labels="refuse") for part, spec in specs.items()}
    content = {
        **{part: _placed(spec, out) for part, spec in specs.items()},
        "model": _model(train),
        "labels": sorted(classes),
        "run": _run(train, 60),
    }
    return HEAD["task"].format(path=train.path.parent) + tomli_w.dumps(content)


def _scarce_classes(distinct: Mapping[str, int]) -> frozenset[str]:
    """Return the scarcest classes: one in three, and more until they hold enough to show something."""
    by_count = sorted(distinct, key=lambda name: (distinct[name], name))
    chosen: list[str] = []
    for name in by_count[:-1]:
        enough = sum(distinct[each] for each in chosen) >= 5 * LEAST
        if enough and len(chosen) >= len(by_count) // 3:
            break
        chosen.append(name)
    return frozenset(chosen)


def _drawn(counts: Mapping[str, int], share: float, part: str) -> dict[str, int]:
    drawn = {name: max(2, min(LARGEST_SAMPLE, int(n * share))) for name, n in counts.items()}
    if part == "train":
        drawn[SCARCE] = max(2, int(counts[SCARCE] * FEW_IN_TRAIN))
    return drawn


def _held(counts: Mapping[str, int], usual: float, scarce: float) -> dict[str, int]:
    held = {USUAL: int(counts[USUAL] * usual), SCARCE: int(counts[SCARCE] * scarce)}
    return {name: min(count, 2 * LARGEST_SAMPLE) for name, count in held.items() if count}


def _model(look: Look) -> str:
    if look.spec.text:
        return "linear:tfidf"
    return "mlp" if look.shape else "random-forest"


def _run(look: Look, budget: int) -> dict[str, object]:
    space = "tfidf" if look.spec.text else "" if look.shape else "binning"
    spaces = {"feature-space": space} if space else {}
    return {"method": "features", "budget": budget, "num-rounds": 2, **spaces}


def _placed(spec: DatasetSpec, out: Path) -> object:
    """Return the data set as a file at `out` names it: relative where it lies beside or below."""
    path, base = Path(spec.path).absolute(), out.absolute().parent
    shown = os.path.relpath(path, base) if path.is_relative_to(base) else str(path)
    return replace(spec, path=shown).as_setting()


def settings_lines(spec: DatasetSpec, given: DatasetSpec) -> Iterator[str]:
    """Yield a data set's settings as lines of TOML, those that were given left out.

    Tables come last: whatever follows one in a file would be a part of it.
    """
    known = given.as_setting()
    known = known if isinstance(known, dict) else {}
    setting = spec.as_setting()
    items = setting.items() if isinstance(setting, dict) else ()
    for key, value in sorted(items, key=lambda each: isinstance(each[1], dict)):
        if key != "path" and known.get(key) != value:
            yield tomli_w.dumps({key: value}).strip()
