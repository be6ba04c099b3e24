"""Encoders of texts: what the libraries give, kept by content, and one line where they cannot be had."""

import numpy as np
import pytest

from mycroft_fl.encoders import embeddings, packaged_text
from mycroft_fl.encoders.embeddings import embeddings_of
from mycroft_fl.encoders.text import open_text_encoder
from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.settings.space_names import encoder_name, encoder_within, from_folder
from mycroft_fl.texts import as_bytes

WORDS = ["the", "cat", "dog", "sat", "mat"]
TEXTS = ["the cat sat", "dog", "the dog sat the mat", "mat unknown"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    embeddings._shared.cache_clear()
    packaged_text._laid_out.cache_clear()
    yield
    embeddings._shared.cache_clear()
    packaged_text._laid_out.cache_clear()


def tokeniser():
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    known = {word: place for place, word in enumerate(["[PAD]", "[UNK]", *WORDS])}
    made = Tokenizer(WordLevel(known, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    return made


@pytest.fixture
def static(tmp_path):
    from model2vec import StaticModel

    vectors = np.random.default_rng(0).normal(size=(7, 6)).astype(np.float32)
    StaticModel(vectors, tokeniser(), normalize=False).save_pretrained(tmp_path / "static")
    return vectors


def test_static_vectors_are_the_mean_of_a_texts_words(static, tmp_path):
    found = embeddings_of(f"model2vec:{tmp_path / 'static'}").of(as_bytes(TEXTS)[0])
    places = {word: place for place, word in enumerate(WORDS, start=2)}
    for row, text in zip(found, TEXTS, strict=True):
        known = [static[places[word]] for word in text.split() if word in places]
        np.testing.assert_allclose(row, np.mean(known, axis=0), atol=1e-5)


def test_a_sentence_transformer_gives_what_its_library_gives_and_is_opened_once(
    tmp_path, monkeypatch
):
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    PreTrainedTokenizerFast(
        tokenizer_object=tokeniser(), pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(tmp_path / "bert")
    BertModel(
        BertConfig(
            vocab_size=7, hidden_size=12, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=8, max_position_embeddings=16,
        )
    ).save_pretrained(tmp_path / "bert")  # fmt: skip
    whole = Transformer(str(tmp_path / "bert"))
    theirs = SentenceTransformer(modules=[whole, Pooling(12)], device="cpu")
    theirs.save(str(tmp_path / "st"))
    name = f"sentence-transformers:{tmp_path / 'st'}"
    wanted = theirs.encode(TEXTS)
    np.testing.assert_allclose(embeddings_of(name).of(as_bytes(TEXTS)[0]), wanted, atol=1e-5)
    embeddings._shared.cache_clear()
    monkeypatch.setattr(embeddings, "open_text_encoder", pytest.fail)
    again = embeddings_of(name).of(as_bytes(TEXTS, 900)[0])  # of another width, and known
    np.testing.assert_allclose(again, wanted, atol=1e-5)


@pytest.mark.slow
def test_a_text_tower_gives_what_open_clip_gives():
    import open_clip
    import torch

    name = "open_clip:ViT-S-32-alt:none"
    found = embeddings_of(name).of(as_bytes(TEXTS)[0])
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = open_clip.create_model("ViT-S-32-alt", pretrained=None).eval()
        wanted = model.encode_text(open_clip.get_tokenizer("ViT-S-32-alt")(TEXTS)).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("sentence-transformers:/nowhere", DataError, "there is no"),
        ("model2vec:other:package", SettingError, "no package brings 'other'"),
        ("model2vec:x:tag", SettingError, "give model2vec:NAME of the hub"),
        ("model2vec:", SettingError, "give model2vec:NAME of the hub"),
        ("hashing:1", SettingError, "from 2 to 8192"),
        ("hashing:many", SettingError, "from 2 to 8192"),
        ("timm:resnet18:none", SettingError, "is for images, and these are texts"),
    ],
)
def test_what_is_no_encoder_of_texts_is_said(name, error, message):
    with pytest.raises(error, match=message):
        embeddings_of(name).of(as_bytes(["a"])[0])


def test_a_folder_without_a_model_is_said(tmp_path):
    with pytest.raises(DataError, match="its folder does not hold such a model"):
        open_text_encoder(encoder_name(f"model2vec:{tmp_path}"))


def test_an_encoder_of_texts_takes_no_images(static, tmp_path):
    with pytest.raises(SettingError, match="is for texts, and these are images"):
        embeddings_of(f"model2vec:{tmp_path / 'static'}").of(np.zeros((1, 1, 4, 4), np.uint8))


def test_relative_folders_are_taken_from_the_files_own(tmp_path):
    (tmp_path / "mine").mkdir()
    for kind in ("linear:sentence-transformers", "model2vec", "lora", "transformer"):
        assert from_folder(f"{kind}:mine", tmp_path) == f"{kind}:{tmp_path / 'mine'}"
        assert from_folder(f"{kind}:other", tmp_path) == f"{kind}:other"
    assert encoder_within("lora:mine") == "lora:mine"


def test_packages_that_are_not_there_say_what_to_install(monkeypatch):
    monkeypatch.setattr(packaged_text.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install --no-deps wordllama"):
        embeddings_of("model2vec:wordllama:package")
