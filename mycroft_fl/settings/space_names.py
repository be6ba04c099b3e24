"""The names of feature spaces and encoders. Loads nothing heavy: settings are checked with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mycroft_fl.errors import SettingError

PACKAGE = "package"
"""The tag of weights that a package brings."""
PLAIN_SPACES = ("pixels", "model", "standardised", "binning")
IMAGE_LIBRARIES = ("open_clip", "torchvision", "timm")
WORD_COUNTS = ("tfidf", "hashing")
"""Encoders of texts that count words: no weights of anybody's, so no owner has to name them."""
TEXT_LIBRARIES = ("sentence-transformers", "model2vec")
LIBRARIES = (*IMAGE_LIBRARIES, *TEXT_LIBRARIES, *WORD_COUNTS)
HEADS = ("linear:", "mlp:")
"""Models on a frozen encoder are called by what is trained, and the encoder's name."""
WHOLE, LORA = "transformer:", "lora:"
TRAINED = (WHOLE, LORA)
"""Transformers that are trained themselves, whole or by adapters; an owner opens them as it does encoders."""
WEIGHT_FILES = (".pt", ".pth", ".bin", ".safetensors")
LARGEST_INPUT = 4096
HASHED = 4096
"""Numbers that hashing gives a text, where its name does not say."""
MOST_HASHED = 8192


@dataclass(frozen=True)
class EncoderName:
    """`LIBRARY:ARCHITECTURE:WEIGHTS` or `LIBRARY:ARCHITECTURE:WEIGHTS@PIXELS`.

    `weights` is a tag that the library knows, the path of a checkpoint, or "none" for random
    ones; `pixels` the side to which images are brought, 0 for what the weights were made for.
    open_clip's `hf-hub:...` and `local-dir:...` stand for architecture and weights together.

    Of texts: `sentence-transformers:NAME-OR-FOLDER` and `model2vec:NAME-OR-FOLDER`, where `:package`
    behind the name asks for the weights of a package; `tfidf`, once fitted with its digest in place of
    an architecture; `hashing` or `hashing:NUMBERS`.
    """

    library: str
    architecture: str = ""
    weights: str = ""
    pixels: int = 0

    @property
    def path(self) -> Path | None:
        """The checkpoint, where the weights are a file or folder and not a tag."""
        if self.library in TEXT_LIBRARIES:
            folder = self.architecture.startswith(("/", "~", "."))
            return Path(self.architecture).expanduser() if folder else None
        looks_like_one = self.weights.lower().endswith(WEIGHT_FILES) or "/" in self.weights
        if self.architecture == "local-dir" or (looks_like_one and self.architecture != "hf-hub"):
            return Path(self.weights).expanduser()
        return None

    @property
    def of_texts(self) -> bool:
        """Whether it takes texts and no images. open_clip's take both."""
        return self.library not in IMAGE_LIBRARIES

    def __str__(self) -> str:
        size = f"@{self.pixels}" if self.pixels else ""
        return ":".join(filter(None, (self.library, self.architecture, self.weights))) + size


def is_encoder(name: str) -> bool:
    """Say whether a name begins as that of an encoder does."""
    return name.partition(":")[0] in LIBRARIES


def encoder_name(name: str) -> EncoderName:
    """Read the parts of an encoder's name. `SettingError` where it is none."""
    library, _, rest = name.partition(":")
    if library in WORD_COUNTS:
        return _word_count(name, library, rest)
    if library in TEXT_LIBRARIES:
        return _of_text_library(name, library, rest)
    parts = name.split(":", 2)
    if len(parts) < 3 or parts[0] not in IMAGE_LIBRARIES or not all(parts):
        raise SettingError(
            f"'{name}' names no encoder; give LIBRARY:ARCHITECTURE:WEIGHTS, the library one of "
            f"{list(IMAGE_LIBRARIES)}, the weights a tag or a path, such as open_clip:ViT-B-32:openai; of "
            "texts tfidf, hashing, sentence-transformers:NAME or model2vec:NAME"
        )
    library, architecture, weights = parts
    weights, at, pixels = weights.rpartition("@") if "@" in weights else (weights, "", "")
    if at and not (pixels.isdigit() and 0 < int(pixels) <= LARGEST_INPUT):
        raise SettingError(f"'{name}' ends in '@{pixels}'; give a number of pixels, such as @128")
    return EncoderName(library, architecture, weights, int(pixels or 0))


def _word_count(name: str, library: str, rest: str) -> EncoderName:
    if library == "hashing" and rest and not (rest.isdigit() and 1 < int(rest) <= MOST_HASHED):
        raise SettingError(f"'{name}': give hashing:NUMBERS, from 2 to {MOST_HASHED}, or hashing")
    return EncoderName(library, rest)


def _of_text_library(name: str, library: str, rest: str, shown: str = "") -> EncoderName:
    model, _, tag = rest.partition(":")
    if not model or tag not in ("", PACKAGE):
        raise SettingError(
            f"'{name}' names no encoder; give {shown or library}:NAME of the hub, {shown or library}:FOLDER, "
            f"or {shown or library}:NAME:{PACKAGE} for weights that a package brings"
        )
    return EncoderName(library, model, tag)


def trained_name(name: str) -> EncoderName:
    """Read the parts of a trained transformer's name, as those of an encoder of texts.

    >>> str(trained_name("lora:all-MiniLM-L6-v2:package"))
    'sentence-transformers:all-MiniLM-L6-v2:package'
    """
    return _of_text_library(name, TEXT_LIBRARIES[0], name.partition(":")[2], name.partition(":")[0])


def check_space(name: str) -> None:
    """Raise `SettingError` unless that is the name of a feature space."""
    if name not in PLAIN_SPACES:
        if not is_encoder(name):
            raise SettingError(
                f"feature-space is '{name}'; choose from {list(PLAIN_SPACES)}, or name an encoder "
                "such as open_clip:ViT-B-32:openai, torchvision:resnet18:DEFAULT or timm:..., of texts "
                "tfidf, hashing, sentence-transformers:NAME or model2vec:NAME"
            )
        encoder_name(name)


def encoder_within(name: str) -> str | None:
    """Find the encoder in the name of a feature space or model; None where there is none.

    >>> encoder_within("mlp:tfidf"), encoder_within("random-forest:hashing"), encoder_within("mlp")
    ('tfidf', 'hashing', None)
    """
    if is_encoder(name) or name.startswith(TRAINED):
        return name
    inner = name.partition(":")[2]
    return inner if is_encoder(inner) else None


def from_folder(name: str, base: Path) -> str:
    """Give the same name of a space or model, with a relative path taken from `base` where it is there."""
    inner = encoder_within(name)
    if inner is None:
        return name
    parsed = trained_name(inner) if inner.startswith(TRAINED) else encoder_name(inner)
    if parsed.library in TEXT_LIBRARIES:
        folder = base / Path(parsed.architecture).expanduser()
        if parsed.weights or not folder.is_dir():
            return name
        return name.removesuffix(parsed.architecture) + str(folder.resolve())
    path = parsed.path
    if path is None or path.is_absolute() or not (base / path).exists():
        return name
    found = replace(parsed, weights=str((base / path).resolve()))
    return name.replace(inner, str(found))
