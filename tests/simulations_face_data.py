"""Data of a trainer and three owners, as somebody in a notebook would hold it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn

EVERY = 4


class OwnNet(nn.Module):
    """A convolution, batch statistics and dropout."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(8 * 64, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.norm(self.conv(x)))
        return self.fc(self.drop(hidden.flatten(1)))


class Digits(torch.utils.data.Dataset):
    """Upright digits, or rotated ones, as a torch Dataset."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = torch.from_numpy(x).float() / 255, y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        return self.x[place], int(self.y[place])


def digits() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Parts of scikit-learn's digits: `validation`, `test` and `rotated` hold rotated ones."""
    found = load_digits()
    x = (found.images * 15.9).astype(np.uint8)[:, None]
    order = np.random.default_rng(0).permutation(len(x))
    turned = np.rot90(x, 2, axes=(2, 3))
    parts = dict(
        zip(
            ("train", "validation", "test", "rotated", "upright", "mixed"),
            np.split(order, [400, 700, 1000, 1250, 1500]),
            strict=True,
        )
    )

    def some(name: str) -> tuple[np.ndarray, np.ndarray]:
        place = parts[name]
        image = x[place].copy()
        if name == "rotated":
            image = turned[place].copy()
        if name in ("validation", "test", "mixed"):
            image[::2] = turned[place][::2]
        return image, found.target[place]

    return {name: some(name) for name in parts}


def as_folder(path: Path, x: np.ndarray, y: np.ndarray) -> Path:
    """Images in folders by class."""
    for place, (image, label) in enumerate(zip(x, y, strict=True)):
        (path / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(path / str(label) / f"{place}.png")
    return path


def fitted_net(x: np.ndarray, y: np.ndarray) -> OwnNet:
    """The net, trained on these."""
    torch.manual_seed(0)
    net, rng = OwnNet(), np.random.default_rng(0)
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    inputs, labels = torch.from_numpy(x).float() / 255, torch.from_numpy(y)
    for _ in range(15):
        for batch in np.array_split(rng.permutation(len(y)), 12):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(inputs[batch]), labels[batch]).backward()
            optimizer.step()
    return net


def flows(n: int, seed: int, rare: float) -> pd.DataFrame:
    """Network flows, of which `rare` are attacks over an unusual port."""
    rng = np.random.default_rng(seed)
    odd = rng.random(n) < rare
    attack = rng.random(n) < 0.3
    return pd.DataFrame({
        "bytes": np.where(odd, rng.normal(4, 1, n), rng.normal(4 + 3 * attack, 1, n)).round(3),
        "port": np.where(odd, 8080, rng.choice([22, 443], n)),
        "proto": rng.choice(["tcp", "udp"], n),
        "label": np.where(odd | attack, "attack", "normal"),
    })  # fmt: skip
