"""What holds for all tests: none is judged by how long it took, and data at hand is not required."""

import os

import pytest
from hypothesis import settings
from jaxtyping import config

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked `data` runs where the data sets are at hand."""
    if item.get_closest_marker("data") and "MYCROFT_DATA" not in os.environ:
        pytest.skip("MYCROFT_DATA names no folder of data sets")


@pytest.fixture(autouse=True)
def _unchecked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave shapes and types unchecked in a test marked `unchecked`."""
    if request.node.get_closest_marker("unchecked"):
        monkeypatch.setattr(config, "jaxtyping_disable", True)
