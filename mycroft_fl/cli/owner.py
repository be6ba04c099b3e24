"""`owner ...`: a data owner sets up its vault, serves it, and decides what leaves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mycroft_fl.cli.common import print_rows, say
from mycroft_fl.errors import InputError
from mycroft_fl.modes import COUNTS, MODES, handing_over

if TYPE_CHECKING:
    from clients.owner.file import OwnerFile

FOLDER = click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")


@click.group()
def owner() -> None:
    """A data owner's side: set up a vault, serve it, decide what leaves."""


@owner.command("init")
@FOLDER
@click.option("--name", help="By which trainers know this owner; DIR's own if left out.")
@click.option("--data", metavar="PATH", help="A table, an npz file, a folder or zip of images.")
@click.option("--label", metavar="COLUMN", help="A table's column with the class.")
@click.option("--unit-id", metavar="COLUMN", help="A table's column that says whose a record is.")
@click.option(
    "--shareable", metavar="COLUMN", help="A table's column: may a record be handed over?"
)
@click.option("--task", metavar="FILE", help="The task's description, task.json, from the trainer.")
@click.option("--trainer", "trainers", multiple=True, metavar="NAME=FILE", help="Who may ask.")
@click.option("--mode", "modes", multiple=True, help="What may leave: score, raw, ...; repeatable.")
@click.option("--max-records", type=int, help="Examples, over all trainers, for ever.")
@click.option("--epsilon", type=float, help="Of noised answers, over all trainers, for ever.")
@click.option(
    "--approval/--no-approval", default=None, help="A person looks before examples leave."
)
@click.option(
    "--describe", metavar="LEVEL", help="What a trainer may see first: nothing, schema, counts."
)
@click.option("--describe-epsilon", type=float, help="Of each trainer's counts, from --epsilon.")
@click.option("--group", help="The SuperNode's group, which may reach the socket.")
@click.option("--socket", metavar="PATH", help="Where the vault listens; in DIR if left out.")
def init(folder: Path, **given: Any) -> None:
    """Set up DIR: owner.toml, the vault's key and the SuperNode's. Asks for what is left out."""
    from clients.owner.setup import SUPERNODE_KEY, set_up

    file = set_up(folder, _new_owner(folder, given))
    say(f"{file.folder} is set up; look over {file.folder / 'owner.toml'}, then")
    say(f"  give the SuperNode's user    {file.folder / SUPERNODE_KEY}")
    say(f"  give the trainer             {file.folder / SUPERNODE_KEY}.pub and vault.pub")
    say(f"  see what would be shared     mycroft-fl owner check {file.folder}")
    say(f"  open the vault               mycroft-fl owner serve {file.folder}")


@owner.command("check")
@FOLDER
def check_owner(folder: Path) -> None:
    """Read all that DIR names and say what it would share; exits with 2 where it would not serve."""
    file = _file(folder)
    from clients.owner.check import check

    findings = check(file)
    for line in findings.holds:
        say(line)
    for line in findings.doubts:
        say(f"look at this: {line}")


@owner.command("serve")
@FOLDER
@click.option("--after-stop", is_flag=True, help="Open a vault that `owner stop` had closed.")
def serve_vault(folder: Path, after_stop: bool) -> None:
    """Open DIR's vault and answer until it is stopped."""
    from clients.serving.server import serve

    file = _file(folder)
    say(f"opening the vault of {file.name}")
    serve(
        file,
        after_stop=after_stop,
        ready=lambda: say(f"the vault of {file.name} is open at {file.vault.socket}"),
    )


@owner.command("stop")
@FOLDER
def stop_vault(folder: Path) -> None:
    """Let DIR's vault answer no more, at once, until it is served with --after-stop."""
    from clients.owner.lock import stop

    was_served = stop(_file(folder))
    say("the vault is closed" if was_served else "the vault was not served; it stays closed")


@owner.command("revoke")
@FOLDER
@click.argument("trainer")
def revoke_trainer(folder: Path, trainer: str) -> None:
    """Answer TRAINER no more, at once, by its name and its key; nothing queued for it leaves either."""
    from clients.owner.revoking import revoke

    taken_out = revoke(_file(folder), trainer)
    say(f"{trainer} is revoked")
    if not taken_out:
        say(f"now take it out of {folder / 'owner.toml'}, or the vault does not open again")


@owner.command("readmit")
@FOLDER
@click.argument("trainer")
def readmit_trainer(folder: Path, trainer: str) -> None:
    """Take back the revocation of TRAINER; it may ask once owner.toml lists it again."""
    from clients.owner.revoking import readmit

    for key in readmit(_file(folder), trainer):
        say(f"{trainer} with key {key} may be listed in {folder / 'owner.toml'} again")


@owner.command("rotate")
@FOLDER
@click.argument("trainer")
@click.argument("key", type=click.Path(path_type=Path))
def rotate_key(folder: Path, trainer: str, key: Path) -> None:
    """Know TRAINER by the public key in the file KEY from now on; its budgets go on."""
    from clients.owner.revoking import rotate
    from mycroft_fl.protocol.keys import PublicKey

    new = PublicKey.load(key)
    rotate(_file(folder), trainer, new)
    say(f"{trainer} is known by key {new.fingerprint}; its earlier key is out, its budgets go on")


@owner.command("pending")
@FOLDER
def show_pending(folder: Path) -> None:
    """List what waits for consent in DIR, with the page that shows exactly what would leave."""
    from clients.serving.approvals import Approvals

    file = _file(folder)
    approvals = Approvals(file.folder, file.vault.quotas.waiting_days)
    admitted = {each.name for each in file.admitted}
    # Of whoever was revoked nothing leaves, whatever a person says to it.
    waiting = [each for each in approvals.pending() if each.trainer in admitted]
    if not waiting:
        say("nothing waits for consent")
        return
    print_rows(
        ["id", "since (UTC)", "trainer", "mode", "round", "records"],
        [
            [each.id, each.at[:19].replace("T", " "), each.trainer, each.mode,
             str(each.server_round), str(each.count)]
            for each in waiting
        ],
    )  # fmt: skip
    for each in waiting:
        say(f"look at {approvals.page(each.id)}")


@owner.command("approve")
@FOLDER
@click.argument("id")
def approve(folder: Path, id: str) -> None:
    """Let what waits under ID leave DIR, once the trainer asks for the same again."""
    _decide(folder, id, "approved")


@owner.command("refuse")
@FOLDER
@click.argument("id")
def refuse(folder: Path, id: str) -> None:
    """Never let what waits under ID leave DIR; the trainer sees nothing of it."""
    _decide(folder, id, "refused")


@owner.command("ledger")
@FOLDER
def owner_ledger(folder: Path) -> None:
    """Show what DIR's ledger says was released to whom, and what is left."""
    from mycroft_fl.cli.privacy import show_book
    from mycroft_fl.privacy.spending.overview import open_ledger

    file = _file(folder)
    show_book(open_ledger(file.ledger, file.ledger_head))
    for each in file.policy.trainers:
        say(f"trainer {each.peer} is {each.name}")


def _file(folder: Path) -> OwnerFile:
    from clients.owner.file import load_owner_file

    return load_owner_file(folder.expanduser() / "owner.toml")


def _decide(folder: Path, id: str, decision: Any) -> None:
    from clients.serving.approvals import Approvals

    file = _file(folder)
    entry = Approvals(file.folder, file.vault.quotas.waiting_days).decide(id, decision)
    say(f"{entry.id}: {entry.count} records for {entry.trainer} are {decision}")
    if entry.trainer not in {each.name for each in file.admitted}:
        say(f"{entry.trainer} is not listed, or was revoked: nothing leaves for it")


def _new_owner(folder: Path, given: dict[str, Any]) -> Any:
    from clients.owner.setup import NewOwner

    name = _asked(given["name"], "name", "This owner's name", folder.absolute().name)
    data = Path(_asked(given["data"], "data", "Where the data is")).expanduser().absolute()
    dataset = {"path": str(data)}
    if given["label"] or _is_table(data):
        dataset["label"] = _asked(given["label"], "label", "The column with the class")
    dataset |= {
        key: given[key.replace("-", "_")]
        for key in ("unit-id", "shareable")
        if given[key.replace("-", "_")]
    }
    task = Path(_asked(given["task"], "task", "The trainer's task.json")).expanduser()
    trainers = given["trainers"] or [
        _asked(None, "trainer", "Who may ask, as NAME=FILE with the trainer's public key")
    ]
    return NewOwner(
        name, dataset, task, dict(_named_file(each) for each in trainers), _policy(given),
        {key: given[key] for key in ("group", "socket") if given[key]},
    )  # fmt: skip


def _policy(given: dict[str, Any]) -> dict[str, Any]:
    modes = list(given["modes"]) or _asked(None, "mode", "What may leave", "score").split()
    policy: dict[str, Any] = {"modes": modes}
    if handing_over() & set(modes):
        number = _asked(given["max_records"], "max-records", "Records that may leave, in all", 100)
        policy["max-records"] = _whole(number)
        agreed = given["approval"]
        policy["approval"] = True if agreed is None else agreed
    given_first = {key: given[key.replace("-", "_")] for key in ("describe", "describe-epsilon")}
    policy |= {key: value for key, value in given_first.items() if value is not None}
    noised = any(MODES[name].noised for name in modes if name in MODES)
    if noised or given["describe"] == COUNTS.name:
        policy["epsilon"] = float(_asked(given["epsilon"], "epsilon", "Epsilon, in all", 1.0))
    return policy


def _asked(value: Any, flag: str, question: str, default: Any = None) -> Any:
    """Return what was given; else what a person answers; else the default, if there is nobody to ask."""
    if value is not None:
        return value
    if sys.stdin.isatty():
        return click.prompt(question, default=default)
    if default is None:
        raise InputError(f"--{flag} is missing: {question[0].lower()}{question[1:]}")
    return default


def _named_file(assignment: str) -> tuple[str, Path]:
    name, equals, file = assignment.partition("=")
    if not equals or not name or not file:
        raise InputError(f"--trainer {assignment}: give NAME=FILE, such as lab=trainer-lab.pub")
    return name, Path(file).expanduser()


def _whole(number: Any) -> int:
    try:
        return int(number)
    except ValueError as error:
        raise InputError(f"--max-records is {number}; give a whole number") from error


def _is_table(path: Path) -> bool:
    from mycroft_fl.data.tables.files import is_table

    return is_table(path)
