"""The names of feature spaces and encoders. Loads nothing heavy: settings are checked with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mycroft_fl.errors import SettingError

PLAIN_SPACES = ("pixels", "model", "standardised", "binning")
LIBRARIES = ("open_clip", "torchvision", "timm")
WEIGHT_FILES = (".pt", ".pth", ".bin", ".safetensors")
LARGEST_INPUT = 4096


@dataclass(frozen=True)
class EncoderName:
    """`LIBRARY:ARCHITECTURE:WEIGHTS` or `LIBRARY:ARCHITECTURE:WEIGHTS@PIXELS`.

    `weights` is a tag that the library knows, the path of a checkpoint, or "none" for random
    ones; `pixels` the side to which images are brought, 0 for what the weights were made for.
    open_clip's `hf-hub:...` and `local-dir:...` stand for architecture and weights together.
    """

    library: str
    architecture: str
    weights: str
    pixels: int = 0

    @property
    def path(self) -> Path | None:
        """The checkpoint, where the weights are a file or folder and not a tag."""
        looks_like_one = self.weights.lower().endswith(WEIGHT_FILES) or "/" in self.weights
        if self.architecture == "local-dir" or (looks_like_one and self.architecture != "hf-hub"):
            return Path(self.weights).expanduser()
        return None

    def __str__(self) -> str:
        size = f"@{self.pixels}" if self.pixels else ""
        return f"{self.library}:{self.architecture}:{self.weights}{size}"


def is_encoder(name: str) -> bool:
    """Say whether a name begins as that of an encoder does."""
    return name.partition(":")[0] in LIBRARIES


def encoder_name(name: str) -> EncoderName:
    """Read the parts of an encoder's name. `SettingError` where it is none."""
    parts = name.split(":", 2)
    if len(parts) < 3 or parts[0] not in LIBRARIES or not all(parts):
        raise SettingError(
            f"'{name}' names no encoder; give LIBRARY:ARCHITECTURE:WEIGHTS, the library one of "
            f"{list(LIBRARIES)}, the weights a tag or a path, such as open_clip:ViT-B-32:openai"
        )
    library, architecture, weights = parts
    weights, at, pixels = weights.rpartition("@") if "@" in weights else (weights, "", "")
    if at and not (pixels.isdigit() and 0 < int(pixels) <= LARGEST_INPUT):
        raise SettingError(f"'{name}' ends in '@{pixels}'; give a number of pixels, such as @128")
    return EncoderName(library, architecture, weights, int(pixels or 0))


def check_space(name: str) -> None:
    """Raise `SettingError` unless that is the name of a feature space."""
    if name not in PLAIN_SPACES:
        if not is_encoder(name):
            raise SettingError(
                f"feature-space is '{name}'; choose from {list(PLAIN_SPACES)}, or name an encoder "
                "such as open_clip:ViT-B-32:openai, torchvision:resnet18:DEFAULT or timm:..."
            )
        encoder_name(name)


def encoder_within(name: str) -> str | None:
    """Find the encoder in the name of a feature space or model; None where there is none."""
    inner = name.removeprefix("linear:")
    return inner if is_encoder(inner) else None


def from_folder(name: str, base: Path) -> str:
    """Give the same name of a space or model, with a relative path taken from `base` where it is there."""
    inner = encoder_within(name)
    if inner is None:
        return name
    parsed = encoder_name(inner)
    path = parsed.path
    if path is None or path.is_absolute() or not (base / path).exists():
        return name
    found = replace(parsed, weights=str((base / path).resolve()))
    return name.replace(inner, str(found))
