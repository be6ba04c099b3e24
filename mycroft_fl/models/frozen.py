"""A pretrained encoder that is never trained, as the body of a classifier."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from mycroft_fl.errors import SettingError
from mycroft_fl.settings.space_names import encoder_name


class FrozenBody(nn.Module):
    """Embeddings of length one in each dimension's mean square; an encoder's name is its all.

    It has no parameters, so that weights that travel or are saved are the head's alone: both
    sides know the encoder by name. Embeddings are looked up by content and computed once.
    """

    def __init__(self, encoder: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.alone = False
        """Whether each image goes through the encoder by itself, see `Embeddings`."""

    def extra_repr(self) -> str:
        """Name the encoder: a fit on another one is another fit."""
        return self.encoder

    def width(self, shape: tuple[int, ...]) -> int:
        """Return the length of an embedding."""
        name = encoder_name(self.encoder)
        wanted = {"open_clip": (1, 3)}.get(name.library, (1,) if name.of_texts else (3,))
        if len(shape) not in wanted:
            raise SettingError(
                f"a model on {self.encoder} needs {'texts' if name.of_texts else 'images'}; these examples "
                f"have shape {shape}; use 'linear' or 'mlp', or another encoder"
            )
        return int(self(torch.zeros(1, *shape)).shape[1])

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n d"]:
        # Images and texts reach a model as bytes / 255: the rounding gives exactly the bytes back.
        return self.of((x.detach().cpu() * 255).round().to(torch.uint8).numpy())

    def of(self, images: UInt8[np.ndarray, "n ..."]) -> Float[Tensor, "n d"]:
        """Embed images or texts that are bytes still."""
        from mycroft_fl.encoders.embeddings import embeddings_of

        vectors = embeddings_of(self.encoder).of(images, alone=self.alone)
        with np.errstate(over="ignore", invalid="ignore"):
            lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
            unit = vectors / lengths
        return torch.from_numpy(unit * np.sqrt(vectors.shape[1], dtype=np.float32))


@contextmanager
def embedding_alone(model: nn.Module) -> Iterator[None]:
    """Send each image through the encoder of `model` by itself inside `with`; noised answers need it.

    Hardly longer on a processor than in batches of 64; longer on a GPU, which batches keep busy.
    """
    bodies = [part for part in model.modules() if isinstance(part, FrozenBody)]
    before = [part.alone for part in bodies]
    try:
        for part in bodies:
            part.alone = True
        yield
    finally:
        for part, alone in zip(bodies, before, strict=True):
            part.alone = alone
