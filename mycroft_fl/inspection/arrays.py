"""A look at images by class, at an npz file, and at a folder of arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np

from mycroft_fl.data.formats.decoding import Decoder
from mycroft_fl.data.formats.files import UNREADABLE, LabelledRows, read_mapped, read_npz
from mycroft_fl.data.formats.folders import class_of, listing
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.errors import DataError, one_line
from mycroft_fl.inspection.finding import Finding, with_settings
from mycroft_fl.inspection.reading import notes
from mycroft_fl.inspection.rows import SCARCE
from mycroft_fl.inspection.table import Look

NAMED, MOST_DIGESTS = 3, 200_000
SMALL = 64
"""Pixels a side from which images are brought to a smaller size in a first scenario."""


def look_at_images(path: Path, spec: DatasetSpec) -> Look:
    """Look at every image of a folder or zip. Raises `DataError` where none can be read.

    Args:
        path: the folder or zip.
        spec: with its size and grey-range, where they are set.
    """
    seen, findings = _Seen(spec), list[Finding]()
    with notes() as said:
        try:
            with listing(path) as found:
                for name, read in found.images:
                    seen.take(path, name, read)
                found.say_what_is_left_out(path)
        except UNREADABLE as error:
            raise DataError(f"{path} cannot be read ({one_line(error)}); make it anew") from error
        seen.decoder.say_range()
    findings += [Finding(note) for note in said] + list(seen.findings(path))
    if not seen.classes:
        raise DataError(
            "\n".join(each.text for each in findings)
            or f"{path} holds no images by class; put them at <class>/<image>"
        )
    findings += _of_classes(seen.classes, dict(seen.distinct))
    size, _ = seen.sizes.most_common(1)[0]
    channels = 3 if seen.colour else 1
    form = f"{sum(seen.classes.values())} images of {size[0]} x {size[1]}"
    form += f" and {len(seen.sizes) - 1} other sizes" if len(seen.sizes) > 1 else ""
    final = with_settings(spec, findings)
    if not final.size and min(size) > SMALL:
        final = replace(final, size=SMALL)
    side = final.size or size[1]
    return Look(
        path, final, sum(seen.classes.values()), (), _ordered(seen.classes),
        _ordered(seen.distinct), tuple(findings), form, (channels, side, final.size or size[0]),
    )  # fmt: skip


class _Seen:
    """The images of a folder so far: sizes, classes, contents, and those that cannot be read."""

    def __init__(self, spec: DatasetSpec) -> None:
        self.decoder = Decoder(0, spec.grey_range)
        self.spec = spec
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.classes: Counter[str] = Counter()
        self.distinct: Counter[str] = Counter()
        self.colour = False
        self.broken: list[str] = []
        self.homeless: list[str] = []
        self.copies = 0
        self.torn: list[tuple[str, str]] = []
        self._known: dict[bytes, tuple[str, str]] = {}

    def take(self, path: Path, name: str, read: object) -> None:
        try:
            label = class_of(path, name)
        except DataError:
            self.homeless.append(name)
            return
        try:
            image = self.decoder.decoded(name, read)  # type: ignore[arg-type]
        except DataError as error:
            self.broken.append(str(error))
            return
        self.sizes[image.shape[1], image.shape[0]] += 1
        self.classes[label] += 1
        self.colour = self.colour or image.ndim == 3
        digest = blake2b(image.tobytes(), digest_size=16).digest()
        if digest not in self._known:
            self._known[digest] = (label, name)
            self.distinct[label] += 1
            return
        self.copies += 1
        before, other = self._known[digest]
        if before != label:
            self.torn.append((other, name))

    def findings(self, path: Path) -> Iterator[Finding]:
        """Say what was amiss."""
        if self.broken:
            shown = "; ".join(self.broken[:NAMED])
            yield Finding(
                f"images that cannot be read: {len(self.broken)}, such as {shown}", stops=True
            )
        if self.homeless:
            yield Finding(
                f"images in no class's folder: {len(self.homeless)}, such as {self.homeless[0]}; put "
                "them into one",
                stops=True,
            )
        if len(self.sizes) > 1 and not self.spec.size:
            (width, height), often = self.sizes.most_common(1)[0]
            side = min(width, height, SMALL)
            yield Finding(
                f"images are of {len(self.sizes)} sizes ({width} x {height} in {often} of them); set size = "
                f"{side}, or another number of pixels",
                stops=True,
                settings={"size": side},
            )
        if self.torn:
            yield Finding(
                f"{len(self.torn)} images stand in two classes, such as {self.torn[0][0]} and "
                f"{self.torn[0][1]}; the first of each counts: take the wrong ones out"
            )
        if self.copies > len(self.torn):
            yield Finding(
                f"{self.copies - len(self.torn)} images stand there twice; the first of each counts"
            )


def look_at_arrays(path: Path, spec: DatasetSpec) -> Look:
    """Look at an npz file, or a folder with x.npy and y.npy. Raises `DataError` where it cannot be read.

    Args:
        path: the file or folder.
        spec: what is known of it.
    """
    rows = read_mapped(path) if path.is_dir() else read_npz(path)
    counts = np.bincount(rows.y, minlength=len(rows.classes))
    classes = dict(zip(rows.classes, counts.tolist(), strict=True))
    findings, distinct = list(_copies(rows)), dict(classes)
    if len(rows.y) <= MOST_DIGESTS:
        distinct = _distinct(rows)
    findings += _of_classes(classes, distinct)
    images = rows.x.ndim == 4
    shape = tuple(rows.x.shape[1:])
    what = f"images of {shape[2]} x {shape[1]}" if images else f"vectors of {shape[0]} numbers"
    return Look(
        path, spec, len(rows.y), (), _ordered(classes), _ordered(distinct), tuple(findings),
        f"{len(rows.y)} {what}", shape,
    )  # fmt: skip


def _digests(rows: LabelledRows) -> list[bytes]:
    return [blake2b(row.tobytes(), digest_size=16).digest() for row in rows.x]


def _distinct(rows: LabelledRows) -> dict[str, int]:
    seen: set[bytes] = set()
    counts = dict.fromkeys(rows.classes, 0)
    for digest, label in zip(_digests(rows), rows.y.tolist(), strict=True):
        if digest not in seen:
            seen.add(digest)
            counts[rows.classes[label]] += 1
    return counts


def _copies(rows: LabelledRows) -> Iterator[Finding]:
    if len(rows.y) > MOST_DIGESTS:
        return
    labels: dict[bytes, int] = {}
    copies = torn = 0
    for digest, label in zip(_digests(rows), rows.y.tolist(), strict=True):
        first = labels.setdefault(digest, label)
        torn += first != label
        copies += 1
    copies -= len(labels)
    if torn:
        yield Finding(
            f"{torn} examples equal one before them but have another class; the first of each counts: "
            "mend the others"
        )
    if copies > torn:
        yield Finding(f"{copies - torn} examples stand there twice; the first of each counts")


def _of_classes(classes: dict[str, int], distinct: dict[str, int]) -> Iterator[Finding]:
    if len(classes) < 2:
        yield Finding("there is one class alone; a model needs two at least", stops=True)
    scarce = sorted((count, name) for name, count in distinct.items() if count < SCARCE)
    if scarce:
        yield Finding(
            f"{len(scarce)} classes have fewer than {SCARCE} examples, such as '{scarce[0][1]}' with "
            f"{scarce[0][0]}: nothing can be learnt of them and tested too; join them to others with labels"
        )


def _ordered(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))
