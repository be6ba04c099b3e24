"""Pretrained encoders of texts: sentence-transformers, static vectors, and open_clip's text towers."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from mycroft_fl.encoders.hub import hub_as_it_is
from mycroft_fl.encoders.packaged_text import with_packaged_text
from mycroft_fl.errors import DataError, SettingError, one_line
from mycroft_fl.settings.space_names import EncoderName
from mycroft_fl.texts import Texts, as_texts

TextEncoder = Callable[[Texts], Float32[np.ndarray, "n d"]]
MODULES = {"sentence-transformers": "sentence_transformers", "model2vec": "model2vec"}
EXTRA = "pip install 'mycroft-fl[text]'"


def open_text_encoder(name: EncoderName) -> TextEncoder:
    """Return what makes vectors of texts. `SettingError` or `DataError` in one line."""
    name = with_packaged_text(name)
    if name.path is not None and not name.path.exists():
        raise DataError(f"encoder {name}: there is no folder {name.path}; give a model's folder")
    loaders = {
        "sentence-transformers": _sentence_transformer, "model2vec": _static, "open_clip": _tower,
    }  # fmt: skip
    if name.library not in loaders:
        raise SettingError(
            f"encoder {name} is for images, and these are texts; take tfidf, hashing, "
            "sentence-transformers:NAME or model2vec:NAME"
        )
    try:
        with torch.random.fork_rng(devices=[]), hub_as_it_is():
            torch.manual_seed(0)  # of weights "none": the same in every process
            encode = loaders[name.library](name)
    except (SettingError, DataError):
        raise
    except Exception as error:  # a hub, a network, a folder of anybody's may fail in any way
        said = one_line(error)[:200]
        what = "its folder does not hold such a model" if name.path else "it cannot be had"
        raise DataError(
            f"encoder {name}: {what} ({said}); without a network give a model's folder"
        ) from error
    return lambda x: np.asarray(encode(as_texts(x)), dtype=np.float32)


Encode = Callable[[Sequence[str]], Any]


def _sentence_transformer(name: EncoderName) -> Encode:
    library = _library(name)
    from transformers.utils import logging

    # What is printed is the program's.
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model = library.SentenceTransformer(_place(name), device=_device(), trust_remote_code=False)
    return lambda texts: model.encode(list(texts), show_progress_bar=False)


def _static(name: EncoderName) -> Encode:
    model = _library(name).StaticModel.from_pretrained(_place(name), force_download=False)
    return lambda texts: model.encode(list(texts), use_multiprocessing=False)


def _tower(name: EncoderName) -> Encode:
    import open_clip

    from mycroft_fl.encoders.pretrained import clip_model

    model, *_ = clip_model(name)
    tokenise = open_clip.get_tokenizer(_architecture(name))
    model.eval().requires_grad_(False).to(_device())

    @torch.no_grad()
    def encode(texts: Sequence[str]) -> np.ndarray:
        vectors: np.ndarray = (
            model.encode_text(tokenise(list(texts)).to(_device())).float().cpu().numpy()
        )
        return vectors

    return encode


def _architecture(name: EncoderName) -> str:
    whole = name.architecture in ("hf-hub", "local-dir")
    return f"{name.architecture}:{name.weights}" if whole else name.architecture


def _library(name: EncoderName) -> Any:
    try:
        return importlib.import_module(MODULES[name.library])
    except ImportError as error:
        raise DataError(f"encoder {name} needs {name.library}: {EXTRA}") from error


def _place(name: EncoderName) -> str:
    return str(name.path or Path(name.architecture))


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
