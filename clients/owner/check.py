"""The check of an owner's file, in lines for a person: what it would share, and what is amiss."""

from __future__ import annotations

import datetime
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clients.answering.noted import check_noise
from clients.answering.policy import NOTHING, Policy
from clients.answering.private_records import PrivateRecords
from clients.owner.file import OwnerFile
from clients.owner.load import check_socket, check_trainers, records_of, task_of
from mycroft_fl.data.task import Task
from mycroft_fl.errors import Problems
from mycroft_fl.modes import MODES, handing_over
from mycroft_fl.privacy.noise.samplers import OS_ENTROPY
from mycroft_fl.privacy.spending.ledger import PrivacyLedger
from mycroft_fl.privacy.spending.overview import left
from mycroft_fl.privacy.spending.witness import check_never_begun
from mycroft_fl.protocol.keys import KeyPair
from mycroft_fl.tasks.mock import described

LISTED = 12
"""Columns that a line names; of more it says how many there are."""


@dataclass(frozen=True)
class Findings:
    """The lines that hold, and those that a person should look at."""

    holds: list[str]
    doubts: list[str]


def check(file: OwnerFile) -> Findings:
    """Read all that the owner's file names.

    `InputError` on what would keep the vault shut, with a line for each thing that would.
    """
    problems, found = Problems(), list[str]()
    for checks in (check_trainers, check_socket, lambda file: KeyPair.load(file.vault.key)):
        with problems.noted():
            checks(file)
    with problems.noted():
        task = task_of(file)
        records = records_of(file, task)
        records.check(file.policy)
        found = [*_of_data(records, task), *_of_policy(file), *_of_look(file.policy, task)]
    with problems.noted():
        found += _of_budget(file)
    problems.check()
    return Findings(found, [*_doubts_of_policy(file.policy), *_doubts_of_files(file)])


def _of_data(records: PrivateRecords, task: Task) -> list[str]:
    examples = records.examples
    counts = np.bincount(examples.y, minlength=task.num_classes)
    classes = ", ".join(f"{name} {n}" for name, n in zip(task.classes, counts, strict=True))
    lines = [f"data: {len(examples)} records fit the task; {classes}"]
    if records.persons is not None:
        lines.append(f"privacy is by person: {len(np.unique(records.persons))} of them")
    if records.may_leave is not None:
        lines.append(f"{int(records.may_leave.sum())} records may be handed over as they are")
    return lines


def _of_policy(file: OwnerFile) -> list[str]:
    policy = file.policy
    lines = [f"may leave: {MODES[mode].leaves} ({mode})" for mode in policy.modes]
    if handing_over() & set(policy.modes):
        agreed = "only once a person has agreed" if policy.approval else "without asking a person"
        lines.append(f"examples leave {agreed}")
    lines += [
        f"may ask: {each.name}, key {each.peer}"
        + ("" if each.max_records is None else f", up to {each.max_records} records")
        for each in policy.trainers
    ]
    if policy.expires is not None:
        lines.append(f"nobody may ask after {policy.expires}")
    return lines


def _of_look(policy: Policy, task: Task) -> list[str]:
    """Say what a trainer sees before it asks for anything."""
    if policy.describe == NOTHING:
        return ["shown before anything is asked: nothing (policy.describe)"]
    form = described(task)
    named = ", ".join(f"{name} ({kind})" for name, kind in form.columns[:LISTED])
    more = f" and {form.num_columns - LISTED} more" if form.num_columns > LISTED else ""
    shape = " x ".join(map(str, form.shape))
    what = f"the columns {named}{more}" if named else f"{form.form} of {shape}"
    lines = [
        f"shown before anything is asked: {what}, and {form.num_classes} class names; all of it from "
        "task.json, nothing of the data"
    ]
    if policy.shows_counts:
        lines.append(
            f"shown too: counts by class with noise of {policy.counts_multiplier():.3g} each, for epsilon "
            f"{policy.describe_epsilon:g}, once for each trainer ({max(1, len(policy.trainers))})"
        )
    return lines


def _of_budget(file: OwnerFile) -> list[str]:
    """Say what was spent, where there is a ledger; looking must not begin one."""
    check_never_begun(file.ledger, file.witnesses)
    if file.ledger.is_file():
        ledger = PrivacyLedger(file.ledger, file.ledger_head, witnesses=file.witnesses)
        check_noise(ledger, OS_ENTROPY.origin)
        return left(ledger)
    overall = file.policy.limits("").overall.as_json()
    limits = ", ".join(f"{name} {value}" for name, value in overall.items() if value is not None)
    return [f"nothing was released yet; limits over all trainers, for ever: {limits or 'none'}"]


def _doubts_of_policy(policy: Policy) -> list[str]:
    doubts = []
    if policy.expires is not None and policy.expires < datetime.date.today():
        doubts.append(f"the policy ended on {policy.expires}: every request is refused")
    if any(MODES[name].by_method for name in policy.modes) and policy.max_records is None:
        doubts.append("max-records is not set: in time, every record may be handed over")
    if policy.epsilon is not None and policy.epsilon > 10:
        doubts.append(
            f"epsilon {policy.epsilon:g} promises next to nothing; 1 is usual, 10 is much"
        )
    if policy.delta > 1e-4:
        doubts.append(f"delta {policy.delta:g} is large: it should be far below 1 / records")
    if policy.approval and not handing_over() & set(policy.modes):
        doubts.append("approval is set, but no mode hands over examples: nobody will be asked")
    return doubts


def _doubts_of_files(file: OwnerFile) -> list[str]:
    places = {"the folder": file.folder, "the key": file.vault.key, "the ledger": file.ledger}
    if file.data is not None:
        places["the data"] = file.folder / Path(file.data.path).expanduser()
    doubts = []
    for what, place in places.items():
        if place.exists() and _others_reach(place):
            doubts.append(f"{what} can be read by other users: chmod go-rwx {place}")
    if file.ledger_head is None:
        doubts.append(
            "ledger-head is not set: whoever restores this folder from a backup forgets what was "
            "spent; put it on another disk"
        )
    return doubts


def _others_reach(place: Path) -> bool:
    """Say whether others may read it and pass through all folders above it."""
    passable = all(each.stat().st_mode & (stat.S_IXGRP | stat.S_IXOTH) for each in place.parents)
    return passable and bool(place.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
