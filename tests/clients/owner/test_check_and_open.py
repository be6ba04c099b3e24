"""`owner check` and the vault that is opened: one agrees where the other does, by the same line."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clients.answering.policy import Policy
from clients.answering.vault import Vault, VaultStorage
from clients.owner.check import check
from clients.owner.file import OwnerFile
from clients.owner.load import open_vault, records_of
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.errors import InputError
from mycroft_fl.privacy.noise.samplers import simulated
from tests.clients.conftest import Hospital

HEAD = "age,pressure,ward,patient,consented,outcome"
ANSWERS = ("raw", "raw-gumbel", "score", "gradient", "dp-sgd")
NUMBER = itertools.count()


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    return Hospital(tmp_path_factory.mktemp("hospital"), {"modes": ["raw"]}, {})


@st.composite
def tables(draw: st.DrawFn) -> list[str]:
    """Rows of few values: copies, contents with two labels and patients with many rows come often."""
    row = st.builds(
        "{},{},east,{},{},{}".format,
        st.integers(30, 32), st.integers(110, 112), st.sampled_from("pqr"),
        st.sampled_from(["yes", "no"]), st.sampled_from(["ill", "well"]),
    )  # fmt: skip
    return draw(st.lists(row, min_size=1, max_size=14))


POLICIES = st.fixed_dictionaries(
    {"modes": st.lists(st.sampled_from(ANSWERS), min_size=1, unique=True)},
    optional={
        "epsilon": st.sampled_from([1e-9, 0.1, 1.0, 100.0]),
        "delta": st.sampled_from([1e-6, 0.5]),
        "epsilon-minus": st.sampled_from([0.05, 20.0]),
        "records-at-least": st.integers(0, 8),
        "useful-at-least": st.integers(0, 2),
        "answers": st.integers(1, 3),
        "sgd-share": st.sampled_from([0.5, 0.99]),
        "strength": st.sampled_from([0.0, 2.0]),
    },
)
SPECS = st.builds(
    lambda **marks: DatasetSpec("patients.csv", label="outcome", **marks),
    unit_id=st.sampled_from(["", "patient"]),
    shareable=st.sampled_from(["", "consented"]),
    drop=st.just(("patient", "consented")),
)


def owner_of(
    hospital: Hospital, policy: dict[str, Any], spec: DatasetSpec, rows: list[str]
) -> OwnerFile:
    """The owner's file in a folder of its own, with that policy and that table."""
    folder = hospital.base / f"owner-{next(NUMBER)}"
    shutil.copytree(hospital.folder, folder)
    (folder / "patients.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    file = hospital.file
    dropped = tuple(each for each in spec.drop if each not in (spec.unit_id, spec.shareable))
    return dataclasses.replace(
        file, folder=folder, ledger=folder / "ledger.sqlite",
        data=dataclasses.replace(spec, drop=dropped),
        vault=dataclasses.replace(file.vault, key=folder / "vault.key"),
        policy=Policy.from_table(policy, file.policy.trainers),
    )  # fmt: skip


def refusal(what: Callable[[OwnerFile], object], file: OwnerFile) -> str:
    try:
        what(file)
    except InputError as error:
        return str(error)
    return ""


@given(POLICIES, SPECS, tables())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_the_check_finds_right_opens_and_what_it_refuses_does_not(
    hospital: Hospital, policy: dict[str, Any], spec: DatasetSpec, rows: list[str]
) -> None:
    try:
        file = owner_of(hospital, policy, spec, rows)
    except InputError:  # a policy that contradicts itself is refused before there is an owner
        return
    assert refusal(check, file) == refusal(open_vault, file)


def test_a_content_with_two_labels_is_not_counted_among_those_that_may_be_drawn(
    hospital: Hospital,
) -> None:
    policy = {"modes": ["raw-gumbel"], "epsilon-minus": 1.0, "records-at-least": 2}
    spec = DatasetSpec("patients.csv", label="outcome", drop=("patient", "consented"))
    rows = ["30,110,east,p,yes,ill", "30,110,east,p,yes,well", "31,110,east,q,yes,ill"]
    file = owner_of(hospital, policy, spec, rows)
    assert "but 1 records may be handed over" in refusal(check, file)
    assert refusal(check, file) == refusal(open_vault, file)


def test_answers_kept_from_a_simulation_keep_a_vault_shut_and_the_check_says_so(
    hospital: Hospital,
) -> None:
    spec = DatasetSpec("patients.csv", label="outcome", drop=("patient", "consented"))
    file = owner_of(hospital, {"modes": ["raw"]}, spec, ["30,110,east,p,yes,ill"])
    storage = VaultStorage(file.folder, noise_for=lambda _: simulated(0), witnesses=file.witnesses)
    Vault("hospital", records_of(file, hospital.task), file.policy, storage, task=hospital.task)
    assert "have noise of 'SIMULATED'" in refusal(check, file)
    assert refusal(check, file) == refusal(open_vault, file)
