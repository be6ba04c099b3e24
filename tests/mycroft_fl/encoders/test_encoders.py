"""Encoders give what their libraries give; embeddings are computed once for each content."""

from __future__ import annotations

import logging
import socket
import urllib.request

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from mycroft_fl.data.formats.cache import cache_folder
from mycroft_fl.encoders import embeddings
from mycroft_fl.encoders import pretrained as encoders
from mycroft_fl.encoders.embeddings import Embeddings, embeddings_of
from mycroft_fl.encoders.pretrained import open_encoder
from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.examples import Examples
from mycroft_fl.models.fitting import FitSettings, fit
from mycroft_fl.models.frozen import FrozenBody
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import flat_weights
from mycroft_fl.privacy.relevance.hard_set_target import RecordView, Target
from mycroft_fl.settings.space_names import EncoderName, check_space, encoder_name, from_folder

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 3, 40, 40), dtype=np.uint8)
SMALL = "timm:mobilenetv3_small_050:none@32"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    embeddings._shared.cache_clear()


def as_pil(images: np.ndarray) -> list[Image.Image]:
    return [Image.fromarray(image.transpose(1, 2, 0)) for image in images]


@pytest.mark.filterwarnings("ignore")
def test_open_clip_with_a_local_checkpoint_gives_what_open_clip_gives(tmp_path):
    import open_clip

    torch.manual_seed(3)
    model, _, prepare = open_clip.create_model_and_transforms("ViT-S-32-alt", pretrained=None)
    torch.save(model.state_dict(), tmp_path / "clip.pt")
    model.eval()
    with torch.no_grad():
        wanted = model.encode_image(torch.stack([prepare(each) for each in as_pil(IMAGES)]))
    ours = open_encoder(encoder_name(f"open_clip:ViT-S-32-alt:{tmp_path}/clip.pt"))(IMAGES)
    np.testing.assert_array_equal(ours, wanted.numpy())


def test_torchvision_with_a_local_checkpoint_gives_its_last_hidden_layer(tmp_path):
    from torchvision import models

    network = models.resnet18()
    save_file(network.state_dict(), tmp_path / "net.safetensors")
    ours = open_encoder(encoder_name(f"torchvision:resnet18:{tmp_path}/net.safetensors@64"))(IMAGES)
    prepare = models.ResNet18_Weights.DEFAULT.transforms(crop_size=64, resize_size=64)
    network.fc = torch.nn.Identity()
    with torch.no_grad():
        wanted = network.eval()(torch.stack([prepare(each) for each in as_pil(IMAGES)]))
    np.testing.assert_array_equal(ours, wanted.numpy())


def test_timm_with_a_local_checkpoint_gives_its_last_hidden_layer(tmp_path):
    import timm

    network = timm.create_model("mobilenetv3_small_050", pretrained=False)
    save_file(network.state_dict(), tmp_path / "net.safetensors")
    name = f"timm:mobilenetv3_small_050:{tmp_path}/net.safetensors"
    ours = open_encoder(encoder_name(name))(IMAGES)
    prepare = timm.data.create_transform(**timm.data.resolve_data_config({}, model=network))
    network.reset_classifier(0)
    with torch.no_grad():
        wanted = network.eval()(torch.stack([prepare(each) for each in as_pil(IMAGES)]))
    np.testing.assert_array_equal(ours, wanted.numpy())


@pytest.mark.parametrize("name", [SMALL, "torchvision:mobilenet_v3_small:none@32"])
def test_an_image_brought_to_a_size_keeps_its_edges(name):
    edged = np.zeros((32, 32, 3), np.uint8)
    edged[0] = edged[-1] = 255
    seen = open_encoder(encoder_name(name)).prepare(Image.fromarray(edged))
    assert seen.shape == (3, 32, 32)
    assert (seen[:, [0, -1]] > seen[:, 5:-5].amax()).all()


def test_many_images_come_block_by_block_from_memory_disk_and_encoder(tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "BLOCK", 2)
    monkeypatch.setattr(embeddings, "AT_HAND", 2000)  # less than two embeddings
    mixed = IMAGES[[0, 1, 0, 2, 3, 4, 1]]
    wanted = open_encoder(encoder_name(SMALL))(IMAGES)[[0, 1, 0, 2, 3, 4, 1]]
    found, scale = Embeddings(encoder_name(SMALL), tmp_path), np.abs(wanted).max()
    for _ in range(2):
        np.testing.assert_allclose(found.of(mixed) / scale, wanted / scale, atol=1e-3)
    assert found.of(IMAGES[:0]).shape == (0, wanted.shape[1])


def test_a_second_process_reads_and_another_image_or_checkpoint_does_not(tmp_path, monkeypatch):
    first = embeddings_of(SMALL).of(IMAGES)
    embeddings._shared.cache_clear()  # as in another process

    def never(name):
        raise AssertionError("the encoder was loaded")

    with monkeypatch.context() as patch:
        patch.setattr(embeddings, "open_encoder", never)
        np.testing.assert_array_equal(embeddings_of(SMALL).of(IMAGES[::-1]), first[::-1])
        with pytest.raises(AssertionError, match="was loaded"):
            embeddings_of(SMALL).of(IMAGES + 1)
        with pytest.raises(AssertionError, match="was loaded"):
            embeddings_of(SMALL.replace("@32", "@33")).of(IMAGES)


def test_a_changed_checkpoint_is_another_encoder(tmp_path):
    import timm

    network, path = timm.create_model("mobilenetv3_small_050"), tmp_path / "net.safetensors"
    name, found = f"timm:mobilenetv3_small_050:{path}@32", []
    for _ in range(2):
        save_file(network.state_dict(), path)
        found.append(embeddings_of(name).of(IMAGES))
        with torch.no_grad():
            network.conv_stem.weight.mul_(-1)
    assert not np.allclose(found[0], found[1])


def test_an_image_that_stands_twice_is_embedded_once(tmp_path, caplog):
    doubled = np.concatenate([IMAGES, IMAGES])
    found = Embeddings(encoder_name(SMALL), tmp_path).of(doubled)
    np.testing.assert_array_equal(found[:5], found[5:])


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, caplog):
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        assert len(Embeddings(encoder_name(SMALL), tmp_path / "file").of(IMAGES)) == 5
    assert "cannot keep embeddings" in caplog.text


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("open_clip:ViT-B-32:no-such-tag", "without a network give a checkpoint's path"),
        ("open_clip:ViT-X:none", "unknown architecture 'ViT-X'"),
        ("torchvision:resnet17:none", "did you mean 'resnet1"),
        ("torchvision:resnet18:IMAGENET", "unknown weights"),
        ("timm:no_such_net:none", "unknown architecture 'no_such_net'; timm lists"),
        ("timm:resnet18:/no/such/file.pt", "there is no file /no/such/file.pt"),
    ],
)
def test_what_cannot_be_opened_is_one_line(name, words):
    with pytest.raises((DataError, SettingError)) as caught:
        open_encoder(encoder_name(name))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore")
def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch):
    import open_clip

    def offline(*args, **rest):
        raise OSError("We couldn't connect to the hub\nCheck your connection")

    monkeypatch.setattr(open_clip.factory, "download_pretrained", offline)
    with pytest.raises(
        DataError, match="weights 'openai' cannot be had; without a network"
    ) as caught:
        open_encoder(encoder_name("open_clip:ViT-B-32:openai"))
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    ["open_clip:hf-hub:nobody/nothing", "open_clip:ViT-B-32:openai", "timm:resnet18:DEFAULT"],
)
def test_without_a_network_the_hub_is_not_asked_and_nothing_else_is_printed(
    name, monkeypatch, capfd, caplog
):
    from huggingface_hub import constants

    def unknown(*args, **rest):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr(urllib.request, "getproxies", dict)
    with pytest.raises(DataError, match="cannot be had; without a network give a") as caught:
        open_encoder(encoder_name(name))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""
    assert caplog.text == ""
    assert not constants.HF_HUB_OFFLINE
    assert logging.root.manager.disable == 0


def test_a_checkpoint_that_does_not_fit_is_told_with_its_path(tmp_path):
    (tmp_path / "junk.pt").write_bytes(b"junk")
    with pytest.raises(DataError, match=r"the file .*junk\.pt does not fit"):
        open_encoder(encoder_name(f"timm:resnet18:{tmp_path}/junk.pt"))


def test_names_are_taken_apart_and_put_together(tmp_path):
    name = encoder_name("open_clip:hf-hub:apple/MobileCLIP@64")
    assert name == EncoderName("open_clip", "hf-hub", "apple/MobileCLIP", 64)
    assert name.path is None
    assert str(encoder_name("timm:a:b@9")) == "timm:a:b@9"
    (tmp_path / "w.pt").touch()
    assert from_folder("linear:timm:a:w.pt@9", tmp_path) == f"linear:timm:a:{tmp_path}/w.pt@9"
    assert from_folder("mlp", tmp_path) == "mlp"
    for wrong in ("pixel", "timm:resnet18", "open_clip::x", "timm:a:b@0", "timm:a:b@x"):
        with pytest.raises(SettingError):
            check_space(wrong)


def test_a_linear_head_on_a_frozen_encoder_has_only_its_head_to_send():
    model = build(f"linear:{SMALL}", (3, 40, 40), 4, seed=0)
    x = torch.from_numpy(IMAGES).float() / 255
    vectors = embeddings_of(SMALL).of(IMAGES)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    width = vectors.shape[1]
    np.testing.assert_allclose(model.features(x).numpy(), unit * np.sqrt(width), rtol=1e-5)
    assert len(flat_weights(model)) == 4 * (width + 1)


def test_a_head_is_fitted_on_features_as_the_whole_network_would_be():
    model = build(f"linear:{SMALL}", (3, 40, 40), 3, seed=0)
    train = Examples(np.repeat(IMAGES, 4, axis=0), np.arange(20) % 3)
    ours = fit(model, train, None, FitSettings(3, 4, 1e-2), seed=1)
    x = torch.from_numpy(train.x).float() / 255
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, fused=True)
    rng = np.random.default_rng(1)
    for _ in range(3):
        for batch in np.array_split(rng.permutation(20), 5):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(
                model(x[batch]), torch.from_numpy(train.y[batch])
            )
            loss.backward()
            optimizer.step()
    np.testing.assert_allclose(flat_weights(ours), flat_weights(model), atol=1e-6)


@pytest.mark.unchecked
def test_vectors_are_refused_with_what_would_do():
    with pytest.raises(DataError, match="standardised or binning for tables"):
        embeddings_of(SMALL).of(np.zeros((3, 4), np.float32))
    with pytest.raises(SettingError, match="needs images"):
        build(f"linear:{SMALL}", (4,), 2, seed=0)
    assert Examples(IMAGES, np.zeros(5, np.int64)).x.ndim == 4


@pytest.mark.parametrize("name", [SMALL, "torchvision:mobilenet_v3_small:none@32"])
def test_an_image_embedded_alone_looks_the_same_to_the_last_bit_whatever_was_kept_before(name):
    images = IMAGES[:5]
    body = build(f"linear:{name}", images.shape[1:], 2, seed=0)
    examples = Examples(images, np.zeros(len(images), np.int64))
    beside = embeddings_of(name).of(images)  # in a batch, and kept
    seen = RecordView.through(body, examples).inputs
    assert not body.body.alone  # as it was before
    embeddings._shared.cache_clear()
    for path in cache_folder().glob("embeddings-*.sqlite"):
        path.unlink()
    for place in reversed(range(len(images))):
        one = RecordView.through(body, examples[np.array([place])]).inputs
        assert np.array_equal(one[0], seen[place])
    assert np.allclose(embeddings_of(name).of(images, alone=True), beside, rtol=1e-3, atol=1e-3)


def test_a_target_looks_the_same_whatever_an_owner_has_kept_of_its_images():
    images = IMAGES[:4]
    model = build(f"linear:{SMALL}", images.shape[1:], 2, seed=0)
    hard = Examples(images[:2], np.zeros(2, np.int64))
    embeddings_of(SMALL).of(images)  # the owner's own, in one batch
    beside = Target.of(model, hard)
    embeddings._shared.cache_clear()
    for path in cache_folder().glob("embeddings-*.sqlite"):
        path.unlink()
    assert Target.of(model, hard).digest == beside.digest


def test_an_image_whose_embedding_is_not_finite_is_no_error_that_tells_of_it(monkeypatch):
    def broken(self, images):
        return np.full((len(images), 8), np.nan, np.float32)

    monkeypatch.setattr(encoders.Encoder, "__call__", broken)
    model = build("linear", (8,), 2, seed=0)
    model.body = FrozenBody(SMALL)
    seen = RecordView.through(model, Examples(IMAGES[:3], np.zeros(3, np.int64)))
    assert np.isnan(seen.inputs).all()
    assert np.isnan(seen.deltas(model.head)).all()
    with pytest.raises(DataError, match="values that are not finite"):
        embeddings_of(SMALL).of(IMAGES[:3])
