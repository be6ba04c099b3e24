"""A trainer's folder: made whole or not at all, read strictly."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from clients.owner.setup import write_supernode_key
from mycroft_fl.errors import InputError
from mycroft_fl.protocol.keys import KeyPair, PublicKey
from strategies.deployment.certificates import certify
from strategies.deployment.superlink import admit, dismiss, superlink_command
from strategies.deployment.trainer_folder import AdmittedOwner, TrainerFolder, make_trainer

VAULT = KeyPair.generate().public


@pytest.fixture
def trainer(tmp_path: Path) -> TrainerFolder:
    return make_trainer(tmp_path / "lab", "lab", "localhost", port=9092, listen="127.0.0.1")


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A SuperNode's and a vault's public keys."""
    write_supernode_key(tmp_path / "node", "a")
    (tmp_path / "vault.pub").write_text(VAULT.text("a") + "\n")
    return tmp_path / "node.pub", tmp_path / "vault.pub"


def test_it_is_read_as_it_was_made(trainer: TrainerFolder) -> None:
    assert TrainerFolder.load(trainer.path) == trainer
    assert trainer.key.public == PublicKey.load(trainer.path / "trainer.pub")
    assert stat.S_IMODE(trainer.path.stat().st_mode) == 0o700
    assert trainer.owners() == {}


def test_an_existing_folder_is_left_alone(trainer: TrainerFolder) -> None:
    key = (trainer.path / "trainer.key").read_text()
    with pytest.raises(InputError, match="is there already; give a new or an empty folder"):
        make_trainer(trainer.path, "lab", "localhost", port=1, listen="127.0.0.1")
    assert (trainer.path / "trainer.key").read_text() == key


@pytest.mark.parametrize(
    ("name", "port", "error"),
    [("a/b", 1, "name is 'a/b'"), ("lab", 0, "port is 0; give 1 to 65535")],
)
def test_what_is_wrong_leaves_nothing(tmp_path: Path, name: str, port: int, error: str) -> None:
    with pytest.raises(InputError, match=error):
        make_trainer(tmp_path / "lab", name, "localhost", port=port, listen="127.0.0.1")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_trainers_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no trainer's folder; `mycroft-fl trainer init` makes"):
        TrainerFolder.load(tmp_path)


def test_owners_are_remembered_until_removed(trainer: TrainerFolder, keys) -> None:
    # Flower's node ids need all of 64 bits: as a float one would be another.
    owner = AdmittedOwner("a", VAULT, 2**64 - 1)
    trainer.add_owner(owner, keys[0])
    assert trainer.owners() == {"a": owner}
    (trainer.path / "owners" / "a" / "node.json").write_text("{}")
    with pytest.raises(InputError, match="is no admitted owner; admit it again"):
        trainer.owners()
    trainer.remove_owner("a")
    assert trainer.owners() == {}


def test_bad_keys_and_names_are_said_before_the_superlink_is_asked(trainer, keys, tmp_path) -> None:
    with pytest.raises(InputError, match=r"an owner's name is '\.\.'"):
        admit(trainer, "..", *keys)
    with pytest.raises(InputError, match="cannot be read as a key"):
        admit(trainer, "a", keys[0], tmp_path / "none")
    with pytest.raises(InputError, match=r"no file .*none; the owner's `owner init` made it"):
        admit(trainer, "a", tmp_path / "none", keys[1])
    with pytest.raises(InputError, match="no owner 'a' was admitted; there are"):
        dismiss(trainer, "a")


def test_new_keys_of_the_vault_alone_need_no_superlink(trainer: TrainerFolder, keys) -> None:
    trainer.add_owner(AdmittedOwner("a", KeyPair.generate().public, 7), keys[0])
    assert admit(trainer, "a", *keys) == AdmittedOwner("a", VAULT, 7)
    assert trainer.owners()["a"].vault == VAULT


def test_the_superlink_is_not_served_with_an_expired_certificate(trainer, caplog) -> None:
    command = superlink_command(trainer)
    assert "--enable-supernode-auth" in command
    assert "--insecure" not in command
    certify(trainer.certs, [trainer.host], days=5)
    superlink_command(trainer)
    assert "runs out on" in caplog.text
    certify(trainer.certs, [trainer.host], days=-1)
    with pytest.raises(InputError, match=r"ran out on .*; make another with `mycroft-fl trainer"):
        superlink_command(trainer)
