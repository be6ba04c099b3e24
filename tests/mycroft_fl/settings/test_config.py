"""A run's settings: checked once, explained, and reachable by key."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import numpy as np
import pytest

from mycroft_fl.errors import SettingError, suggestion
from mycroft_fl.examples import Examples
from mycroft_fl.protocol.messages import Request
from mycroft_fl.selection.methods import Query
from mycroft_fl.settings.run_config import RunConfig, setting_rows

FIELDS = dataclasses.fields(RunConfig)
KEYS = [each.metadata["key"] for each in FIELDS]
DEFAULTS = RunConfig().settings() | {"method": "auto"}
"""Of a method that nobody chose the config names the one it takes."""
PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


def other_than(each: dataclasses.Field) -> object:
    """A permitted value that is not the default."""
    if each.metadata["choices"]:
        return list(each.metadata["choices"])[1]
    if isinstance(each.default, bool):
        return not each.default
    if each.name == "feature_space":
        return "timm:resnet18:none@64"
    if each.name == "metric":
        return "recall:another:thing"
    if isinstance(each.default, str):
        return "another:thing"
    return each.default + 1 if isinstance(each.default, int) else each.default / 2


def refused(key: str, value: object) -> str:
    with pytest.raises(SettingError) as error:
        RunConfig.from_settings({key: value})
    return str(error.value)


@pytest.mark.parametrize("each", FIELDS, ids=KEYS)
def test_every_field_is_reached_by_its_key_and_comes_back_by_it(each: dataclasses.Field) -> None:
    key, value = each.metadata["key"], other_than(each)
    config = RunConfig.from_settings({key: value})
    assert getattr(config, each.name) == value
    assert config.settings()[key] == value
    assert RunConfig.from_settings(config.settings()) == config


def test_keys_are_the_field_names_as_people_write_them_and_differ() -> None:
    assert len(set(KEYS)) == len(KEYS)
    for each in FIELDS:
        assert each.metadata["key"].replace("-", "_").replace(".", "_") == each.name


def test_later_layers_win_over_earlier_ones_and_all_over_defaults() -> None:
    config = RunConfig.from_settings(
        {"budget": 10, "seed": 1, "method": "omp"}, {}, {"budget": 20, "seed": 2}, {"budget": 30}
    )
    assert (config.budget, config.seed, config.method) == (30, 2, "omp")
    assert config.num_rounds == RunConfig().num_rounds


@pytest.mark.parametrize("each", FIELDS, ids=KEYS)
@pytest.mark.unchecked
def test_a_value_of_another_type_is_refused_by_name(each: dataclasses.Field) -> None:
    kind = type(each.default)
    wrong = {bool: 1, int: 2.0, float: "0.5", str: 5}[kind]
    message = refused(each.metadata["key"], wrong)
    said = {
        bool: "the number 1",
        int: "the number 2.0",
        float: "the text '0.5'",
        str: "the number 5",
    }
    wanted = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}[kind]
    # An example says nothing where it is empty, or one of two.
    such = "" if kind is bool or each.default == "" else f" such as {each.default!r}"
    assert message == f"{each.metadata['key']} is {said[kind]}; give {wanted}{such}"


@pytest.mark.parametrize("each", [each for each in FIELDS if type(each.default) in (int, float)])
def test_true_is_not_a_number(each: dataclasses.Field) -> None:
    assert f"{each.metadata['key']} is true; give a" in refused(each.metadata["key"], True)


@pytest.mark.parametrize("each", [each for each in FIELDS if each.metadata["choices"]])
def test_a_choice_outside_the_list_is_refused_with_the_list(each: dataclasses.Field) -> None:
    choices = list(each.metadata["choices"])
    assert refused(each.metadata["key"], "neither") == (
        f"{each.metadata['key']} is 'neither'; choose from {choices}"
    )


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed", -1, "seed is -1; it must be at least 0 and at most 9223372036854775807"),
        ("budget", 0, "budget is 0; it must be at least 1 and at most 10000000"),
        ("pilot-per-owner", 0, "pilot-per-owner is 0; it must be at least 1 and at most 10000000"),
        ("num-rounds", 0, "num-rounds is 0; it must be at least 1"),
        ("min-owners", 0, "min-owners is 0; it must be at least 1"),
        ("timeout", 0.0, "timeout is 0.0; it must be more than 0"),
        ("hard-set.sent", 0, "hard-set.sent is 0; it must be at least 1 and at most 4096"),
        ("hard-set.weight", 0.0, "hard-set.weight is 0.0; it must be more than 0 and at most 0.5"),
        ("hard-set.weight", 0.6, "hard-set.weight is 0.6; it must be more than 0 and at most 0.5"),
        ("owner-epochs", 0, "owner-epochs is 0; it must be at least 1"),
        ("split.selection", 0.0, "split.selection is 0.0; it must be more than 0 and at most 0.9"),
        ("split.scoring", 0.91, "split.scoring is 0.91; it must be more than 0 and at most 0.9"),
        ("fit.epochs", 0, "fit.epochs is 0; it must be at least 1"),
        ("fit.batch-size", 0, "fit.batch-size is 0; it must be at least 1"),
        ("fit.learning-rate", 0, "fit.learning-rate is 0.0; it must be more than 0"),
        ("fine-tune.steps", 0, "fine-tune.steps is 0; it must be at least 1"),
        ("fine-tune.batch-size", 1, "fine-tune.batch-size is 1; it must be at least 2"),
        ("fine-tune.learning-rate", -1, "fine-tune.learning-rate is -1.0; it must be more than 0"),
        ("subset-weight", -0.1, "subset-weight is -0.1; it must be at least 0 and at most 0.9"),
        ("subset-weight", 1, "subset-weight is 1.0; it must be at least 0 and at most 0.9"),
        ("scoring.repeats", 0, "scoring.repeats is 0; it must be at least 1"),
        (
            "scoring.confidence",
            1,
            "scoring.confidence is 1.0; it must be more than 0 and at most 0.999",
        ),
        ("scoring.at-most", 0, "scoring.at-most is 0; it must be at least 1"),
        ("threads", 0, "threads is 0; it must be at least 1 and at most 64"),
        ("timeout", float("inf"), "timeout is inf; it must be more than 0"),
        ("timeout", float("nan"), "timeout is nan; it must be more than 0"),
    ],
)
def test_a_number_out_of_bounds_is_refused_with_its_bounds(
    key: str, value: float, message: str
) -> None:
    assert refused(key, value) == message


def test_every_number_has_a_bound() -> None:
    for each in FIELDS:
        if type(each.default) in (int, float):
            assert "it must be" in refused(each.metadata["key"], type(each.default)(-1e9))


def test_bounds_themselves_are_allowed() -> None:
    config = RunConfig(seed=0, subset_weight=0.0, hard_set_weight=0.5, scoring_confidence=0.999)
    assert config.subset_weight == 0.0


def test_splits_that_leave_nothing_to_tune_on_are_refused() -> None:
    with pytest.raises(SettingError, match=r"split\.selection 0\.5 and split\.scoring 0\.5 leave"):
        RunConfig(split_selection=0.5, split_scoring=0.5)


def test_a_score_by_class_needs_hard_examples() -> None:
    with pytest.raises(SettingError, match=r'score\.by = "class" needs hard examples'):
        RunConfig(score_by="class", request="target")


def test_an_int_does_for_a_float_and_a_list_for_names() -> None:
    config = RunConfig.from_settings({"timeout": 5, "hard-set.classes": ["shirt", "coat", 3]})
    assert config.timeout == 5.0
    assert type(config.timeout) is float
    assert config.hard_set_classes == "shirt,coat,3"


def test_an_unknown_key_is_refused_with_the_nearest_or_with_all() -> None:
    assert refused("buget", 1) == "unknown setting 'buget'; did you mean 'budget'?"
    assert refused("zzz", 1) == f"unknown setting 'zzz'; choose from {sorted(KEYS)}"
    assert refused("hard_set_sent", 1).endswith("did you mean 'hard-set.sent'?")


def test_a_suggestion_is_near_or_all_of_them() -> None:
    assert suggestion("randon", ["omp", "random"]) == "; did you mean 'random'?"
    assert suggestion("x", ["b", "a"]) == "; choose from ['a', 'b']"


def test_rows_hold_every_setting_in_order_with_default_and_choices() -> None:
    rows = setting_rows()
    assert [(key, default) for key, default, _ in rows] == list(DEFAULTS.items())
    by_key = dict(zip(KEYS, FIELDS, strict=True))
    for key, _, meaning in rows:
        each = by_key[key]
        assert meaning.startswith(each.metadata["meaning"])
        assert len(meaning) > 10
        assert all(choice in meaning for choice in each.metadata["choices"])


def test_settings_of_a_selection_are_listed_behind_those_they_go_with() -> None:
    keys = [key for key, _, _ in setting_rows()]
    assert keys[0] == "method"
    after_proxy = keys.index("proxy")
    assert keys[after_proxy - 3 : after_proxy] == [
        "gradients-from",
        "owner-epochs",
        "feature-space",
    ]
    assert keys[after_proxy + 1 : after_proxy + 3] == ["gradient-layers", "feature-weight"]


def test_a_request_and_a_query_take_over_a_runs_selection_whole() -> None:
    config = RunConfig(
        method="omp",
        owner_epochs=3,
        feature_space="model",
        gradient_layers="all",
        feature_weight=2.0,
    )
    shape = Examples(np.zeros((1, 2), np.float32), np.zeros(1, np.int64))
    asked = Request(
        server_round=1, k=1, hard=shape, num_classes=2, model="mlp", weights=None, seed=0,
        **config.selection(),
    )  # fmt: skip
    query = Query(hard=shape, model=None, seed=0, **asked.selection(feature_weight=5.0))
    assert asked.selection() == config.selection()
    assert query.selection() == config.selection() | {"feature_weight": 5.0}


def test_pyproject_names_every_setting_with_its_default() -> None:
    output = tomllib.loads(PYPROJECT.read_text())["tool"]["flwr"]["app"]["config"]
    output = {key: value for key, value in flat(output).items() if key in KEYS}
    assert output == DEFAULTS


def flat(table: dict, before: str = "") -> dict:
    found: dict = {}
    for key, value in table.items():
        found |= (
            flat(value, f"{before}{key}.") if isinstance(value, dict) else {before + key: value}
        )
    return found


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RunConfig().budget = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("settings", "method"),
    [
        ({}, "detector-cover"),
        ({"mode": "score-then-raw"}, "detector-cover"),
        ({"request": "detector"}, "detector-cover"),
        ({"feature-space": "standardised"}, "detector-cover"),
        ({"mode": "score"}, "hard-features"),
        ({"mode": "gradient"}, "hard-features"),
        ({"request": "hard-set"}, "hard-features"),
        ({"hard-set.rule": "highest-loss"}, "hard-features"),
        ({"gradients-from": "owner"}, "hard-features"),
        ({"score.by": "class", "mode": "score-then-raw"}, "hard-features"),
        ({"feature-space": "tfidf"}, "hard-features"),
        ({"method": "omp"}, "omp"),
        ({"method": "auto"}, "detector-cover"),
    ],
)
def test_a_method_that_nobody_chose_is_the_one_that_did_best_where_it_can_be_asked_for(
    settings, method
):
    assert RunConfig.from_settings(settings).method == method
    assert RunConfig.rows()[0][:2] == ("method", "auto")
