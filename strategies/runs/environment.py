"""The versions that a result was computed with."""

from __future__ import annotations

import platform
from importlib.metadata import version

PACKAGES = ("mycroft-fl", "flwr", "torch", "numpy", "scikit-learn")


def versions() -> dict[str, str]:
    """Name Python, the platform and the versions of whatever moves figures."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{package: version(package) for package in PACKAGES},
    }
