"""With what a result was computed: versions, machine, and the code itself."""

from __future__ import annotations

import functools
import hashlib
import platform
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PACKAGES = ("mycroft-fl", "flwr", "torch", "numpy", "scikit-learn")
CODE = ("mycroft_fl", "strategies", "clients", "simulations")


def environment() -> dict[str, Any]:
    """Python, platform and the versions of whatever moves figures."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{package: version(package) for package in PACKAGES},
    }


@functools.cache
def code_version() -> str:
    """Names the project's own source, on any part of which a result may depend."""
    digest = hashlib.sha256()
    for package in CODE:
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            for file in sorted(Path(folder).rglob("*.py")):
                digest.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:12]
