"""Files in the folder of data sets are found there, else in the cache; else the error says what to do."""

from pathlib import Path

import numpy as np
import pytest

from mycroft_fl.data.formats.cache import cache_folder
from mycroft_fl.data.formats.located import MARK, SOURCES, located
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.errors import DataError


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("MYCROFT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def put(folder: Path) -> Path:
    file = folder / "set" / "a.npz"
    file.parent.mkdir(parents=True)
    np.savez(file, x=np.eye(2), y=np.array([0, 1]))
    return file


def test_the_folder_of_data_sets_comes_before_the_cache(tmp_path):
    cached = put(cache_folder())
    assert located(f"{MARK}set/a.npz", tmp_path) == cached
    own = put(tmp_path / "data")
    assert located(f"{MARK}set/a.npz", tmp_path) == own
    assert len(load_dataset(f"{MARK}set/a.npz", Path("elsewhere"))) == 2


def test_any_other_path_is_taken_from_the_files_folder(tmp_path):
    assert located("a.csv", tmp_path) == tmp_path / "a.csv"
    assert located("/b/a.csv", tmp_path) == Path("/b/a.csv")
    assert located("$HOME/a.csv", tmp_path) == tmp_path / "$HOME" / "a.csv"


@pytest.mark.parametrize("name", SOURCES)
def test_what_is_missing_is_named_with_its_source_and_its_place(tmp_path, name):
    with pytest.raises(DataError) as caught:
        load_dataset(f"{MARK}{name}/some.file", tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/data (MYCROFT_DATA) holds no {name}/some.file; put into {tmp_path}/data/{name}: "
        f"{SOURCES[name]}"
    )


def test_an_unknown_file_is_asked_for_by_its_own_name(tmp_path):
    with pytest.raises(DataError, match=r"holds no own/x\.csv; put into .*/data/own: x\.csv$"):
        located(f"{MARK}own/x.csv", tmp_path)


def test_without_the_variable_the_error_says_to_set_it(tmp_path, monkeypatch):
    monkeypatch.delenv("MYCROFT_DATA")
    with pytest.raises(DataError) as caught:
        located(f"{MARK}pacs/photo.zip", tmp_path)
    text = str(caught.value)
    assert text.startswith("there is no pacs/photo.zip, for MYCROFT_DATA is not set; set it to a")
    assert text.endswith(f"put into its folder pacs: {SOURCES['pacs']}")
