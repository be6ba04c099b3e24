"""The device that computes tensors: the CPU, or a CUDA GPU where there is one."""

from __future__ import annotations

import torch

from mycroft_fl.errors import SettingError

DEVICES = ("cpu", "cuda", "auto")


def torch_device(name: str) -> torch.device:
    """Return the device called "cpu", "cuda", or "auto": a GPU where torch sees one, else the CPU.

    `SettingError` for any other name, and for "cuda" where torch sees none.
    """
    if name not in DEVICES:
        raise SettingError(f"device is {name!r}; choose from {list(DEVICES)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise SettingError(
            "device is 'cuda', but torch sees no CUDA device; set device to 'cpu' or 'auto'"
        )
    wanted = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if wanted else "cpu")


def gpu_count(name: str) -> int:
    """Return how many GPUs the device called `name` may use: 0 for the CPU."""
    return torch.cuda.device_count() if torch_device(name).type == "cuda" else 0
