"""Folders and zips of examples by class: images, or texts where there is no image."""

from __future__ import annotations

from pathlib import Path

from mycroft_fl.data.formats.files import UNREADABLE, LabelledRows
from mycroft_fl.data.formats.folders import listing
from mycroft_fl.data.formats.images import read_images
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.formats.text_files import read_text_files
from mycroft_fl.errors import DataError, one_line


def read_folder(path: Path, spec: DatasetSpec) -> LabelledRows:
    """Return the images of a folder or zip, or its texts where it holds texts and no image.

    Raises `DataError`.
    """
    try:
        with listing(path) as found:
            if found.texts and not found.images:
                return read_text_files(path, found.texts, spec.longest, spec.encoding)
    except UNREADABLE as error:
        raise DataError(f"{path} cannot be read ({one_line(error)}); make it anew") from error
    return read_images(path, spec.size, spec.grey_range)
