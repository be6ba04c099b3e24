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
from clients.owner.file import OwnerFile, load_owner_file
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


UNFIT = [
    "x3,104,south,p,yes,dead",
    "33,,mars,p,yes,ILL",
    "34,n.a.,east,,maybe,well",
    "35,inf,west,q,yes,",
]


def amiss(hospital: Hospital, dataset: str, rows: list[str], head: str = HEAD) -> list[str]:
    """What `owner check` says of an owner.toml with that [dataset], line by line."""
    folder = hospital.base / f"owner-{next(NUMBER)}"
    shutil.copytree(hospital.folder, folder)
    (folder / "patients.csv").write_text("\n".join([head, *rows]) + "\n")
    path = folder / "owner.toml"
    before, after = path.read_text().split("[dataset]")
    given = f'\npath = "patients.csv"\n{dataset}\n\n[policy]'
    path.write_text(f"{before}[dataset]{given}{after.split('[policy]')[1]}")
    return refusal(check, load_owner_file(path)).split("\n")


def test_all_that_does_not_fit_the_task_is_said_at_once_with_the_key_that_mends_it(
    hospital: Hospital,
) -> None:
    marks = 'label = "outcome"\nunit-id = "patient"\nshareable = "consented"'
    said = amiss(hospital, marks, UNFIT)
    for each in (
        "label 'dead' is no class of the task; set dataset.labels = { dead = \"CLASS\" } with one of",
        "label 'ILL' is no class of the task; set dataset.labels = { ILL = \"ill\" }, or "
        'dataset.unknown-labels = "drop"',
        "row 4 has no class in column 'outcome'; label it or take it out",
        "row 1, column 'age' 'x3' is not a finite number",
        "row 1, column 'ward' 'south' is a category that the trainer's rows do not have; take such rows "
        'out, or ask the trainer for a task with unseen = "ignore" (2 rows)',
        "row 2, column 'pressure' is missing; fill it in, or ask the trainer for a task with missing",
        "row 3, column 'pressure' 'n.a.' is not a finite number",
        "row 4, column 'pressure' 'inf' is not a finite number",
        "row 3 has no unit in column 'patient'; say whose it is or take it out",
        "row 3, column 'consented' 'maybe' says neither yes nor no",
    ):
        assert [line for line in said if each in line], each
    assert all(line.startswith("patients.csv: ") for line in said)
    assert len(said) == 10


def test_the_keys_that_it_names_do_mend_what_it_names_them_for(hospital: Hospital) -> None:
    """Each line is obeyed, and the same line does not come again."""
    plain = 'label = "outcome"\ndrop = ["patient", "consented"]\n'
    rows = ["30,110,east,p,yes,ill", "31,110,west,p,yes,ILL", "32,111,north,p,yes,dead"]
    [ill, dead] = sorted(amiss(hospital, plain, rows), key=lambda line: "dead" in line)
    assert 'dataset.labels = { ILL = "ill" }' in ill
    said = amiss(hospital, plain + 'labels = { ILL = "ill" }', rows)
    assert said == [dead]
    fixed = plain + 'labels = { ILL = "ill" }\nunknown-labels = "drop"'
    assert amiss(hospital, fixed, rows) == [""]


def test_columns_that_are_missing_misnamed_or_kept_back_are_all_named(hospital: Hospital) -> None:
    said = amiss(
        hospital,
        'label = "outcome"\nunit-id = "patnt"\ndrop = ["ward"]\ncolumns = { age = "category" }',
        ["30,110,east,p,yes,ill"],
        head="age,presure,ward,patient,consented,outcome",
    )
    assert sorted(said) == [
        "patients.csv: column 'age' is 'category' by dataset.columns.age, but a number in the task; take "
        "that key out, since the task decides",
        "patients.csv: column 'pressure', a number of the task, is missing; add it, or rename the file's "
        "own; did you mean 'presure'?",
        "patients.csv: column 'ward' is a category of the task; take it out of dataset.drop",
        "patients.csv: dataset.unit-id names column 'patnt', which is not there; did you mean 'patient'?",
    ]


def test_data_policy_key_and_file_are_all_looked_at_whatever_is_wrong_with_one(
    hospital: Hospital,
) -> None:
    spec = DatasetSpec("patients.csv", label="outcome", drop=("patient", "consented"))
    file = owner_of(hospital, {"modes": ["raw"]}, spec, ["30,110,mars,p,yes,ill"])
    (file.folder / "vault.key").unlink()
    vault = dataclasses.replace(file.vault, group="no-such-group")
    said = refusal(check, dataclasses.replace(file, vault=vault))
    assert said.count("\n") == 2
    for each in (
        "vault.group is 'no-such-group'",
        "cannot be read as a key",
        "'mars' is a category",
    ):
        assert each in said
    path = file.folder / "owner.toml"
    text = path.read_text().replace("[vault]", "[vault]\nthreads = 0\nsecons = 3")
    path.write_text(
        text.replace("[policy]", '[policy]\nepsilon = -1\ndescribe = "all"\nmode = 3\n')
    )
    with pytest.raises(InputError) as error:
        load_owner_file(path)
    for each in (
        "unknown key 'policy.mode'; did you mean 'policy.modes'?",
        "policy.epsilon is -1.0; it must be above 0 and finite",
        "unknown key 'vault.secons'; did you mean 'vault.seconds'?",
        "vault.threads is 0; give a whole number of at least 1",
    ):
        assert each in str(error.value)


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({}, ["shown before anything is asked: nothing (policy.describe)"]),
        (
            {"describe": "schema"},
            ["shown before anything is asked: the columns age (number), pressure (number), ward (category), "
             "and 2 class names; all of it from task.json, nothing of the data"],
        ),
        (
            {"describe": "counts", "describe-epsilon": 0.5, "epsilon": 1.0},
            ["counts by class with noise of 8.68 each, for epsilon 0.5, once for each trainer (1)"],
        ),
    ],
)  # fmt: skip
def test_the_check_says_what_would_be_described(
    hospital: Hospital, policy: dict[str, Any], said: list[str]
) -> None:
    spec = DatasetSpec("patients.csv", label="outcome", drop=("patient", "consented"))
    file = owner_of(hospital, {"modes": ["raw"], **policy}, spec, ["30,110,east,p,yes,ill"])
    assert all(any(each in line for line in check(file).holds) for each in said)


def test_of_very_many_unknown_classes_the_first_have_a_line_each(hospital: Hospital) -> None:
    rows = [f"{30 + n},110,east,p,yes,class-{n % 9}" for n in range(18)]
    said = amiss(hospital, 'label = "outcome"\ndrop = ["patient", "consented"]', rows)
    assert len(said) == 7
    assert "label 'class-0' (2 rows) is no class of the task" in said[0]
    assert (
        said[6] == "patients.csv: 3 further labels are no classes either; the task's are ill, well"
    )
