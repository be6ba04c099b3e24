"""The code that a result was computed with, as a digest."""

from __future__ import annotations

import functools
import hashlib
from importlib.util import find_spec
from pathlib import Path

CODE = ("mycroft_fl", "strategies", "clients", "simulations")


@functools.cache
def code_version() -> str:
    """Name the project's own source, on any part of which a result may depend."""
    digest = hashlib.sha256()
    for package in CODE:
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            for file in sorted(Path(folder).rglob("*.py")):
                digest.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:12]
