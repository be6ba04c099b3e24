"""Embeddings by content: computed once, kept on disk, whoever asks for them again."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from mycroft_fl.data.formats.cache import cache_folder
from mycroft_fl.encoders.pretrained import BATCH, Encoder, fingerprint, open_encoder
from mycroft_fl.encoders.text import TextEncoder, open_text_encoder
from mycroft_fl.encoders.word_counts import WordCounts, word_counts
from mycroft_fl.errors import DataError
from mycroft_fl.settings.space_names import WORD_COUNTS, EncoderName, encoder_name
from mycroft_fl.texts import content, is_text

log = logging.getLogger(__name__)
AT_HAND = 256 * 2**20  # bytes of embeddings that a process keeps
BLOCK = 1024  # images looked up together
ASKED_AT_ONCE = 500  # SQLite takes some 30,000 parameters in a query, older ones 999
BUSY = 60.0  # seconds to wait while another process writes


class Embeddings:
    """One encoder's embeddings of images, or of texts.

    An image's key is a digest of its pixels and shape, a text's one of the text, an encoder's one of
    its weights: a changed image or checkpoint is another. Many processes may share the file; one that
    cannot be written is done without.

    In a batch, an image's last bits depend on its neighbours. An embedding that must be a function of
    its image alone is computed alone, and kept under a key of its own, so that none from a batch stands
    in for it.
    """

    def __init__(self, name: EncoderName, folder: Path) -> None:
        self._name = name
        self._file = folder / f"embeddings-{fingerprint(name)}.sqlite"
        self._encoder: Encoder | TextEncoder | None = None
        self._for_texts = False
        self._near: dict[bytes, np.ndarray] = {}
        self._computed = False

    def of(
        self, images: UInt8[np.ndarray, "n ..."], *, alone: bool = False
    ) -> Float32[np.ndarray, "n d"]:
        """Return the images' embeddings, in their order; of images on disk a block at a time is read.

        In memory is what is returned, and beside it no more than a fixed part. `DataError` where one
        is not finite; where each is computed `alone` it is returned as it is, since an error would
        tell of that image.
        """
        if images.dtype != np.uint8 or images.ndim not in (2, 4):
            raise DataError(
                f"encoder {self._name} is for {'texts' if self._name.of_texts else 'images'}; these examples "
                f"have shape {images.shape[1:]}; use feature-space = standardised or binning for tables"
            )
        if len(images) == 0:
            return np.empty((0, self._width(images.shape[1:])), np.float32)
        found: np.ndarray | None = None
        for start in range(0, len(images), BLOCK):
            vectors = self._block(images[start : start + BLOCK], alone)
            if found is None:
                found = np.empty((len(images), vectors.shape[1]), np.float32)
            found[start : start + len(vectors)] = vectors
            if self._computed and start + BLOCK < len(images):
                log.info("embedded %d of %d examples", start + len(vectors), len(images))
        assert found is not None
        return found

    def _width(self, shape: tuple[int, ...]) -> int:
        if not self._near:
            self._block(np.zeros((1, *shape), np.uint8), alone=True)
        return len(next(iter(self._near.values())))

    def _block(self, images: UInt8[np.ndarray, "b ..."], alone: bool) -> Float32[np.ndarray, "b d"]:
        keys = [_key(image, alone) for image in images]
        if self._near and len(self._near) * self._width(images.shape[1:]) * 4 > AT_HAND:
            self._near.clear()
        self._look_up([key for key in dict.fromkeys(keys) if key not in self._near])
        missing = {key: row for row, key in enumerate(keys) if key not in self._near}
        self._computed = bool(missing)
        for batch in _batches(list(missing.items()), 1 if alone else BATCH):
            self._compute(images, batch, alone)
        return np.stack([self._near[key] for key in keys])

    def _compute(
        self, images: UInt8[np.ndarray, "b ..."], batch: list[tuple[bytes, int]], alone: bool
    ) -> None:
        some = images[[row for _, row in batch]]
        vectors = self._opened(is_text(some))(some)
        if not alone and not np.isfinite(vectors).all():
            raise DataError(f"encoder {self._name} gives values that are not finite; use another")
        # Each a copy: a row of the batch would keep all of it in memory.
        added = {key: vector.copy() for (key, _), vector in zip(batch, vectors, strict=True)}
        self._near |= added
        self._keep(added)

    def _opened(self, texts: bool) -> Encoder | TextEncoder:
        """Return the encoder for texts or for images, loaded once."""
        if self._encoder is None or self._for_texts != texts:
            log.info("loading encoder %s", self._name)
            self._encoder = open_text_encoder(self._name) if texts else open_encoder(self._name)
            self._for_texts = texts
        return self._encoder

    def _look_up(self, keys: list[bytes]) -> None:
        if not keys or not self._file.is_file():
            return
        with suppress(sqlite3.Error), closing(self._connected()) as file:
            for start in range(0, len(keys), ASKED_AT_ONCE):
                some = keys[start : start + ASKED_AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = file.execute(f"SELECT key, vector FROM kept WHERE key IN ({marks})", some)
                self._near |= {key: np.frombuffer(vector, np.float32) for key, vector in rows}

    def _keep(self, added: dict[bytes, np.ndarray]) -> None:
        rows = [(key, vector.astype(np.float32).tobytes()) for key, vector in added.items()]
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connected()) as file, file:
                file.execute("CREATE TABLE IF NOT EXISTS kept (key BLOB PRIMARY KEY, vector BLOB)")
                file.executemany("INSERT OR IGNORE INTO kept VALUES (?, ?)", rows)
        except (OSError, sqlite3.Error) as error:
            log.warning("cannot keep embeddings for the next time: %s", error)

    def _connected(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file, timeout=BUSY)


def embeddings_of(name: str) -> Embeddings | WordCounts:
    """Return the embeddings of the encoder of that name, shared within a process."""
    parsed = encoder_name(name)
    if parsed.library in WORD_COUNTS:
        return word_counts(parsed)
    return _shared(parsed, fingerprint(parsed), cache_folder())


@lru_cache(maxsize=2)
def _shared(name: EncoderName, weights: str, folder: Path) -> Embeddings:
    return Embeddings(name, folder)


def _key(image: UInt8[np.ndarray, "..."], alone: bool) -> bytes:
    person = b"alone" if alone else b""
    if image.ndim == 1:
        text = b"text" + content(image)
        return hashlib.blake2b(text, digest_size=16, person=person).digest()
    digest = hashlib.blake2b(str(image.shape).encode(), digest_size=16, person=person)
    digest.update(np.ascontiguousarray(image).data)
    return digest.digest()


def _batches(items: list, size: int) -> Iterator[list]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
