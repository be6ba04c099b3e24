"""`mycroft-fl owner`: an owner's folder is made whole or not at all, and says what it would share."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from clients.owner.file import load_owner_file
from mycroft_fl.cli.owner import owner
from mycroft_fl.errors import InputError
from mycroft_fl.protocol.keys import KeyPair, PublicKey

Hospital = Any


@pytest.fixture(scope="module")
def given(make_hospital: Callable[..., Hospital]) -> Hospital:
    """What an owner has before it begins: a table, the trainer's task and its key."""
    return make_hospital()


def invoked(*arguments: str) -> Any:
    result = CliRunner().invoke(owner, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def init(given: Hospital, folder: Path, *more: str) -> Any:
    base = given.base
    return invoked(
        "init", str(folder), "--data", str(base / "patients.csv"), "--label", "outcome",
        "--task", str(base / "task.json"), "--trainer", f"lab={base / 'lab.pub'}", *more,
    )  # fmt: skip


MARKS = ("--unit-id", "patient", "--shareable", "consented")


def test_a_new_folder_holds_all_it_takes_and_is_its_users_alone(
    given: Hospital, tmp_path: Path
) -> None:
    folder = tmp_path / "clinic"
    said = init(given, folder, "--mode", "raw", "--max-records", "7", *MARKS).output
    file = load_owner_file(folder / "owner.toml")
    assert (file.name, file.policy.modes, file.policy.max_records) == ("clinic", ("raw",), 7)
    assert file.policy.approval
    assert (file.data.unit_id, file.data.shareable) == ("patient", "consented")
    [lab] = file.policy.trainers
    assert lab.peer == given.trainer.public.fingerprint
    assert PublicKey.load(folder / "vault.pub") == KeyPair.load(file.vault.key).public
    assert folder.stat().st_mode & 0o777 == 0o700
    for name in ("vault.key", "supernode-key"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    assert f"mycroft-fl owner check {folder}" in said
    assert [each.name for each in tmp_path.iterdir()] == ["clinic"]


def test_what_fails_leaves_no_folder_above_either(given: Hospital, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with pytest.raises(InputError):
        init(given, tmp_path / "here" / "a" / "b" / "clinic", "--mode", "raw", "--name", "no name")
    with pytest.raises(InputError):
        init(
            given,
            tmp_path / "here" / "a" / "b" / "clinic",
            "--trainer",
            f"lab={given.base / 'task.json'}",
        )
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('socket = "' + "s" * 108 + '"', "that of a socket at most 107"),
        ('group = "nobody-knows-this-group"', "of which the vault's user is no member"),
        ('device = "gpu"', r"vault.device is 'gpu'; choose from \['auto', 'cpu', 'cuda'\]"),
    ],
    ids=["socket", "group", "device"],
)
def test_check_refuses_what_serve_would(given: Hospital, tmp_path: Path, line, said) -> None:
    init(given, tmp_path / "clinic", *MARKS)
    path = tmp_path / "clinic" / "owner.toml"
    text = path.read_text()
    path.write_text(
        text.replace("[vault]", f"[vault]\n{line}")
        if "[vault]" in text
        else f"{text}\n[vault]\n{line}\n"
    )
    with pytest.raises(InputError, match=said):
        invoked("check", str(tmp_path / "clinic"))


def test_the_supernodes_key_is_one_that_flower_takes(given: Hospital, tmp_path: Path) -> None:
    init(given, tmp_path / "clinic", *MARKS)
    path = tmp_path / "clinic" / "supernode-key"
    # As flower-supernode reads it.
    key = load_ssh_private_key(path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    public = load_ssh_public_key(path.with_name("supernode-key.pub").read_bytes())
    assert public == key.public_key()


def test_what_is_left_out_has_cautious_defaults(given: Hospital, tmp_path: Path) -> None:
    init(given, tmp_path / "clinic")
    policy = load_owner_file(tmp_path / "clinic" / "owner.toml").policy
    assert (policy.modes, policy.epsilon) == (("score",), 1.0)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--name", "a/b"), "name is 'a/b'; use 1 to 100 letters"),
        (("--trainer", "lab"), "--trainer lab: give NAME=FILE"),
        (("--trainer", "../x=lab.pub"), r"a trainer's name is '\.\./x'"),
        (("--trainer", "b=/nowhere.pub"), "cannot be read as a key"),
        (("--task", "/nowhere.json"), "cannot be read as a task's description"),
        (("--mode", "everything"), "policy.modes is .'everything'.; choose from"),
        (("--mode", "score", "--epsilon", "-1"), "policy.epsilon is -1"),
        (("--mode", "raw", "--max-records", "-1"), "policy.max-records is -1"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_left(
    given: Hospital, tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        init(given, tmp_path / "clinic", *more)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flag", ["data", "label", "task", "trainer"])
def test_what_has_no_default_must_be_given_where_nobody_can_be_asked(
    given: Hospital, tmp_path: Path, flag: str
) -> None:
    base = given.base
    flags = {
        "data": str(base / "patients.csv"), "label": "outcome", "task": str(base / "task.json"),
        "trainer": f"lab={base / 'lab.pub'}",
    }  # fmt: skip
    rest = [word for key, value in flags.items() if key != flag for word in (f"--{key}", value)]
    with pytest.raises(InputError, match=f"--{flag} is missing: "):
        invoked("init", str(tmp_path / "clinic"), *rest)


def test_an_owners_folder_is_never_overwritten(given: Hospital, tmp_path: Path) -> None:
    init(given, tmp_path / "clinic")
    key = (tmp_path / "clinic" / "vault.key").read_text()
    with pytest.raises(InputError, match="is there already; give a new or an empty folder"):
        init(given, tmp_path / "clinic")
    assert (tmp_path / "clinic" / "vault.key").read_text() == key


# check


def test_check_says_what_would_be_shared(given: Hospital, tmp_path: Path) -> None:
    init(given, tmp_path / "clinic", "--mode", "raw", "--mode", "score", *MARKS)
    printed = invoked("check", str(tmp_path / "clinic")).output
    rows = (given.base / "patients.csv").read_text().splitlines()[1:]
    assert f"data: {len(rows)} records fit the task" in printed
    ill = sum(row.endswith(",ill") for row in rows)
    assert f"ill {ill}, well {len(rows) - ill}" in printed
    assert "privacy is by person: 60 of them" in printed
    assert f"{sum(',yes,' in row for row in rows)} records may be handed over" in printed
    assert "examples leave only once a person has agreed" in printed
    assert f"may ask: lab, key {given.trainer.public.fingerprint}" in printed
    assert "limits over all trainers, for ever: records 100, epsilon 1.0" in printed
    assert "ledger-head is not set" in printed
    assert not (tmp_path / "clinic" / "ledger.sqlite").exists()


def changed(given: Hospital, folder: Path, old: str, new: str, *flags: str) -> None:
    init(given, folder, *flags)
    file = folder / "owner.toml"
    text = file.read_text()
    assert re.search(old, text, flags=re.DOTALL)
    file.write_text(re.sub(old, new, text, flags=re.DOTALL))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (r"trainers = \[.*?\n\]\n", "", r"nobody may ask; add \[\[trainers\]\]"),
        (', key = "trainer-lab.pub"', "", "trainer 'lab' has no key"),
        ('task = "task.json"\n', "", "names no task"),
        (r"\[dataset\].*?\n\n", "", "names no data"),
        ("outcome", "result", "dataset.label names column 'result', which is not there"),
        (r"patients\.csv", "nowhere.csv", "nothing at .*nowhere.csv"),
        (r'modes = \[\n    "score",', 'modes = ["raw-gumbel"', "needs policy.epsilon-minus"),
        (r"\[vault\]", "[vault]\nkey = 'no.key'", "no.key cannot be read as a key"),
        (r"\[vault\]", "[vault]\nseconds = 0", "vault.seconds is 0; give 1 to 86400"),
        (r"\[vault\]", "[vault]\nmax-megabytes = 0", "vault.max-megabytes is 0"),
        (r"\[vault\]", "[vault]\nthreads = 0", "vault.threads is 0"),
        (r"\[vault\]", "[vault]\nsockt = 'x'", "unknown key 'vault.sockt'"),
    ],
)
def test_check_refuses_what_would_keep_the_vault_shut(
    given: Hospital, tmp_path: Path, old: str, new: str, said: str
) -> None:
    changed(given, tmp_path / "clinic", old, new)
    with pytest.raises(InputError, match=said):
        invoked("check", str(tmp_path / "clinic"))


def test_check_refuses_a_row_that_does_not_fit_the_task(given: Hospital, tmp_path: Path) -> None:
    table = (given.base / "patients.csv").read_text().replace(",east,", ",cellar,", 1)
    (tmp_path / "other.csv").write_text(table)
    init(given, tmp_path / "clinic", "--data", str(tmp_path / "other.csv"), *MARKS)
    with pytest.raises(InputError, match=r"other.csv: row 1, column 'ward' 'cellar' is a category"):
        invoked("check", str(tmp_path / "clinic"))


@pytest.mark.parametrize(
    ("old", "new", "flags", "said"),
    [
        (r"\[policy\]", "[policy]\nexpires = 2020-01-01", (), "the policy ended on 2020-01-01"),
        ("epsilon = 1.0", "epsilon = 50.0", (), "epsilon 50 promises next to nothing"),
        (r"\[policy\]", "[policy]\ndelta = 0.01", (), "delta 0.01 is large"),
        ("max-records = 100\n", "", ("--mode", "raw"), "every record may be handed over"),
        (r"\[policy\]", "[policy]\napproval = true", (), "nobody will be asked"),
    ],
)
def test_check_points_at_what_a_person_should_look_at(
    given: Hospital, tmp_path: Path, old: str, new: str, flags: tuple[str, ...], said: str
) -> None:
    changed(given, tmp_path / "clinic", old, new, *flags)
    printed = invoked("check", str(tmp_path / "clinic")).output
    assert [
        line for line in printed.splitlines() if line.startswith("look at this") and said in line
    ]


def test_check_sees_files_that_others_can_read(given: Hospital, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    shared = Path("/tmp") / f"{tmp_path.name}-mycroft.csv"
    try:
        shared.write_text((given.base / "patients.csv").read_text())
        init(given, tmp_path / "clinic", "--data", str(shared), *MARKS)
        shared.chmod(0o644)
        assert f"chmod go-rwx {shared}" in invoked("check", str(tmp_path / "clinic")).output
        shared.chmod(0o600)
        assert str(shared) not in invoked("check", str(tmp_path / "clinic")).output
    finally:
        shared.unlink(missing_ok=True)


# ledger


def test_the_ledger_names_the_trainers(make_hospital: Callable[..., Hospital]) -> None:
    from clients.owner.load import open_vault

    hospital = make_hospital()
    peer = hospital.trainer.public.fingerprint
    open_vault(hospital.file).answer(hospital.request(), peer)
    printed = invoked("ledger", str(hospital.folder)).output
    assert "records charged: 4 of 60 (4 handed over)" in printed
    assert f"trainer {peer} is lab" in printed
    assert (
        "records charged: 4 of 60 (4 handed over)" in invoked("check", str(hospital.folder)).output
    )


def test_a_trainers_own_limit_is_found_by_its_key(make_hospital: Callable[..., Hospital]) -> None:
    from clients.owner.load import open_vault
    from mycroft_fl.errors import Refused

    hospital = make_hospital()
    path = hospital.folder / "owner.toml"
    path.write_text(
        path.read_text().replace('"trainer-lab.pub"', '"trainer-lab.pub", max-records = 5')
    )
    vault = open_vault(load_owner_file(path))
    peer = hospital.trainer.public.fingerprint
    assert len(vault.answer(hospital.request(), peer).disclosed) == 4
    assert len(vault.answer(hospital.request(seed=1), peer).disclosed) == 1
    with pytest.raises(Refused, match="all 5 records that may leave for this trainer have left"):
        vault.answer(hospital.request(seed=2), peer)
    for other in ("lab", KeyPair.generate().public.fingerprint):
        with pytest.raises(Refused, match="is not one that this owner answers"):
            vault.answer(hospital.request(seed=3), other)
