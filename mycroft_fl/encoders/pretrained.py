"""Pretrained image encoders of open_clip, torchvision and timm, behind one call."""

from __future__ import annotations

import hashlib
import importlib.metadata
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from mycroft_fl.claims import check_archive
from mycroft_fl.encoders.hub import hub_as_it_is
from mycroft_fl.encoders.packaged import with_packaged_weights
from mycroft_fl.encoders.packaged_text import with_packaged_text
from mycroft_fl.errors import DataError, SettingError, one_line, suggestion
from mycroft_fl.settings.space_names import EncoderName

BATCH = 64
PREPARED = "2"  # how images are made inputs; another number, and older embeddings are left alone
HEADS = ("fc", "classifier", "heads", "head")  # what torchvision calls a network's last part
PACKAGES = {
    "open_clip": "open_clip_torch", "torchvision": "torchvision", "timm": "timm",
    "sentence-transformers": "sentence-transformers", "model2vec": "model2vec",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Encoder:
    """Weights in memory: `prepare` makes a PIL image an input, `embed` a batch of them vectors."""

    prepare: Callable[[Any], Tensor]
    embed: Callable[[Tensor], Tensor]
    device: torch.device

    @torch.no_grad()
    def __call__(self, images: UInt8[np.ndarray, "n c h w"]) -> Float32[np.ndarray, "n d"]:
        """Return the images' embeddings, as the encoder gives them."""
        from PIL import Image

        inputs = torch.stack([
            self.prepare(Image.fromarray(_as_rgb(image))) for image in images
        ])  # fmt: skip
        return self.embed(inputs.to(self.device)).float().cpu().numpy()


def fingerprint(name: EncoderName) -> str:
    """Name an encoder by the content of its weights, without loading it.

    A file is read through; a tag stands for its weights in the library's installed version.
    """
    name = with_packaged_text(with_packaged_weights(name))
    digest = hashlib.blake2b(digest_size=12)
    digest.update(f"{PREPARED}|{name.library}|{name.architecture}|{name.pixels}|".encode())
    digest.update(_version(name).encode())
    if name.path is None:
        digest.update(f"|tag {name.weights}".encode())
        return digest.hexdigest()
    _require_there(name, name.path)
    files = sorted(name.path.rglob("*")) if name.path.is_dir() else [name.path]
    for file in files:
        if file.is_file():
            digest.update(_file_digest(file, file.stat().st_mtime_ns, file.stat().st_size))
    return digest.hexdigest()


def _version(name: EncoderName) -> str:
    try:
        return importlib.metadata.version(PACKAGES[name.library])
    except importlib.metadata.PackageNotFoundError as error:
        raise DataError(
            f"encoder {name} needs {name.library}: pip install 'mycroft-fl[text]'"
        ) from error


@lru_cache(maxsize=64)
def _file_digest(file: Path, changed: int, size: int) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).digest()


def open_encoder(name: EncoderName) -> Encoder:
    """Return the encoder, on a GPU where there is one. `SettingError` or `DataError` in one line."""
    name = with_packaged_weights(name)
    if name.of_texts:
        raise SettingError(
            f"encoder {name} is for texts, and these are images; take one of open_clip, torchvision or timm"
        )
    if name.path is not None:
        _require_there(name, name.path)
    load = {"open_clip": _open_clip, "torchvision": _torchvision, "timm": _timm}[name.library]
    try:
        with torch.random.fork_rng(devices=[]), hub_as_it_is():
            torch.manual_seed(0)  # of weights "none": the same in every process
            network, embed, prepare = load(name)
    except (SettingError, DataError):
        raise
    except Exception as error:  # a hub, a network, a file of anybody's may fail in any way
        what = (
            f"the file {name.path} does not fit"
            if name.path
            else f"weights '{name.weights}' cannot be had; without a network give a checkpoint's path"
        )
        raise DataError(f"encoder {name}: {what} ({_brief(error)})") from error
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.eval().requires_grad_(False).to(device)
    return Encoder(prepare, embed, device)


Loaded = tuple[nn.Module, Callable[[Tensor], Tensor], Callable[[Any], Tensor]]


def _open_clip(name: EncoderName) -> Loaded:
    model, _, prepare = clip_model(name)
    return model, model.encode_image, prepare


def clip_model(name: EncoderName) -> Any:
    """Return open_clip's model with both towers, and what prepares an image for training and for use."""
    import open_clip

    architecture, weights = name.architecture, name.weights
    if architecture in ("hf-hub", "local-dir"):
        architecture, weights = f"{architecture}:{weights}", ""
    elif architecture not in open_clip.list_models():
        raise _unknown(name, open_clip.list_models())
    return open_clip.create_model_and_transforms(
        architecture,
        pretrained=None if weights in ("", "none") else str(name.path or weights),
        force_image_size=name.pixels or None,
    )


def _torchvision(name: EncoderName) -> Loaded:
    from torchvision import models

    if name.architecture not in models.list_models(module=models):
        raise _unknown(name, models.list_models(module=models))
    known = models.get_model_weights(name.architecture)
    tag = None if name.path or name.weights == "none" else name.weights
    if tag is not None and tag not in (*known.__members__, "DEFAULT"):
        raise SettingError(
            f"encoder {name}: unknown weights{suggestion(tag, [*known.__members__])}"
        )
    model = models.get_model(name.architecture, weights=None if tag is None else known[tag])
    head = next(each for each in HEADS if hasattr(model, each))
    setattr(model, head, nn.Identity())
    if name.path:
        model.load_state_dict(_without(_state_in(name.path), (head,)))
    prepare = (known.DEFAULT if tag is None else known[tag]).transforms()
    if name.pixels:
        prepare.crop_size, prepare.resize_size = [name.pixels], [name.pixels]
    return model, model, prepare


def _timm(name: EncoderName) -> Loaded:
    import timm
    from timm.data.config import resolve_data_config
    from timm.data.transforms_factory import create_transform

    architecture, _, tag = name.architecture.partition(".")
    if architecture not in timm.list_models():
        raise _unknown(name, timm.list_models())
    from_hub = name.path is None and name.weights != "none"
    full = name.architecture if tag or not from_hub or name.weights == "DEFAULT" else (
        f"{architecture}.{name.weights}"
    )  # fmt: skip
    model: Any = timm.create_model(full, pretrained=from_hub, num_classes=0)
    if name.path:
        heads = model.pretrained_cfg.get("classifier") or ()
        heads = (heads,) if isinstance(heads, str) else tuple(heads)
        model.load_state_dict(_without(_state_in(name.path), heads))
    # The whole image at that size: timm by itself would cut off an eighth at the edges.
    size = (3, name.pixels, name.pixels)
    given = {"input_size": size, "crop_pct": 1.0} if name.pixels else {}
    config = resolve_data_config(given, model=model)  # type: ignore[no-untyped-call]
    return model, model, create_transform(**config, is_training=False)


def _state_in(path: Path) -> dict[str, Tensor]:
    """Return a checkpoint's weights, read without running anything in it."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    # PyTorch makes room for what an archive's list of members claims.
    if zipfile.is_zipfile(path):
        check_archive(path)
    content = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def _without(state: dict[str, Tensor], heads: tuple[str, ...]) -> dict[str, Tensor]:
    return {
        name: value
        for name, value in state.items()
        if not name.startswith(tuple(f"{h}." for h in heads))
    }


def _require_there(name: EncoderName, path: Path) -> None:
    if not path.exists():
        raise DataError(
            f"encoder {name}: there is no file {path}; give a checkpoint's path or a tag"
        )


def _unknown(name: EncoderName, known: list[str]) -> SettingError:
    hint = suggestion(name.architecture, known)
    if len(hint) > 200:
        hint = f"; {name.library} lists {len(known)} others"
    return SettingError(f"encoder {name}: unknown architecture '{name.architecture}'{hint}")


def _brief(error: BaseException) -> str:
    text = one_line(error)
    return text if len(text) <= 200 else text[:197] + "..."


def _as_rgb(image: UInt8[np.ndarray, "c h w"]) -> UInt8[np.ndarray, "h w 3"]:
    rgb = image if image.shape[0] == 3 else np.repeat(image, 3, axis=0)
    return np.ascontiguousarray(rgb.transpose(1, 2, 0))
