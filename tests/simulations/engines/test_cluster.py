"""A Ray cluster named by the environment: refused by name where nothing listens."""

from __future__ import annotations

import socket

import pytest

from mycroft_fl.errors import SettingError
from simulations.engines.cluster import check_cluster
from simulations.engines.flower import run_on_flower


def test_a_cluster_that_is_gone_is_named_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        check_cluster()
    with pytest.raises(SettingError, match=f"no Ray cluster answers at RAY_ADDRESS={address}"):
        run_on_flower({}, owners=1, on_line=print)
    monkeypatch.setenv("RAY_ADDRESS", f"ray://{address}")
    with pytest.raises(SettingError, match="unset RAY_ADDRESS"):
        check_cluster()


@pytest.mark.parametrize("address", ["", "auto", "local", "127.0.0.1:x"])
def test_names_that_ray_resolves_itself_are_left_to_it(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    check_cluster()
