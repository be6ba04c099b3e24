"""Where tensors are computed, as far as a machine without a card can show."""

from __future__ import annotations

import pytest
import torch

from mycroft_fl.device import gpu_count, torch_device
from mycroft_fl.errors import SettingError


@pytest.mark.parametrize(
    ("name", "there", "device"),
    [("cpu", True, "cpu"), ("cpu", False, "cpu"), ("auto", True, "cuda"), ("auto", False, "cpu"),
     ("cuda", True, "cuda")],
)  # fmt: skip
def test_a_card_is_used_where_it_is_wanted_and_there(
    name: str, there: bool, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert torch_device(name) == torch.device(device)


def test_a_card_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingError, match="set device to 'cpu' or 'auto'"):
        torch_device("cuda")


def test_a_name_that_is_none_is_never_the_cpu() -> None:
    with pytest.raises(SettingError, match="device is 'gpu'; choose from"):
        torch_device("gpu")


def test_cards_count_only_where_they_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert [gpu_count(name) for name in ("auto", "cuda", "cpu")] == [3, 3, 0]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_count("auto") == 0
