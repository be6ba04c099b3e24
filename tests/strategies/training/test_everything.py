"""Everything that a trainer knows: what is trained on, which model is free, and which is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mycroft_fl.examples import Examples
from mycroft_fl.models.catalogue import build_model
from mycroft_fl.models.fitting import FitSettings, accuracy, correct, fit
from mycroft_fl.settings.run_config import RunConfig
from strategies.training import everything as module
from strategies.training.everything import SHARES, Everything, FinalModel, FreeRival

CONFIG = RunConfig(fine_tune_steps=60)
MOVED = 1


def clouds(seed: int, n: int, moved: bool) -> Examples:
    """Two classes; where they have `moved`, the second lies elsewhere."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    x = rng.normal(size=(n, 4)).astype(np.float32) * 0.5
    x[:, 0] += np.where(y == 1, 3.0, 0.0)
    if moved:
        x[y == 1] += np.array([-3.0, 4.0, 0.0, 0.0], np.float32)
    return Examples(x, y.astype(np.int64))


def parts(model: str = "mlp") -> dict:
    train = clouds(0, 200, moved=False)
    seen = Examples.concatenate([clouds(1, 60, moved=False), clouds(2, 60, moved=True)])
    tuning = Examples.concatenate([clouds(3, 60, moved=False), clouds(4, 60, moved=True)])
    start = build_model(model, (4,), 2, seed=0)
    baseline = fit(start, train, None, FitSettings(10, 32, 3e-3), seed=0)
    return {
        "start": baseline, "baseline": baseline, "train": train, "validation": seen,
        "tuning": tuning, "config": CONFIG,
    }  # fmt: skip


@pytest.fixture(scope="module")
def known() -> dict:
    return parts()


def test_failures_are_mended_and_right_ones_join_the_own_data(known) -> None:
    everything = Everything(**known)
    right = correct(known["baseline"], known["validation"])
    assert 10 < (~right).sum() < 60
    assert everything.failures.ids.tolist() == known["validation"][~right].ids.tolist()
    assert len(everything.own) == len(known["train"]) + right.sum()
    # Nothing that is tuned on is trained on.
    trained = np.concatenate([everything.own.ids, everything.failures.ids])
    assert not np.isin(known["tuning"].ids, trained).any()


@pytest.mark.parametrize("model", ["mlp", "linear", "random-forest"])
def test_what_a_trainer_holds_is_a_strong_rival_for_any_model(model) -> None:
    made = parts(model)
    free = Everything(**made).free({"baseline": made["baseline"]})
    assert free.name.startswith("all failures, share")
    test = clouds(9, 300, moved=True)
    assert accuracy(free.model, test) > accuracy(made["baseline"], test) + 0.2


@pytest.mark.unchecked
def test_the_best_on_tuning_is_free_and_of_equals_the_one_that_knows_more(
    known, monkeypatch
) -> None:
    reached = {}
    everything = Everything(**known)
    monkeypatch.setattr(module, "judged", lambda model, examples, metric: reached[model])
    monkeypatch.setattr(module, "correct", lambda model, examples: np.ones(len(examples), bool))
    monkeypatch.setattr(
        everything, "tuned", lambda share, acquired=None, repeat=0: f"share {share}"
    )
    reached |= {"a": 0.9, "b": 0.5, **{f"share {each}": 0.6 for each in everything._shares()}}
    assert everything.free({"x": "a", "y": "b"}) == FreeRival("x", "a")
    reached["share 0.3"] = 0.87  # worse, but not clearly
    assert everything.free({"x": "a", "y": "b"}) == FreeRival(
        "all failures, share 0.3", "share 0.3"
    )


@pytest.mark.unchecked
@pytest.mark.parametrize(("worse_by", "kept"), [(-0.1, True), (0.039, True), (0.041, False)])
def test_it_is_given_up_only_where_tuning_is_clear(known, monkeypatch, worse_by, kept) -> None:
    reached = {"free": 0.8, "low": 0.1, "mine": 0.8 - worse_by}
    everything = Everything(**known)
    monkeypatch.setattr(module, "judged", lambda model, examples, metric: reached[model])
    monkeypatch.setattr(module, "correct", lambda model, examples: np.ones(len(examples), bool))
    chosen = everything.better_of(["low", "mine"], FreeRival("free", "free"))
    assert (chosen.how, chosen.model) == (("with owners", "mine") if kept else ("free", "free"))


@pytest.mark.unchecked
@pytest.mark.parametrize(("apart", "clear"), [(30, False), (0, True)])
def test_what_few_examples_of_tuning_say_is_no_clear_difference(
    known, monkeypatch, apart, clear
) -> None:
    everything = Everything(**known)
    n = len(known["tuning"])
    # The rival is right on 6 more; of as many as they differ on, a standard error follows.
    rights = {"rival": np.arange(n) < 6 + apart, "mine": np.arange(n) >= n - apart}
    if clear:
        rights = {"rival": np.arange(n) < 100, "mine": np.arange(n) < 94}
    monkeypatch.setattr(module, "judged", lambda model, examples, metric: rights[model].mean())
    monkeypatch.setattr(module, "correct", lambda model, examples: rights[model])
    differs = rights["rival"].astype(int) - rights["mine"]
    assert differs.mean() == pytest.approx(6 / n)
    assert 6 / n > module.MARGIN
    error = np.sqrt(((differs - differs.mean()) ** 2).mean() / n)
    chosen = everything.better_of(["mine"], FreeRival("free", "rival"))
    assert chosen.how == ("free" if 6 / n > error else "with owners")
    assert (chosen.how == "free") == clear


@pytest.mark.unchecked
def test_without_anything_acquired_the_free_model_is_the_final_one(known) -> None:
    everything, free = Everything(**known), FreeRival("free", "free")
    assert everything.with_acquired(None, free) == FinalModel("free", "free")
    assert everything.with_acquired(clouds(1, 0, moved=False), free).how == "free"


@pytest.mark.unchecked
def test_without_anything_acquired_a_free_model_that_harms_too_much_is_given_up(
    known, monkeypatch
) -> None:
    everything = Everything(**{**known, "config": replace(CONFIG, harm_at_most=2.0)})
    harms = {"free": 5.0}
    monkeypatch.setattr(everything, "_harmless", lambda models: [
        each for each in models if harms[each] <= 2.0
    ])  # fmt: skip
    assert everything.with_acquired(None, FreeRival("free", "free")).how == "baseline"
    harms["free"] = 1.0
    assert everything.with_acquired(None, FreeRival("free", "free")).how == "free"


def test_what_was_acquired_stands_beside_the_failures(known) -> None:
    everything = Everything(**known)
    free = everything.free({"baseline": known["baseline"]})
    useful = clouds(11, 150, moved=True)
    test = clouds(9, 500, moved=True)
    final = everything.with_acquired(useful, free)
    assert final.how == "with owners"
    assert accuracy(final.model, test) >= accuracy(free.model, test) - 0.01
    # Labels of the other class lead it astray: then it is given up.
    turned = Examples(np.repeat(useful.x, 20, axis=0), np.repeat(1 - useful.y, 20))
    assert everything.with_acquired(turned, free).how == "free"


def test_the_free_rival_may_choose_among_as_many_shares_as_the_final_model(known) -> None:
    everything = Everything(**known)
    free, final = everything._shares(), everything._shares(clouds(11, 150, moved=True))
    assert len(free) == len(final) == len(SHARES) + 1
    hard, own = len(everything.failures), len(everything.own)
    assert round(hard / (hard + own), 3) in free
    assert round((hard + 150) / (hard + 150 + own), 3) in final
