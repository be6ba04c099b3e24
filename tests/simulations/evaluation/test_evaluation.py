"""What a result says: accuracies by brute force, groups by content, every warning."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, roc_auc_score

from mycroft_fl.examples import Examples
from mycroft_fl.metrics.metric import ACCURATE, Metric
from mycroft_fl.report.run.result import Accuracies
from mycroft_fl.scoring import Score
from mycroft_fl.settings.run_config import RunConfig
from simulations.evaluation.result import _owners
from simulations.evaluation.warnings import run_warnings
from simulations.population.scenario_file import Owner
from strategies.rounds.owner_record import OwnerRecord, ranked
from strategies.runs.held_out import HeldOut
from strategies.training.everything import FinalModel


class Says(torch.nn.Module):
    """A model that reads its answer off the first pixel."""

    def forward(self, x):
        return torch.nn.functional.one_hot((x[:, 0] * 10).round().long() % 3, 3).float()


rows = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from(["u", "v"]), st.booleans()),
    min_size=1,
    max_size=30,
)


@pytest.mark.unchecked
@settings(deadline=None)
@given(rows)
def test_accuracies_are_what_counting_one_by_one_gives(drawn):
    said, labels, groups, hard = (list(column) for column in zip(*drawn, strict=True))
    x = np.array(said, np.float32)[:, None] / 10
    tests = HeldOut(Examples(x, np.array(labels)), np.array(hard), np.array(groups))
    found = tests.accuracies(Says())

    def share(which: list[bool]) -> float | None:
        right = [a == b for a, b, chosen in zip(said, labels, which, strict=True) if chosen]
        return sum(right) / len(right) if right else None

    assert found.test == pytest.approx(share([True] * len(said)))
    assert found.hard == (None if not any(hard) else pytest.approx(share(hard)))
    assert found.groups == {
        name: pytest.approx(share([group == name for group in groups])) for name in set(groups)
    }


def examples(*values: int) -> Examples:
    return Examples(np.array(values, np.float32)[:, None], np.zeros(len(values), np.int64))


class World:
    """Owner `a` holds 0 to 9, of which 3 and above are of group v."""

    duplicates = 0
    overlap = 0

    def holds(self, name: str) -> dict[str, int]:
        return {"u": 3, "v": 7}

    def group_counts(self, name: str, found: Examples) -> dict[str, int]:
        values = found.x[:, 0]
        return {"u": int((values < 3).sum()), "v": int((values >= 3).sum())}


def parts(**changed: Any) -> tuple[Any, Any]:
    """A simulation and a strategy after a run that gives no cause for warning."""
    it = {
        "config": RunConfig(method="hard-features", hard_set_sent=4), "sent": 4, "agreement": 0.5,
        "disclosed": 10, "buys_nothing": False, "duplicates": 0, "overlap": 0, "reuse": False,
        "names": ["a", "b"],
        "records": {"a": OwnerRecord("a"), "b": OwnerRecord("b")}, "metric": ACCURATE,
        "tuning": [0, 1], "suspects": 2, "kept": FinalModel("with owners", None), **changed,
    }  # fmt: skip
    world = World()
    world.duplicates, world.overlap = it["duplicates"], it["overlap"]
    owners = [Owner(name, {}, reuse=it["reuse"]) for name in it["names"]]
    simulation = SimpleNamespace(
        config=it["config"], world=world, scenario=SimpleNamespace(owners=owners)
    )
    trainer = SimpleNamespace(
        config=it["config"],
        knowledge=SimpleNamespace(suspects=np.arange(50) < it["suspects"]),
        hard_set=SimpleNamespace(sent=examples(*range(it["sent"]))),
        hard_set_agreement=lambda: it["agreement"],
        metric=it["metric"],
        splits=SimpleNamespace(
            scoring=SimpleNamespace(y=np.array([0, 1])),
            tuning=SimpleNamespace(y=np.array(it["tuning"])),
        ),
    )
    scoreboard = SimpleNamespace(
        disclosed=it["disclosed"],
        buys_nothing=it["buys_nothing"],
        records=it["records"],
        ranking=lambda: ranked(list(it["records"].values())),
    )
    strategy = SimpleNamespace(
        trainer=trainer, scoreboard=scoreboard, final=it["kept"], asked_again={}
    )
    return simulation, strategy


def reached(hard: float | None, metric: float | None = None, **groups: float) -> Accuracies:
    return Accuracies(0.5, hard, groups or {"u": 0.5, "v": 0.5}, metric)


def warnings(
    final: Any = None, control: Any = None, lucky: Any = None, **changed: Any
) -> list[str]:
    models = {"final": final or reached(0.6), "control": control or reached(0.2)}
    return run_warnings(*parts(**changed), models, lucky or reached(0.4))


@pytest.mark.unchecked
@pytest.mark.parametrize("how", ["free", "baseline"])
def test_a_final_model_that_owners_have_no_part_in_is_not_held_against_luck(how):
    assert warnings(final=reached(0.3), kept=FinalModel(how, None)) == []


@pytest.mark.unchecked
def test_a_good_run_gives_no_warning():
    assert warnings() == []
    # With a detector nothing of the hard set is sent, whatever it is like.
    detector = RunConfig(hard_set_sent=4, method="detector-cover")
    assert warnings(config=detector, sent=1, agreement=0.0) == []


@pytest.mark.parametrize(
    ("changed", "warning"),
    [
        ({"sent": 3}, "only 3 hard examples were found, 4 were to be sent"),
        ({"suspects": 3}, "3 of 50 validation labels look wrong and were left out"),
        ({"agreement": 0.09}, "the hard set does not agree with itself (halves at cosine 0.09)"),
        ({"disclosed": 0}, "nothing was acquired: no owner handed anything over"),
        ({"buys_nothing": True}, "no owner by itself gains anything beyond doubt"),
        (
            {"records": {"a": OwnerRecord("a"), "b": OwnerRecord("b").with_failure("error", 5)}},
            "failed, so the ranking is of the others alone: b (error); an owner's log, or the run's",
        ),
        (
            {"records": {"a": OwnerRecord("a", screening=0.1), "b": OwnerRecord("b")}},
            "not asked, so that nobody knows their worth: b; raise budget, or lower pilot-per-owner",
        ),
        ({"names": ["a", "b", "gone"]}, "did not connect and were not asked: gone"),
        ({"duplicates": 7}, "7 duplicate examples were dropped before drawing"),
        ({"overlap": 3}, "3 rows of the test file stand in the other file too: dropped"),
        ({"reuse": True}, "owners hold examples that other owners hold too, slightly shifted"),
        (
            {"final": reached(0.3)},
            "method hard-features is worse than random picks of the same number (0.300 against 0.400",
        ),
        (
            {"final": reached(0.4)},
            "method hard-features is equal to random picks of the same number (0.400 against 0.400",
        ),
        (
            {"final": reached(0.6, u=0.46, v=0.9), "control": reached(0.2, u=0.5, v=0.5)},
            "accuracy on u fell from 0.500 (control) to 0.460",
        ),
        (
            {"metric": Metric("balanced-accuracy", name="balanced-accuracy", reason="b is rare")},
            "metric = auto is balanced-accuracy here: b is rare",
        ),
        (
            {"metric": Metric("worst-group", name="worst-group")},
            "metric = worst-group: the trainer knows no groups, so its choices and scores go by the worst",
        ),
        (
            {"metric": Metric("recall", label=1, name="recall:b"), "tuning": [0, 0]},
            "metric = recall:b: choices on tuning have no example of that class to go by; give more",
        ),
        (
            # On the failures it is better than luck, and by the metric it is not.
            {
                "metric": Metric("auc", name="auc"),
                "final": reached(0.6, 0.8),
                "lucky": reached(0.4, 0.9),
            },
            "method hard-features is worse than random picks of the same number (0.800 against 0.900 by auc)",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
@pytest.mark.unchecked
def test_each_cause_for_doubt_is_one_warning(changed, warning):
    [found] = warnings(**changed)
    assert found.startswith(warning)


@pytest.mark.parametrize("method", ["random", "full"])
@pytest.mark.unchecked
def test_random_and_full_are_not_held_against_luck(method):
    config = RunConfig(method=method, hard_set_sent=4)
    assert warnings(final=reached(0.1), config=config) == []


@pytest.mark.unchecked
def test_where_the_baseline_fails_nowhere_there_is_no_luck_to_beat():
    assert warnings(final=reached(None), control=reached(None), lucky=reached(None)) == []


@pytest.mark.unchecked
def test_a_fall_of_three_points_is_tolerated():
    final, control = reached(0.6, u=0.4701), reached(0.2, u=0.5)
    assert warnings(final=final, control=control) == []


@pytest.mark.unchecked
def test_owners_are_listed_from_first_to_last_with_groups_counted_by_content():
    records = {
        "a": OwnerRecord("a", acquired=(examples(1, 5), examples(7)), score=Score(0.1, 0.05, 0.2)),
        "b": OwnerRecord("b", failure="error"),
        "c": OwnerRecord("c"),
        "d": OwnerRecord("d", acquired=(examples(0),), screening=3.0),
    }
    simulation, strategy = parts(records=records, names=["gone", "d", "c", "b", "a"])
    output = [each.as_json() for each in _owners(simulation, strategy)]
    assert [(each["owner"], each["status"], each["rank"]) for each in output] == [
        ("a", "scored", 1),
        ("d", "screened", 2),
        ("b", "failed", None),
        ("c", "not-asked", None),
        # It never said its name.
        ("gone", "failed", None),
    ]
    assert [each["disclosed"] for each in output] == [3, 1, 0, 0, 0]
    assert output[0]["disclosed_groups"] == {"u": 1, "v": 2}
    assert [output[0][key] for key in ("score", "low", "high")] == [0.1, 0.05, 0.2]
    assert [output[1][key] for key in ("score", "low", "high")] == [None] * 3
    assert output[2]["disclosed_groups"] == {}
    assert all(each["holds"] == {"u": 3, "v": 7} for each in output)


class Sure(torch.nn.Module):
    """A model whose logits are its input."""

    def forward(self, x):
        return x.float()


class Turned(Sure):
    """Likewise, with the classes in another order."""

    def forward(self, x):
        return x.float().roll(1, dims=1)


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("kind", "truth"),
    [
        ("accuracy", lambda y, p, g: accuracy_score(y, p.argmax(1))),
        ("balanced-accuracy", lambda y, p, g: balanced_accuracy_score(y, p.argmax(1))),
        ("f1", lambda y, p, g: f1_score(y, p.argmax(1), average="macro")),
        ("auc", lambda y, p, g: roc_auc_score(y, p, multi_class="ovr")),
        (
            "worst-group",
            lambda y, p, g: min(accuracy_score(y[g == n], p[g == n].argmax(1)) for n in "uv"),
        ),
    ],
)
def test_a_model_s_metric_and_its_gain_are_of_all_test_examples(kind, truth):
    rng = np.random.default_rng(0)
    y, x = rng.integers(0, 3, 300), rng.normal(size=(300, 3)).astype(np.float32)
    x[np.arange(300), y] += 1
    groups = rng.choice(["u", "v"], 300)
    metric = Metric(kind, name=kind)
    tests = HeldOut.of(Examples(x, y), Sure(), groups, metric)
    values = [
        truth(y, torch.from_numpy(each).double().softmax(1).numpy(), groups)
        for each in (x, np.roll(x, 1, axis=1))
    ]
    assert tests.accuracies(Sure()).metric == pytest.approx(values[0])
    gains = tests.gains(Sure(), Turned(), RunConfig())
    assert gains.metric.gain == pytest.approx(values[0] - values[1])
    assert 0 < gains.metric.low < gains.metric.gain < gains.metric.high
    if kind == "accuracy":
        assert gains.metric == gains.test
