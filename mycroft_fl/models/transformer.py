"""Transformers of Hugging Face as bodies of a classifier of texts: trained whole, or by LoRA adapters."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mycroft_fl.encoders.hub import hub_as_it_is
from mycroft_fl.encoders.packaged_text import with_packaged_text
from mycroft_fl.errors import DataError, SettingError, one_line
from mycroft_fl.models.classifier import Classifier, InputShape
from mycroft_fl.settings.space_names import LORA, EncoderName, trained_name
from mycroft_fl.texts import as_texts

MOST_TOKENS = 512
RANK, ALPHA = 8, 16
"""Of a LoRA adapter: the width of its two thin layers, and the scale of their product (Hu et al. 2022)."""
EXTRA = "pip install 'mycroft-fl[text]'"


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A transformer as it was loaded, and its tokeniser."""

    network: nn.Module
    tokenise: Any
    most_tokens: int
    width: int


class TransformerBody(nn.Module):
    """The mean of a transformer's last hidden states over a text's tokens.

    It takes texts as a model takes them, bytes / 255. Dropout is off in training too, so that equal
    seeds give equal models.
    """

    one_by_one = True
    """Whether gradients of single examples come from single passes: its texts are no numbers to vmap."""

    def __init__(self, loaded: Pretrained) -> None:
        super().__init__()
        self.network = copy.deepcopy(loaded.network)
        self._tokenise, self._most = loaded.tokenise, loaded.most_tokens

    def __deepcopy__(self, memo: dict[int, Any]) -> TransformerBody:
        # The tokeniser is shared: it is not changed, and takes as long to copy as the network.
        memo[id(self._tokenise)] = self._tokenise
        made = TransformerBody.__new__(TransformerBody)
        nn.Module.__init__(made)
        made.network = copy.deepcopy(self.network, memo)
        made._tokenise, made._most = self._tokenise, self._most
        return made

    def train(self, mode: bool = True) -> TransformerBody:
        """Stay in evaluation mode: only what happens in training alone is off, gradients are not."""
        super().train(False)
        return self

    def forward(self, x: Float[Tensor, "n width"]) -> Float[Tensor, "n d"]:
        rows = (x.detach().cpu() * 255).round().to(torch.uint8).numpy()
        tokens = self._tokenise(
            as_texts(np.ascontiguousarray(rows)), padding=True, truncation=True,
            max_length=self._most, return_tensors="pt",
        ).to(next(self.network.parameters()).device)  # fmt: skip
        hidden: Tensor = self.network(**tokens).last_hidden_state  # n x tokens x d
        mask = tokens["attention_mask"][:, :, None].to(hidden.dtype)
        mean: Tensor = (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
        return mean


def transformer(name: str, shape: InputShape, num_classes: int) -> Classifier:
    """Build a classifier on a transformer: `transformer:NAME` is trained whole, `lora:NAME` by adapters.

    NAME is the hub's, a folder, or a package's with `:package` behind it. Raises `SettingError` or
    `DataError` in one line.
    """
    if len(shape) != 1:
        raise SettingError(
            f"model '{name}' needs texts; these examples have shape {shape}; use another"
        )
    loaded = _loaded(with_packaged_text(trained_name(name)))
    body = TransformerBody(loaded)
    if name.startswith(LORA):
        _add_adapters(body, name)
    return Classifier(body, loaded.width, num_classes)


def _add_adapters(body: TransformerBody, name: str) -> None:
    """Put thin trained layers beside every linear layer; all else stays as it was loaded."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise DataError(f"model {name} needs peft: {EXTRA}") from error
    body.network.requires_grad_(False)
    adapters = LoraConfig(
        r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=_linear_layers(body.network)
    )
    inject_adapter_in_model(adapters, body.network)


def _linear_layers(network: nn.Module) -> list[str]:
    return [each for each, module in network.named_modules() if type(module) is nn.Linear]


@lru_cache(maxsize=2)
def _loaded(name: EncoderName) -> Pretrained:
    try:
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging
    except ImportError as error:
        raise DataError(f"model {name} needs transformers: {EXTRA}") from error
    place = str(name.path or name.architecture)
    # What is printed is the program's.
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(devices=[]), hub_as_it_is():
            tokenise = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
            # Its attention in plain operations, and weights in no pickle.
            network = AutoModel.from_pretrained(
                place, trust_remote_code=False, use_safetensors=True, attn_implementation="eager",
                dtype=torch.float32,
            )  # fmt: skip
    except Exception as error:  # a hub, a network, a folder of anybody's may fail in any way
        raise DataError(
            f"model {name}: '{place}' cannot be had as a transformer ({one_line(error)[:200]}); give a "
            "folder with config.json, model.safetensors and a tokeniser"
        ) from error
    if getattr(network, "pooler", None) is not None:
        network.pooler = None  # never used here, and so without a gradient
    longest = getattr(network.config, "max_position_embeddings", MOST_TOKENS)
    most = min(MOST_TOKENS, longest, getattr(tokenise, "model_max_length", MOST_TOKENS))
    return Pretrained(network.eval(), tokenise, most, int(network.config.hidden_size))
