"""The examples that owners disclosed, and typical failures: as small pictures, texts or rows of a table."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mycroft_fl.data.tables.columns import Numbers
from mycroft_fl.errors import DataError
from mycroft_fl.foreign_text import cleaned
from mycroft_fl.report.run.files import Acquired, Failures, RunFiles
from mycroft_fl.texts import as_texts, is_text

MOST_OWNERS = 40
MOST_PICTURES = 60  # of an owner
MOST_ROWS = 20
MOST_TEXTS = 60
LONGEST_SHOWN = 600  # characters
MOST_COLUMNS = 10
MOST_FAILURES = 12  # of a group; a run keeps fewer
MOST_NAMED = 3  # classes of a group of failures
LARGEST = 96  # pixels
LEAST_FOR_JPEG = 48  # pixels; below it PNG is as small, and exact
QUALITY = 82


@dataclass(frozen=True)
class Picture:
    """One disclosed example: its class, the answer it came in, and a data URI."""

    label: str
    answer: int
    uri: str


@dataclass(frozen=True)
class Shown:
    """One owner's disclosed examples: pictures, or rows under `head`; `hidden` were left out for room."""

    owner: str
    count: int
    labels: dict[str, int]
    pictures: tuple[Picture, ...] = ()
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    hidden: int = 0
    hidden_columns: int = 0


def disclosed(files: RunFiles) -> list[Shown]:
    """Show of each owner that disclosed anything, in order of rank, as much as there is room for.

    Raises `DataError` where the file names owners that the result does not know.
    """
    acquired = files.acquired
    if acquired is None:
        return []
    ranked = [each["owner"] for each in files.result["owners"]]
    unknown = set(map(str, acquired.owner)) - set(ranked)
    if unknown:
        raise DataError(
            f"acquired.npz names owner '{min(unknown)[:60]}', whom result.json does not know; "
            "they are of two runs"
        )
    there = [owner for owner in ranked if (acquired.owner == owner).any()]
    return [_of_owner(owner, acquired, files) for owner in there[:MOST_OWNERS]]


def _of_owner(owner: str, acquired: Acquired, files: RunFiles) -> Shown:
    mine = np.flatnonzero(acquired.owner == owner)
    labels = [label_of(int(y), files.classes) for y in acquired.y[mine]]
    names, counts = np.unique(labels, return_counts=True)
    tally = {str(name): int(count) for name, count in zip(names, counts, strict=True)}
    if acquired.x.ndim == 4:
        some = mine[:MOST_PICTURES]
        pictures = tuple(
            Picture(label, int(acquired.answer[at]), thumbnail(acquired.x[at]))
            for at, label in zip(some, labels, strict=False)
        )
        return Shown(owner, len(mine), tally, pictures=pictures, hidden=len(mine) - len(some))
    some = mine[: MOST_TEXTS if is_text(acquired.x) else MOST_ROWS]
    head, rows = rows_of(acquired.x[some], files)
    framed = tuple(
        (str(int(acquired.answer[at])), label, *row[:MOST_COLUMNS])
        for at, label, row in zip(some, labels, rows, strict=False)
    )
    return Shown(
        owner, len(mine), tally,
        head=("answer", "class", *head[:MOST_COLUMNS]), rows=framed,
        hidden=len(mine) - len(some), hidden_columns=max(0, len(head) - MOST_COLUMNS),
    )  # fmt: skip


def thumbnail(image: np.ndarray) -> str:
    """Encode an image (channels x height x width, uint8) as a data URI, at most 96 pixels either way."""
    three = image.shape[0] >= 3
    pixels = np.moveaxis(image[:3], 0, -1) if three else image[0]
    picture = Image.fromarray(np.ascontiguousarray(pixels.astype(np.uint8)))
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    jpeg = max(picture.size) >= LEAST_FOR_JPEG
    buffer = io.BytesIO()
    if jpeg:
        picture.save(buffer, "JPEG", quality=QUALITY)
    else:
        picture.save(buffer, "PNG", optimize=True)
    kind = "jpeg" if jpeg else "png"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def rows_of(x: np.ndarray, files: RunFiles) -> tuple[list[str], list[list[str]]]:
    """Write examples as rows, under the names of their columns where the folder knows them."""
    if is_text(x):
        return ["text"], [[cleaned(text, LONGEST_SHOWN)] for text in as_texts(x)]
    table = files.table
    if table is None or table.width != x.shape[1]:
        head = [f"x{place}" for place in range(x.shape[1])]
        return head, [[f"{value:.4g}" for value in row] for row in x]
    # What differs between the rows says something; a column of zeros does not.
    frame = table.decoded(x)
    numbers = {c.name for c in table.columns if isinstance(c, Numbers)}
    varied = [name for name in frame if frame[name].nunique() > 1]
    frame = frame[[*varied, *(name for name in frame if name not in varied)]]
    rows = [
        [_number(value) if name in numbers else str(value) for name, value in row.items()]
        for _, row in frame.iterrows()
    ]
    return [str(name) for name in frame], rows


def _number(value: float) -> str:
    """Write four digits: scaled and unscaled again, 3 comes back as 2.9999998."""
    if abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{0.0 if abs(value) < 1e-4 else value:.4g}"


def label_of(y: int, classes: tuple[str, ...] | None) -> str:
    """Name a class, by its number where the folder does not know it."""
    return classes[y] if classes is not None and 0 <= y < len(classes) else f"class {y}"


@dataclass(frozen=True)
class FailedOn:
    """One typical failure: its class, what the model takes it for, and a data URI."""

    label: str
    taken_for: str
    uri: str


@dataclass(frozen=True)
class ShownGroup:
    """A group in a line, and typical failures of it: pictures, or rows under `head`."""

    words: str
    pictures: tuple[FailedOn, ...] = ()
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def failing(files: RunFiles) -> list[ShownGroup]:
    """Show each group that the result names, with those failures that the folder holds."""
    saved = files.failures
    return [
        _shown(words_of(each), None if saved is None else saved.of(place), files)
        for place, each in enumerate(files.result.get("failing", []))
    ]


def words_of(group: Mapping[str, object]) -> str:
    """Say what a group of failures is: how many, of which classes, taken for which."""
    count = group["failures"]
    what = "failure" if count == 1 else "failures"
    return f"{count} {what}: {_counted(group['classes'])}, taken for {_counted(group['taken_for'])}"


def _counted(counts: object) -> str:
    assert isinstance(counts, Mapping)
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    if len(ordered) == 1:
        return str(ordered[0][0])
    rest = sum(count for _, count in ordered[MOST_NAMED:])
    said = [f"{name} ({count})" for name, count in ordered[:MOST_NAMED]]
    return ", ".join([*said, *([f"others ({rest})"] if rest else [])])


def _shown(words: str, saved: Failures | None, files: RunFiles) -> ShownGroup:
    if saved is None or not len(saved.y):
        return ShownGroup(words)
    saved = saved.first(MOST_FAILURES)
    labels = [label_of(int(y), files.classes) for y in saved.y]
    taken = [label_of(int(y), files.classes) for y in saved.taken_for]
    if saved.x.ndim == 4:
        each = zip(labels, taken, saved.x, strict=True)
        return ShownGroup(words, pictures=tuple(FailedOn(a, b, thumbnail(x)) for a, b, x in each))
    head, rows = rows_of(saved.x, files)
    framed = zip(labels, taken, rows, strict=True)
    return ShownGroup(
        words,
        head=("class", "taken for", *head[:MOST_COLUMNS]),
        rows=tuple((a, b, *row[:MOST_COLUMNS]) for a, b, row in framed),
    )
