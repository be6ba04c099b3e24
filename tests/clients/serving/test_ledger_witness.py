"""A ledger that is gone, head and all, is not begun anew: a witness in the owner's folder knows of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path

import pytest

from clients.owner.check import check
from clients.owner.file import WITNESS, load_owner_file
from clients.owner.load import open_vault
from mycroft_fl.errors import InputError
from mycroft_fl.privacy.spending.ledger import PrivacyLedger

GONE = "is not there, but .* says that it has reached entry 1"
LEDGER = ("ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm", "ledger.head", "ledger.lock")


@pytest.fixture
def sold(make_hospital: Callable) -> Callable:
    """A hospital that has handed over examples once."""

    def make(**vault: str):
        given = make_hospital(**vault)
        open_vault(given.file).answer(given.request(), given.file.policy.trainers[0].peer)
        return given

    return make


def without_ledger(folder: Path) -> None:
    for name in LEDGER:
        (folder / name).unlink(missing_ok=True)


def refused(given) -> None:
    file = load_owner_file(given.folder / "owner.toml")
    for _ in range(2):  # the first attempt must not open the door to the second
        for opened in (open_vault, check):
            with pytest.raises(InputError, match=GONE):
                opened(file)


def test_a_ledger_removed_with_its_head_is_missed(sold: Callable) -> None:
    given = sold()
    without_ledger(given.folder)
    refused(given)
    assert not (given.folder / "ledger.sqlite").exists()


def test_a_path_changed_in_the_owners_file_buys_no_new_budget(sold: Callable) -> None:
    given = sold()
    path = given.folder / "owner.toml"
    path.write_text('ledger = "fresh.sqlite"\n' + path.read_text())
    refused(given)


def test_another_ledger_with_its_own_head_does_not_pass_for_the_one_that_was_begun(
    sold: Callable,
) -> None:
    given = sold()
    without_ledger(given.folder)
    PrivacyLedger(given.folder / "ledger.sqlite")
    with pytest.raises(InputError, match=r"is not the ledger that reached entry 1 by .*witness"):
        open_vault(given.file)


def test_the_ledger_brought_back_goes_on(sold: Callable, tmp_path: Path) -> None:
    given = sold()
    kept = {
        name: (given.folder / name).read_bytes()
        for name in LEDGER
        if (given.folder / name).exists()
    }
    without_ledger(given.folder)
    refused(given)
    for name, content in kept.items():
        (given.folder / name).write_bytes(content)
    assert len(given.ledger_rows()) == 1
    open_vault(given.file)


def test_a_key_kept_elsewhere_is_a_witness_too(sold: Callable, tmp_path: Path) -> None:
    given = sold()
    keys = tmp_path / "keys"
    keys.mkdir()
    shutil.move(given.folder / "vault.key", keys / "vault.key")
    path = given.folder / "owner.toml"
    text = path.read_text().replace("[vault]", f'[vault]\nkey = "{keys / "vault.key"}"')
    path.write_text(text)
    open_vault(load_owner_file(path))  # it is told of what there is
    without_ledger(given.folder)
    (given.folder / WITNESS).unlink()
    refused(given)


def test_a_person_who_means_it_begins_anew_by_taking_the_witness_away(sold: Callable) -> None:
    given = sold()
    without_ledger(given.folder)
    (given.folder / WITNESS).unlink()
    open_vault(given.file)
    assert given.ledger_rows() == []


def test_a_new_folder_and_a_ledger_of_before_there_were_witnesses_need_nothing(
    sold: Callable, make_hospital: Callable
) -> None:
    open_vault(make_hospital().file)
    given = sold()
    (given.folder / WITNESS).unlink()
    open_vault(given.file)
    assert (given.folder / WITNESS).stat().st_mode & 0o777 == 0o600
    without_ledger(given.folder)
    refused(given)


PLACES = {
    "ledger": ("ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"),
    "head": ("ledger.head",),
    "witness": (WITNESS,),
}
SOME = [set(each) for n in range(1, 4) for each in combinations(PLACES, n)]


def taken_from(folder: Path, gone: Iterable[str]) -> None:
    for name in (name for each in gone for name in PLACES[each]):
        (folder / name).unlink(missing_ok=True)


@pytest.mark.parametrize("gone", SOME, ids=lambda each: "-".join(sorted(each)))
def test_whatever_is_taken_away_no_budget_begins_anew_while_anything_is_left(
    sold: Callable, gone: set[str]
) -> None:
    given = sold()
    taken_from(given.folder, gone)
    if gone == set(PLACES):
        open_vault(given.file)  # nothing is left that knows: the page for owners says so
        return
    if gone == {"witness"}:
        open_vault(given.file)
        assert len(given.ledger_rows()) == 1
        return
    for _ in range(2):
        with pytest.raises(InputError, match="bring"):
            open_vault(given.file)


@pytest.mark.parametrize("older", SOME[:-1], ids=lambda each: "-".join(sorted(each)))
def test_an_older_copy_of_some_parts_never_passes_for_the_latest(
    sold: Callable, tmp_path: Path, older: set[str]
) -> None:
    given, kept = sold(), tmp_path / "kept"
    shutil.copytree(given.folder, kept, ignore=shutil.ignore_patterns("*.sock"))
    later = given.request(server_round=2, k=3)
    open_vault(given.file).answer(later, given.file.policy.trainers[0].peer)
    assert len(given.ledger_rows()) == 2
    for name in (name for each in older for name in PLACES[each]):
        (given.folder / name).unlink(missing_ok=True)
        if (kept / name).exists():
            shutil.copy(kept / name, given.folder / name)
    if "ledger" in older:
        with pytest.raises(InputError, match="bring the latest one back"):
            open_vault(given.file)
    else:
        open_vault(given.file)  # nothing is lost: an older head holds nothing against the latest
        assert len(given.ledger_rows()) == 2


@pytest.mark.parametrize("which", ["ledger.head", WITNESS])
@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", "\u00b2 1 a b".encode(), b"1 1 " + b"a" * 5000, None]
)
def test_a_head_that_is_none_is_said_to_be_none(
    sold: Callable, which: str, content: bytes | None
) -> None:
    given = sold()
    path = given.folder / which
    path.unlink()
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=f"{which} is no ledger's head; bring the right one back"):
        open_vault(given.file)
