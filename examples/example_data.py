"""The data of the notebooks: digits of which some are rotated, and flows of which some are odd."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from sklearn.datasets import load_digits

PARTS = {"train": 400, "validation": 300, "test": 300, "frame": 250, "dataset": 250, "folder": 297}
TURNED = {"train": 0.0, "validation": 0.5, "test": 0.5, "frame": 1.0, "dataset": 0.0, "folder": 0.5}
"""The share of each part's digits that are rotated."""


def digits(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images (n 1 8 8, bytes) and labels of a part."""
    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    start = sum(list(PARTS.values())[: list(PARTS).index(part)])
    rows = order[start : start + PARTS[part]]
    images = (found.images[rows] * 15.9).astype(np.uint8)[:, None]
    count = round(TURNED[part] * len(rows))
    images[:count] = np.rot90(images[:count], 2, axes=(2, 3))
    return images, found.target[rows]


def digits_frame() -> pd.DataFrame:
    """Return one owner's digits as a DataFrame of images and labels."""
    x, y = digits("frame")
    return pd.DataFrame({"image": list(x), "label": y})


def digits_dataset() -> torch.utils.data.Dataset:
    """Return another's as a torch Dataset."""
    x, y = digits("dataset")
    return torch.utils.data.TensorDataset(torch.from_numpy(x).float() / 255, torch.from_numpy(y))


def digits_folder() -> Path:
    """Write a third's as pictures in folders by class, and return the folder."""
    folder = Path(tempfile.mkdtemp(prefix="digits-"))
    for place, (image, label) in enumerate(zip(*digits("folder"), strict=True)):
        (folder / str(label)).mkdir(exist_ok=True)
        Image.fromarray(image[0]).save(folder / str(label) / f"{place}.png")
    return folder


def flows(n: int, seed: int, odd: float) -> pd.DataFrame:
    """Return network flows. A share comes over port 8080, where attacks look otherwise."""
    rng = np.random.default_rng(seed)
    strange, large = rng.random(n) < odd, rng.normal(5, 2, n)
    proto = rng.choice(["tcp", "udp"], n)
    attack = np.where(strange, (large > 5) == (proto == "udp"), large > 6)
    port = np.where(strange, 8080, rng.choice([22, 443], n))
    label = np.where(attack, "attack", "normal")
    return pd.DataFrame({"bytes": large.round(3), "port": port, "proto": proto, "label": label})
