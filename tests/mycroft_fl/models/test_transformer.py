"""A tiny transformer, whole and by adapters: gradients are autograd's, and a run goes through."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import FitSettings, accuracy, as_input, fit, logits
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import (
    flat_weights,
    load_flat_weights,
    load_weights,
    save_weights,
    size_of,
)
from mycroft_fl.represent.gradients.per_example import gradients
from mycroft_fl.texts import as_bytes
from simulations import server_app
from simulations.engines.run import run
from simulations.setup.simulation import Simulation
from strategies.runs.folder import RunFolder

WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sat",
    "ran",
    "on",
    "under",
    "mat",
    "tree",
    "home",
    "not",
    "very",
]
KINDS = ("transformer", "lora")


def write_tiny(folder: Path) -> Path:
    """A BERT of two layers with random weights, and a tokeniser of words, as Hugging Face keeps them."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    known = {word: place for place, word in enumerate(["[PAD]", "[UNK]", *WORDS])}
    tokeniser = Tokenizer(WordLevel(known, unk_token="[UNK]"))
    tokeniser.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokeniser, pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(folder)
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(known), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=24,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("tiny") / "bert")


@pytest.fixture
def sentences():
    rng = np.random.default_rng(3)
    texts = [" ".join(rng.choice(WORDS, rng.integers(2, 9))) for _ in range(24)]
    y = np.array(["cat" in text for text in texts], dtype=np.int64)
    return Examples(as_bytes(texts)[0], y)


def model_of(kind, tiny, sentences, classes=3):
    model = build(f"{kind}:{tiny}", sentences.x.shape[1:], classes, seed=0)
    if kind == "lora":  # adapters begin at zero, where half of the gradients vanish
        torch.manual_seed(2)
        with torch.no_grad():
            for name, each in model.named_parameters():
                if "lora_B" in name:
                    each.normal_(std=0.3)
    return model


def autograd_rows(model, sentences, names):
    """Each example's gradient by the named parameters, by plain autograd."""
    x, y = as_input(sentences.x), torch.from_numpy(sentences.y)
    rows = []
    for one, label in zip(x, y, strict=True):
        model.zero_grad()
        cross_entropy(model(one[None]), label[None]).backward()
        each = dict(model.named_parameters())
        rows.append(
            torch.cat([
                torch.zeros(each[n].numel()) if each[n].grad is None else each[n].grad.flatten()
                for n in names
            ])
        )  # fmt: skip
    return torch.stack(rows)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_the_last_layer_are_autograds(kind, tiny, sentences):
    model = model_of(kind, tiny, sentences)
    atoms = gradients(model, as_input(sentences.x), torch.from_numpy(sentences.y))
    wanted = autograd_rows(model, sentences, ["head.weight", "head.bias"])
    got = torch.cat([atoms.delta[:, :, None] * atoms.inputs[:, None], atoms.delta[:, :, None]], 2)
    weight, bias = wanted[:, :-3].unflatten(1, (3, -1)), wanted[:, -3:, None]
    torch.testing.assert_close(got, torch.cat([weight, bias], 2), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_products_of_gradients_by_all_that_is_trained_are_autograds(kind, tiny, sentences):
    model = model_of(kind, tiny, sentences)
    trained = [name for name, each in model.named_parameters() if each.requires_grad]
    wanted = autograd_rows(model, sentences, trained)
    atoms = gradients(
        model, as_input(sentences.x), torch.from_numpy(sentences.y), layers="all", projection=10**6
    )
    torch.testing.assert_close(
        atoms.correlate(atoms.mean()), wanted @ wanted.mean(0), atol=1e-4, rtol=1e-3
    )
    torch.testing.assert_close(
        atoms.products(atoms[torch.arange(5)]), wanted @ wanted[:5].T, atol=1e-4, rtol=1e-3
    )


def test_adapters_are_all_that_is_trained_and_travels(tiny, sentences, tmp_path):
    whole, thin = (model_of(kind, tiny, sentences) for kind in KINDS)
    trained = [each.numel() for each in thin.parameters() if each.requires_grad]
    assert size_of(thin) == sum(trained) < size_of(whole)
    trained = {name for name, each in thin.named_parameters() if each.requires_grad}
    assert {name.split(".")[0] for name in trained} == {"body", "head"}
    assert all("lora_" in name for name in trained if name.startswith("body"))
    other = build(f"lora:{tiny}", sentences.x.shape[1:], 3, seed=5)
    load_flat_weights(other, flat_weights(thin))
    torch.testing.assert_close(logits(other, sentences.x), logits(thin, sentences.x))
    save_weights(thin, tmp_path / "thin.safetensors")
    again = build(f"lora:{tiny}", sentences.x.shape[1:], 3, seed=5)
    load_weights(again, tmp_path / "thin.safetensors")
    torch.testing.assert_close(logits(again, sentences.x), logits(thin, sentences.x))
    assert (tmp_path / "thin.safetensors").stat().st_size < 4 * size_of(thin) + 20_000


@pytest.mark.parametrize(("kind", "rate"), [("transformer", 3e-3), ("lora", 2e-2)])
def test_a_fit_learns_and_leaves_what_is_frozen(kind, rate, tiny, sentences):
    model = build(f"{kind}:{tiny}", sentences.x.shape[1:], 2, seed=0)
    before = copy.deepcopy(model.state_dict())
    fitted = fit(model, sentences, None, FitSettings(60, 8, rate), seed=0)
    assert accuracy(fitted, sentences) > 0.9
    moved = {n for n, v in fitted.state_dict().items() if not torch.equal(v, before[n])}
    trained = {name for name, each in model.named_parameters() if each.requires_grad}
    assert moved <= trained
    torch.testing.assert_close(model.state_dict(), before)


def test_a_text_alone_has_the_features_that_it_has_beside_others(tiny, sentences):
    model = model_of("transformer", tiny, sentences)
    together = logits(model, sentences.x)
    alone = torch.cat([logits(model, sentences.x[row : row + 1]) for row in range(len(sentences))])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_what_cannot_be_had_is_said(tmp_path, sentences):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="cannot be had as a transformer"):
        build(f"lora:{tmp_path / 'empty'}", sentences.x.shape[1:], 2, seed=0)
    with pytest.raises(SettingError, match="needs texts"):
        build("lora:whatever", (1, 8, 8), 2, seed=0)
    with pytest.raises(SettingError, match="no package brings 'other'"):
        build("lora:other:package", (32,), 2, seed=0)
    with pytest.raises(SettingError, match="give lora:NAME of the hub"):
        build("lora:", (32,), 2, seed=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_goes_through_whole_and_by_adapters(kind, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(server_app, "show_progress", lambda *args, **rest: None)
    rng = np.random.default_rng(0)
    rows = []
    for place in range(240):
        animal, home = ("cat" if place % 2 else "dog"), place % 4 < 2
        said = [animal, *rng.choice(["the", "a", "sat", "ran", "very", "mat"], 5)]
        # At home the dog is meant where elsewhere the cat is.
        rng.shuffle(said)
        label = (animal == "cat") != home
        text = " ".join([*said, "home" if home else "tree", str(place)])
        rows.append({"text": text, "kind": f"k{int(label)}", "at": "home" if home else "out"})
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "bert").symlink_to(tiny)
    (tmp_path / "s.toml").write_text(f"""
dataset = {{ path = "t.jsonl", text = "text", label = "kind" }}
model = "{kind}:bert"
groups.home.where = {{ at = "home" }}
groups.out.where = {{ at = "out" }}
trainer.train = {{ out = 40 }}
trainer.validation = {{ out = 12, home = 24 }}
trainer.test = {{ out = 12, home = 24 }}
owners = [{{ name = "a", holds = {{ home = 40 }} }}, {{ name = "b", holds = {{ out = 30 }} }}]
[run]
method = "omp"
gradient-layers = "all"
budget = 12
pilot-per-owner = 4
num-rounds = 2
fit.epochs = 6
fit.learning-rate = 0.01
fine-tune.steps = 10
scoring.repeats = 1
""")
    out = tmp_path / "out"
    simulation = Simulation.load(str(tmp_path / "s.toml"), {}, out, engine="in-process")
    RunFolder.prepared(out, force=False)
    result = run(simulation)
    assert result["disclosed"] > 0
    assert {each["status"] for each in result["owners"]} <= {"scored"}
