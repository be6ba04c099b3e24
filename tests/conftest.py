"""What holds for all tests: none is judged by how long it took, and data at hand is not required."""

import os
import shutil
from collections.abc import Iterator

import pytest
from hypothesis import settings
from jaxtyping import config

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
# As root Chromium has no sandbox; the others keep it from calling its maker at every start.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """Start a headless Chromium, closed after the module."""
    if CHROMIUM is None:
        pytest.skip("no Chromium: install one, or name it in CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked `data` runs where the data sets are at hand."""
    if item.get_closest_marker("data") and "MYCROFT_DATA" not in os.environ:
        pytest.skip("MYCROFT_DATA names no folder of data sets")


@pytest.fixture(autouse=True)
def _unchecked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave shapes and types unchecked in a test marked `unchecked`."""
    if request.node.get_closest_marker("unchecked"):
        monkeypatch.setattr(config, "jaxtyping_disable", True)
