"""Whom an owner answers no more, by which key it knows the others, and how a vault is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clients.owner.file import OwnerFile, load_owner_file
from clients.owner.live_file import LiveFile
from clients.owner.load import check_trainers
from clients.owner.lock import STOPPED, alone, stop
from clients.owner.revoking import readmit, revoke, rotate
from mycroft_fl.cli.owner import owner as command
from mycroft_fl.errors import InputError
from mycroft_fl.protocol.keys import KeyPair, PublicKey

LAB, CLINIC = (KeyPair.generate().public for _ in range(2))
TOML = """# kept as it is
name = "bank"
[[trainers]]  # the first
name = "lab"
key = "lab.pub"

[[trainers]]
name = "clinic"
key = "clinic.pub"
max-records = 5

[policy]
modes = ["raw"]  # no more
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, key in (("lab", LAB), ("clinic", CLINIC)):
        (tmp_path / f"{name}.pub").write_text(key.text(name))
    (tmp_path / "owner.toml").write_text(TOML)
    return tmp_path


def read(folder: Path) -> OwnerFile:
    return load_owner_file(folder / "owner.toml")


def names(folder: Path) -> list[str]:
    return [each.name for each in read(folder).admitted]


def relisted(folder: Path, name: str = "lab", key: str = "lab.pub") -> None:
    path = folder / "owner.toml"
    path.write_text(f'{path.read_text()}\n[[trainers]]\nname = "{name}"\nkey = "{key}"\n')


def test_a_revoked_trainer_is_out_and_the_rest_of_the_file_stands_as_it_was(folder: Path) -> None:
    assert revoke(read(folder), "lab")
    assert names(folder) == ["clinic"]
    text = (folder / "owner.toml").read_text()
    assert text == TOML.replace('[[trainers]]  # the first\nname = "lab"\nkey = "lab.pub"\n\n', "")
    check_trainers(read(folder))


@pytest.mark.parametrize("name", ["lab", "laboratory"])
def test_a_revoked_key_is_not_listed_again_by_accident(folder: Path, name: str) -> None:
    revoke(read(folder), "lab")
    relisted(folder, name)
    assert names(folder) == ["clinic"]
    with pytest.raises(InputError, match=f"trainer '{name}' is revoked, .*owner readmit"):
        check_trainers(read(folder))


def test_a_revoked_name_is_not_listed_again_with_another_key(folder: Path) -> None:
    revoke(read(folder), "lab")
    (folder / "lab.pub").write_text(KeyPair.generate().public.text())
    relisted(folder)
    assert names(folder) == ["clinic"]


def test_who_is_let_in_again_may_be_listed(folder: Path) -> None:
    revoke(read(folder), "lab")
    relisted(folder)
    assert readmit(read(folder), "lab") == [LAB.fingerprint]
    assert sorted(names(folder)) == ["clinic", "lab"]
    check_trainers(read(folder))
    with pytest.raises(InputError, match="no trainer 'lab' is revoked; revoked: nobody"):
        readmit(read(folder), "lab")


def test_where_the_table_is_written_otherwise_it_is_out_all_the_same(folder: Path) -> None:
    lab, clinic = '{ name = "lab", key = "lab.pub" }', '{ name = "clinic", key = "clinic.pub" }'
    (folder / "owner.toml").write_text(f"trainers = [{lab}, {clinic}]\n")
    printed = CliRunner().invoke(command, ["revoke", str(folder), "lab"])
    assert printed.output.startswith("lab is revoked\nnow take it out of ")
    assert names(folder) == ["clinic"]


def test_a_file_as_init_writes_it_loses_that_line_alone(folder: Path) -> None:
    import tomli_w

    both = [{"name": "lab", "key": "lab.pub"}, {"name": "clinic", "key": "clinic.pub"}]
    before = tomli_w.dumps({"name": "bank", "trainers": both})
    (folder / "owner.toml").write_text(before)
    assert revoke(read(folder), "clinic")
    after = (folder / "owner.toml").read_text().splitlines()
    assert [line for line in before.splitlines() if line not in after] == [
        '    { name = "clinic", key = "clinic.pub" },'
    ]


def test_who_is_not_listed_cannot_be_revoked(folder: Path) -> None:
    with pytest.raises(InputError, match="no trainer 'labb' with a key is listed; listed: lab, cl"):
        revoke(read(folder), "labb")


def test_a_rotated_key_takes_the_earlier_ones_place_and_that_stays_out(folder: Path) -> None:
    new = KeyPair.generate().public
    rotate(read(folder), "lab", new)
    assert PublicKey.load(folder / "lab.pub") == new
    assert {each.name: each.key for each in read(folder).admitted} == {"lab": new, "clinic": CLINIC}
    (folder / "lab.pub").write_text(LAB.text())
    assert names(folder) == ["clinic"]
    (folder / "lab.pub").write_text(new.text())
    with pytest.raises(InputError, match="was replaced before"):
        rotate(read(folder), "clinic", LAB)
    with pytest.raises(InputError, match="the key of 'clinic' already"):
        rotate(read(folder), "clinic", CLINIC)


def test_one_key_under_two_names_and_one_name_twice_are_refused(folder: Path) -> None:
    whole = (folder / "owner.toml").read_text()
    relisted(folder, "other", "lab.pub")
    with pytest.raises(InputError, match="'lab' and 'other' have one key; keep one"):
        read(folder)
    (folder / "owner.toml").write_text(whole)
    (folder / "new.pub").write_text(KeyPair.generate().public.text())
    relisted(folder, "lab", "new.pub")
    with pytest.raises(InputError, match=r"'lab' is listed twice; .*owner rotate"):
        read(folder)


def test_a_list_of_revoked_trainers_that_is_none_closes_the_vault(folder: Path) -> None:
    live = LiveFile(read(folder))
    live.current()
    for broken in ("{", "[1]", '[{"trainer": 1, "key": "", "why": "", "at": ""}]'):
        (folder / "revoked.json").write_text(broken)
        with pytest.raises(InputError, match="is not the list of revoked trainers"):
            live.current()
    (folder / "revoked.json").unlink()
    assert live.current().admitted == read(folder).admitted


def test_a_file_that_did_not_change_is_the_same_object_and_any_changed_byte_is_seen(
    folder: Path,
) -> None:
    live = LiveFile(read(folder))
    first = live.current()
    assert live.current() is first
    # The same length and the same time stamp.
    for name, old, new in (("owner.toml", "= 5", "= 6"), ("lab.pub", LAB.text(), CLINIC.text())):
        path = folder / name
        times, whole = path.stat(), path.read_text()
        path.write_text(whole.replace(old, new))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        if name == "owner.toml":
            assert live.current() is not first
            assert live.current().policy.trainers[1].max_records == 6
        else:
            with pytest.raises(InputError, match="have one key"):
                live.current()


# Stopping

SERVER = """
import os, sys, time
from pathlib import Path
from clients.owner.file import load_owner_file
from clients.owner.lock import alone, is_stopped
file = load_owner_file(Path(sys.argv[1]) / "owner.toml")
print("ready", flush=True)
sys.stdin.readline()
with alone(file):
    while True:
        if not is_stopped(file.folder):
            with open(file.folder / "answers", "a") as answers:
                answers.write("x")
"""


def answers(folder: Path) -> int:
    return (folder / "answers").stat().st_size if (folder / "answers").exists() else 0


def race(folder: Path, delay: float) -> None:
    """A vault that opens while it is stopped: nothing leaves once `stop` has returned."""
    (folder / STOPPED).unlink(missing_ok=True)
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(folder)], cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdout.readline()
        server.stdin.write("\n")
        server.stdin.flush()
        time.sleep(delay)
        stop(read(folder))
        left = answers(folder)
        assert (folder / STOPPED).exists()
        server.wait(20)
        time.sleep(0.02)
        assert answers(folder) == left
    finally:
        server.kill()
        server.wait()
        server.stdin.close()
        server.stdout.close()


@pytest.mark.slow
def test_once_stop_has_returned_nothing_leaves_however_a_vault_opens_meanwhile(
    folder: Path,
) -> None:
    for number in range(10):
        race(folder, delay=number * 0.0005)


def test_a_vault_that_opens_while_it_is_stopped_stays_closed(folder: Path) -> None:
    """The mark is looked at under the lock: set between, it is seen."""
    file = read(folder)
    (folder / STOPPED).touch()
    with pytest.raises(InputError, match="was stopped by `owner stop`"), alone(file):
        raise AssertionError
    with alone(file, after_stop=True):
        assert not (folder / STOPPED).exists()
    assert stop(file) is False


def test_stop_waits_for_the_lock_and_leaves_the_mark_though_it_was_taken_away(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, output = read(folder), []
    held = alone(file, after_stop=True)
    held.__enter__()

    def ends(pid: int, number: int) -> None:
        output.append((pid, number))
        # As one that was opened with --after-stop in this very moment.
        (folder / STOPPED).unlink(missing_ok=True)
        held.__exit__(None, None, None)

    monkeypatch.setattr(os, "kill", ends)
    assert stop(file) is True
    assert output == [(os.getpid(), signal.SIGTERM)]
    assert (folder / STOPPED).exists()


def test_a_number_left_by_a_dead_server_is_nobodys_to_be_killed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has just taken the lock has not written its own yet: the old one is read once."""
    file = read(folder)
    (folder / "vault.lock").write_text("1")
    killed: list[Any] = []
    monkeypatch.setattr(os, "kill", lambda *output: killed.append(output))
    assert stop(file) is False
    assert killed == []
