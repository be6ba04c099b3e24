"""`mf.rank`: one's own model and data against owners' data of every kind."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from simulations_face_data import Digits, OwnNet, as_folder, digits, fitted_net, flows
from simulations_face_own import last
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import mycroft_fl as mf
from mycroft_fl.data.task import Task
from mycroft_fl.errors import DataError, InputError, SettingError
from simulations.face.given_task import Reading, given_task
from simulations.face.rank import _defaults
from simulations.face.sharing import Sharing

QUICK = {
    "budget": 40, "num_rounds": 1, "pilot_per_owner": 20, "fit_epochs": 3, "scoring_repeats": 1,
    "settings": {"fine-tune.steps": 40},
}  # fmt: skip


@pytest.fixture(scope="module")
def parts():
    return digits()


@pytest.fixture(scope="module")
def ranked(parts, tmp_path_factory):
    """An own net against a frame of images, a Dataset and a folder of pictures."""
    folder = as_folder(tmp_path_factory.mktemp("pictures"), *parts["mixed"])
    x, y = parts["rotated"]
    return mf.rank(
        fitted_net(*parts["train"]),
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        owners={
            "frame": pd.DataFrame({"image": list(x), "label": y}),
            "dataset": Digits(*parts["upright"]),
            "folder": folder,
        },
        **QUICK | {"budget": 60},
    )


def test_owners_of_three_kinds_are_ranked_by_an_own_net(ranked):
    ranking = ranked.ranking
    assert sorted(ranking["owner"]) == ["dataset", "folder", "frame"]
    assert ranking["rank"].tolist() == [1, 2, 3]
    assert ranking["disclosed"].sum() == len(ranked.acquired) <= 60
    # Upright digits are what the model is good at already.
    assert ranking["owner"].iloc[-1] == "dataset"


def test_the_baseline_is_the_net_as_it_was_given(ranked, parts):
    assert all(x.flags.writeable for x, _ in parts.values())  # nobody's array is made read-only
    net = fitted_net(*parts["train"]).eval()
    x, y = parts["test"]
    with torch.no_grad():
        right = (net(torch.from_numpy(x).float() / 255).argmax(1).numpy() == y).mean()
    assert ranked.models.loc["baseline", "test"] == pytest.approx(right)


def test_the_final_model_is_of_the_users_own_class_and_reaches_what_is_said(ranked, parts):
    x, y = parts["test"]
    assert type(ranked.model) is OwnNet
    with torch.no_grad():
        answers = ranked.model.eval()(torch.from_numpy(x).float() / 255).argmax(1).numpy()
    assert (answers == y).mean() == pytest.approx(ranked.models.loc["final", "test"])


def test_the_report_and_the_folder_outlive_the_result(ranked, tmp_path):
    page = ranked.report()
    assert page.name == "report.html"
    kept = ranked.save(tmp_path / "kept")
    again = mf.read_run(kept)
    pd.testing.assert_frame_equal(again.ranking, ranked.ranking)
    assert "<table" in ranked._repr_html_()
    assert ranked.answer in repr(ranked)
    with pytest.raises(SettingError, match="not how it is built"):
        _ = again.model
    with pytest.raises(InputError, match="is not empty"):
        ranked.save(kept)


def test_a_folder_that_nobody_named_goes_with_its_result(parts):
    result = mf.rank(
        "logistic-regression", train=parts["train"], validation=parts["validation"],
        owners={"a": parts["rotated"]}, method="features", **QUICK,
    )  # fmt: skip
    folder = result.folder
    assert folder.is_dir()
    del result
    assert not folder.exists()


def encoding():
    columns = ColumnTransformer(
        [("names", OneHotEncoder(handle_unknown="ignore"), ["port", "proto"])],
        remainder="passthrough",
    )
    return make_pipeline(columns, RandomForestClassifier(20, random_state=0))


@pytest.mark.parametrize("before", [True, False])
def test_a_pipeline_with_encoders_of_its_own_ranks_owners_of_frames(before):
    train = flows(200, 0, 0.0)
    pipeline = encoding()
    if before:
        pipeline.fit(train.drop(columns="label"), train["label"])
    result = mf.rank(
        pipeline, train=train, validation=flows(200, 1, 0.5), test=flows(200, 2, 0.5),
        owners={"odd": flows(80, 3, 0.9), "plain": flows(80, 4, 0.0)}, **QUICK,
    )  # fmt: skip
    assert result.ranking["owner"].tolist()[0] == "odd"
    assert list(result.acquired.frame().columns) == ["owner", "label", "bytes", "port", "proto"]
    test = flows(200, 2, 0.5)
    predicted = np.array(result.classes)[result.model.predict(test.drop(columns="label"))]
    assert (predicted == test["label"]).mean() == pytest.approx(
        result.models.loc["final", "test"], abs=0.02
    )


def test_a_class_and_a_path_are_trained_first(parts):
    result = mf.rank(
        OwnNet, train=parts["train"], validation=parts["validation"], test=parts["test"],
        owners={"a": parts["rotated"]}, method="features", **QUICK,
    )  # fmt: skip
    assert result.models.loc["baseline", "test"] > 0.2
    assert type(result.model) is OwnNet


def test_a_function_is_a_method(parts):
    result = mf.rank(
        "linear", train=parts["train"], validation=parts["validation"],
        owners={"a": parts["rotated"]}, method=last, **QUICK,
    )  # fmt: skip
    assert len(result.acquired) == 20


@pytest.mark.parametrize(
    ("settings", "method"),
    [
        ({}, "detector-cover"),
        ({"mode": "score"}, "features"),
        ({"request": "hard-set"}, "features"),
        ({"gradients-from": "owner"}, "features"),
        ({"hard-set.rule": "highest-loss"}, "features"),
        ({"mode": "score", "proxy": "mlp"}, "hard-features"),
    ],
)
def test_a_model_without_a_network_gets_a_method_that_looks_through_none(settings, method):
    forest = Task(("a", "b"), (3,), np.dtype(np.float32), "random-forest")
    assert _defaults(forest, "", settings)["method"] == method
    texts = dataclasses.replace(forest, dtype=np.dtype(np.uint8))
    assert texts.holds_texts
    assert _defaults(texts, "", {})["method"] == "features"
    assert _defaults(forest, "omp", settings)["method"] == "omp"


def test_an_owner_may_allow_less_than_is_asked(parts):
    result = mf.rank(
        "linear", train=parts["train"], validation=parts["validation"],
        owners={"a": parts["rotated"], "b": parts["mixed"]}, method="features",
        policy={"max-records": 5}, **QUICK,
    )  # fmt: skip
    assert result.ranking["disclosed"].max() <= 5


def test_owners_that_do_not_trust_an_own_net_refuse_before_it_is_built(parts):
    net = fitted_net(*parts["train"])
    with pytest.raises(mf_error("NotEnoughOwners")):
        mf.rank(
            net, train=parts["train"], validation=parts["validation"],
            owners={"a": parts["rotated"]}, policy=mf.Policy(), **QUICK,
        )  # fmt: skip


@pytest.mark.parametrize(
    "settings", [{"gradients_from": "owner", "method": "omp"}, {"proxy": "mlp"}]
)
def test_an_own_net_is_no_ones_business_where_a_stand_in_serves(parts, settings):
    result = mf.rank(
        fitted_net(*parts["train"]), train=parts["train"], validation=parts["validation"],
        owners={"a": parts["rotated"]}, policy=mf.Policy(), **QUICK | settings,
    )  # fmt: skip
    assert len(result.acquired) > 0


def mf_error(name: str) -> type[Exception]:
    from mycroft_fl import errors

    return getattr(errors, name)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"owners": {}}, DataError, "there is no owner"),
        ({"owners": {"a b": 1, "c": "nowhere.csv"}}, DataError, "'a b' is no name.*\nowner 'c'"),
        ({"budgett": 3}, SettingError, "did you mean 'budget'"),
        ({"budget": -3}, SettingError, "budget is -3"),
        ({"metric": "speed"}, SettingError, "metric"),
        ({"weights": "none.pth"}, InputError, "no weights at none.pth"),
        ({"model": "mlp", "head": "fc"}, SettingError, "leave out head"),
        ({"classes": ["a", "b"]}, DataError, "no class of the task"),
        ({"fine_tune_from": "scratch"}, SettingError, "made anew"),
        ({"model": RandomForestClassifier(), "fit": False}, SettingError, "never fitted"),
        ({"method": lambda a, b, c: None}, SettingError, "at the top of a module"),
        (
            {"train": (np.full((40, 1, 8, 8), 3.0, np.float32), [0, 1] * 20)},
            DataError,
            "from 0 to 1",
        ),
    ],
)
def test_each_mistake_is_told_before_anything_is_fitted(parts, change, error, said, tmp_path):
    given = {
        "model": OwnNet(), "train": parts["train"], "validation": parts["validation"],
        "owners": {"a": parts["rotated"]}, "out": tmp_path / "run",
    } | QUICK | change  # fmt: skip
    with pytest.raises(error, match=f"(?s){said}"):
        mf.rank(given.pop("model"), **given)
    assert not (tmp_path / "run").exists()


def test_the_library_is_silent_but_for_logging(parts, capfd, caplog):
    # Commands that ran in this process before may have left handlers of theirs.
    log = logging.getLogger("strategies")
    before = torch.get_num_threads(), log.level, list(log.handlers)
    with caplog.at_level(logging.INFO):
        mf.rank(
            "linear", train=parts["train"], validation=parts["validation"],
            owners={"a": parts["rotated"]}, method="features", **QUICK,
        )  # fmt: skip
    assert capfd.readouterr() == ("", "")
    assert "round 1" in caplog.text
    assert (torch.get_num_threads(), log.level, log.handlers) == before


def test_a_look_before_the_first_round_shows_what_the_policy_allows() -> None:
    rng = np.random.default_rng(0)

    def rows(n: int, centre: float) -> pd.DataFrame:
        y = rng.integers(0, 2, n)
        frame = pd.DataFrame(
            rng.normal(centre + 2 * y[:, None], 1, (n, 2)), columns=["age", "dose"]
        )
        return frame.assign(label=np.array(["well", "ill"])[y])

    data: dict[str, Any] = {
        "train": rows(80, 0), "validation": rows(80, 2),
        "owners": {"near": rows(60, 2), "far": rows(60, 9)}, "budget": 20, "num_rounds": 1,
    }  # fmt: skip
    policy = {"describe": "counts", "describe-epsilon": 1e6, "epsilon": 1e7}
    result = mf.rank("logistic-regression", policy=policy, look=True, **data)
    assert [each["owner"] for each in result.described] == ["far", "near"]
    for each in result.described:
        shown = each["description"]
        assert shown["columns"] == [["age", "number"], ["dose", "number"]]
        assert (shown["label"], shown["classes"]) == ("", ["ill", "well"])
        held = data["owners"][each["owner"]]["label"].value_counts()
        assert each["counts"] == pytest.approx([held["ill"], held["well"]], abs=0.1)
    assert mf.rank("logistic-regression", **data).described == []
    quiet = mf.rank("logistic-regression", look=True, **data)
    assert {each["status"] for each in quiet.described} == {"refused"}


def test_owners_share_one_data_set(parts):
    x, y = parts["mixed"]
    owners = {"owners": (x, y), "partition": {"iid": True, "num": 3}}
    result = mf.rank(
        "linear", train=parts["train"], validation=parts["validation"], **owners, **QUICK
    )
    assert sorted(result.ranking["owner"]) == ["owner-1", "owner-2", "owner-3"]
    assert set(result.acquired.owner) <= {"owner-1", "owner-2", "owner-3"}


def test_a_dirichlet_divides_what_the_trainer_does_not_hold(parts):
    sharing = Sharing.read({"dirichlet": 0.1, "num": 4}, 5)
    sets = {name: parts[name] for name in ("train", "validation")}
    sets["train"] = tuple(
        np.concatenate(both) for both in zip(parts["train"], parts["mixed"], strict=True)
    )
    with pytest.raises(DataError, match="it holds nothing that the trainer does not hold"):
        given_task(sets, parts["mixed"], Reading("", {}), None, "mlp", sharing)
    sets["train"] = parts["train"]
    task = given_task(sets, parts["mixed"], Reading("", {}), None, "mlp", sharing)
    owners = [records.examples for records in task.owners.values()]
    alone = given_task(sets, {"a": parts["mixed"]}, Reading("", {}), None, "mlp").owners["a"]
    assert sorted(np.concatenate([each.ids for each in owners])) == sorted(alone.examples.ids)
    assert min(len(np.unique(each.y)) for each in owners) < 10


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"partition": {"iid": True, "num": 0}}, "partition.num is 0; give a whole number"),
        ({"partition": {"iid": True, "num": 9999}}, "9999 owners need 9999 rows, and"),
        pytest.param(
            {"partition": 3}, "partition is 3; give a table", marks=pytest.mark.unchecked
        ),
        ({"partition": {"by": "ward"}}, "owners=dict(list(frame.groupby('ward')))"),
        (
            {"partition": {"dirichlet": 1.0, "num": 3, "over": "group"}},
            "partition.over is 'group', but these rows are of no group",
        ),
        ({"partition": {"iid": True, "num": 3}, "seed": -1}, "seed is -1"),
        (
            {"partition": {"iid": True, "num": 3}, "owners": {"a": 1}},
            "partition divides one data set among owners, and owners is a mapping of several",
        ),
        ({"owners": (1, 2)}, 'or partition={"dirichlet": 0.3, "num": 20} to divide one data set'),
    ],
)  # fmt: skip
def test_a_partition_that_cannot_be_is_said_before_anything_is_fitted(parts, changed, words):
    owners = {"owners": parts["mixed"]} | changed
    with pytest.raises(InputError) as caught:
        mf.rank("mlp", train=parts["train"], validation=parts["validation"], **owners)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
