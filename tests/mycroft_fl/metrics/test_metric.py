"""Every metric is what scikit-learn says, on examples as they are and as a bootstrap counts them."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.metrics.metric import ACCURATE, Metric
from mycroft_fl.metrics.names import FORMS, check_metric, metric_from_folder
from mycroft_fl.scoring import gain_with_interval

CLASSES = ("a", "b", "c")
COSTS = np.array([[0.0, 0.2, 1.0], [0.1, 0.0, 0.5], [0.3, 0.4, 0.2]])
COSTLY = Metric("cost", costs=COSTS, name="cost:file")


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(axis=-1, keepdims=True)


@st.composite
def judged(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities with many ties, and how often each example counts, of 2 or 3 classes."""
    n, width = draw(st.integers(2, 25)), draw(st.sampled_from([2, 3]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    y = rng.integers(0, draw(st.integers(1, width)), n)
    rounding = draw(st.sampled_from([0, 6]))
    return y, softmax(rng.normal(size=(n, width)).round(rounding)), rng.integers(0, 4, n)


def macro_auc(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """scikit-learn's, one class against the rest; a class that has no pair counts as 0."""
    classes = [1] if p.shape[1] == 2 else np.unique(y)
    areas = []
    for c in classes:
        lacks = w[y == c].sum() == 0 or w[y != c].sum() == 0
        areas.append(0.0 if lacks else sk.roc_auc_score(y == c, p[:, c], sample_weight=w))
    return float(np.mean(areas))


def balanced(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    recalls = sk.recall_score(
        y, p.argmax(1), labels=np.unique(y), average=None, sample_weight=w, zero_division=0
    )
    return float(np.mean(recalls))


def recall_of_b(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    return float(
        sk.recall_score(
            y, p.argmax(1), labels=[1], average="macro", sample_weight=w, zero_division=0
        )
    )


def macro_f1(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    return float(
        sk.f1_score(
            y, p.argmax(1), labels=np.unique(y), average="macro", sample_weight=w, zero_division=0
        )
    )


def accuracy(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    return float(sk.accuracy_score(y, p.argmax(1), sample_weight=w))


def worst(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    there = [c for c in np.unique(y) if w[y == c].sum()]
    return min(accuracy(y[y == c], p[y == c], w[y == c]) for c in there)


def minus_cost(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    confusion = sk.confusion_matrix(y, p.argmax(1), labels=[0, 1, 2], sample_weight=w)
    return -float((confusion * COSTS).sum() / w.sum())


TRUTH: dict[str, tuple[Metric, Callable[[np.ndarray, np.ndarray, np.ndarray], float]]] = {
    "accuracy": (ACCURATE, accuracy),
    "balanced": (Metric.of("balanced-accuracy", CLASSES), balanced),
    "recall": (Metric.of("recall:b", CLASSES), recall_of_b),
    "f1": (Metric.of("f1", CLASSES), macro_f1),
    "auc": (Metric.of("auc", CLASSES), macro_auc),
    "worst": (Metric.of("worst-group", CLASSES), worst),
    "cost": (COSTLY, minus_cost),
}
every = pytest.mark.parametrize("name", TRUTH)


@every
@settings(deadline=None)
@given(case=judged())
def test_a_value_is_scikit_learns(name: str, case: tuple[np.ndarray, ...]) -> None:
    y, p, _ = case
    metric, truth = TRUTH[name]
    assert metric.value(y, p) == pytest.approx(truth(y, p, np.ones(len(y))))


@settings(deadline=None)
@given(case=judged())
def test_where_all_classes_are_there_it_is_scikit_learns_own_average(
    case: tuple[np.ndarray, ...],
) -> None:
    y, p, _ = case
    if len(np.unique(y)) < p.shape[1]:
        return
    binary = p.shape[1] == 2
    auc = sk.roc_auc_score(y, p[:, 1]) if binary else sk.roc_auc_score(y, p, multi_class="ovr")
    answers = p.argmax(1)
    assert TRUTH["auc"][0].value(y, p) == pytest.approx(auc)
    assert TRUTH["balanced"][0].value(y, p) == pytest.approx(sk.balanced_accuracy_score(y, answers))
    assert TRUTH["f1"][0].value(y, p) == pytest.approx(sk.f1_score(y, answers, average="macro"))


@every
@settings(deadline=None, max_examples=40)
@given(case=judged(), seed=st.integers(0, 2**32), repeats=st.integers(1, 3))
def test_a_score_and_its_interval_are_of_the_metric_computed_anew_for_each_resample(
    name: str, case: tuple[np.ndarray, ...], seed: int, repeats: int
) -> None:
    y, p, _ = case
    metric, truth = TRUTH[name]
    rng = np.random.default_rng(seed)
    runs = softmax(rng.normal(size=(2, repeats, *p.shape)).round(1))
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        patch.setattr("mycroft_fl.scoring.DRAWS", 12)
        patch.setattr("mycroft_fl.metrics.metric.A_BLOCK", 5 * len(y))
        found = gain_with_interval(*runs, confidence=0.8, seed=seed, metric=metric.on(y))
    ones = np.ones(len(y))
    means = [np.mean([truth(y, each, ones) for each in half]) for half in runs]
    assert found.gain == pytest.approx(means[0] - means[1])
    # The same draws by hand: which repeats, then which examples.
    draw = np.random.default_rng(seed)
    of_repeats = draw.multinomial(repeats, np.full(repeats, 1 / repeats), size=12) / repeats
    counts = draw.multinomial(len(y), np.full(len(y), 1 / len(y)), size=12)
    resampled = [
        sum(
            share * (truth(y, runs[0, r], count) - truth(y, runs[1, r], count))
            for r, share in enumerate(shares)
        )
        for shares, count in zip(of_repeats, counts, strict=True)
    ]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(resampled, [0.1, 0.9])))


@settings(deadline=None)
@given(case=judged(), seed=st.integers(0, 2**32))
def test_probabilities_and_right_or_wrong_give_one_accuracy_to_the_last_bit(
    case: tuple[np.ndarray, ...], seed: int
) -> None:
    y, p, _ = case
    runs = softmax(np.random.default_rng(seed).normal(size=(2, 3, *p.shape)))
    right = runs.argmax(axis=3) == y
    by_metric = gain_with_interval(*runs, confidence=0.9, seed=1, metric=ACCURATE.on(y))
    assert by_metric == gain_with_interval(*right, confidence=0.9, seed=1)
    assert ACCURATE.value(y, p) == float((p.argmax(1) == y).mean())


@given(case=judged())
def test_the_worst_group_is_the_least_accuracy_of_a_group(case: tuple[np.ndarray, ...]) -> None:
    y, p, groups = case
    names = np.array(["u", "v", "w", "x"])[groups]
    shares = [sk.accuracy_score(y[names == g], p[names == g].argmax(1)) for g in set(names)]
    assert TRUTH["worst"][0].value(y, p, names) == pytest.approx(min(shares))
    # No other metric looks at groups.
    assert TRUTH["auc"][0].value(y, p, names) == TRUTH["auc"][0].value(y, p)


@every
@given(case=judged())
def test_a_model_that_is_sure_and_right_has_the_best_value(
    name: str, case: tuple[np.ndarray, ...]
) -> None:
    y, p, _ = case
    perfect = np.eye(p.shape[1])[y]
    metric = TRUTH[name][0]
    value = metric.value(y, perfect)
    assert -1 <= metric.value(y, p) <= 1
    assert value >= metric.value(y, p)
    if name in ("balanced", "accuracy", "f1", "worst"):
        assert value == pytest.approx(1)


@given(case=judged())
def test_what_failures_lose_adds_up_to_what_the_metric_lacks(case: tuple[np.ndarray, ...]) -> None:
    y, p, _ = case
    for name in ("accuracy", "balanced", "cost"):
        metric, truth = TRUTH[name]
        perfect = truth(y, np.eye(p.shape[1])[y], np.ones(len(y)))
        lost = metric.lost(y, p.argmax(1)).mean()
        assert lost == pytest.approx(perfect - truth(y, p, np.ones(len(y))))
    lost = TRUTH["recall"][0].lost(y, p.argmax(1))
    assert np.array_equal(lost > 0, (y == 1) & (p.argmax(1) != 1))


@pytest.mark.parametrize(
    ("counts", "taken"),
    [
        ((94, 6), "balanced-accuracy"),
        ((500, 500), "accuracy"),
        ((700, 300), "accuracy"),
        ((351, 50), "balanced-accuracy"),  # 50 of an equal share of 200.5: just below a quarter
        ((350, 50), "accuracy"),
        ((30, 1), "accuracy"),  # an equal share is 15.5: luck could do that
        ((31, 1), "balanced-accuracy"),
        ((100, 0, 100), "accuracy"),  # a class that is nowhere cannot be weighed
        ((100, 12, 100), "balanced-accuracy"),
        ((50, 0, 0), "accuracy"),
    ],
)
def test_auto_takes_balanced_accuracy_where_the_rarest_class_is_far_below_an_equal_share(
    counts: tuple[int, ...], taken: str
) -> None:
    y = np.repeat(np.arange(len(counts)), counts)
    metric = Metric.chosen("auto", CLASSES, y)
    assert metric.name == metric.kind == taken
    assert bool(metric.reason) == (taken == "balanced-accuracy")
    assert Metric.chosen("f1", CLASSES, y).kind == "f1"


def test_auto_names_the_rarest_class_and_how_few_it_has() -> None:
    reason = Metric.chosen("auto", ("no", "yes"), np.repeat([0, 1], [94, 6])).reason
    assert reason == (
        "class 'yes' has 6 of 100 validation examples, less than a quarter of an equal share (50)"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("acuracy", "metric is 'acuracy'; did you mean 'accuracy'?"),
        ("xyz", f"metric is 'xyz'; choose from {sorted(FORMS)}"),
        ("recall", "metric is 'recall'; give recall:CLASS, with the class"),
        ("recall: ", "metric is 'recall: '; give recall:CLASS, with the class"),
        ("cost", "metric is 'cost'; give cost:FILE, with the file"),
        ("auc:b", "metric is 'auc:b'; did you mean 'auc'?"),
    ],
)
def test_a_metric_that_does_not_exist_is_refused_with_what_would_do(
    text: str, message: str
) -> None:
    with pytest.raises(SettingError) as error:
        check_metric(text)
    assert str(error.value) == message


@pytest.mark.parametrize("text", ["auto", *TRUTH, "recall:a:b", "cost:x.csv"])
def test_a_name_in_form_passes(text: str) -> None:
    names = {"balanced": "balanced-accuracy", "recall": "recall:b", "worst": "worst-group"}
    check_metric({**names, "cost": "cost:y.csv"}.get(text, text))


def test_recall_of_a_class_that_the_task_lacks_suggests_one() -> None:
    with pytest.raises(SettingError) as error:
        Metric.of("recall:atack", ("attack", "normal"))
    assert str(error.value) == "metric names the unknown class 'atack'; did you mean 'attack'?"


def test_recall_of_a_class_that_validation_lacks_is_refused() -> None:
    with pytest.raises(DataError) as error:
        Metric.chosen("recall:c", CLASSES, np.array([0, 1, 1]))
    assert str(error.value) == (
        "metric is 'recall:c', and none of 3 validation examples is of that class; give some, or choose "
        "another metric"
    )


def test_a_class_may_have_a_colon_in_its_name() -> None:
    assert Metric.of("recall:a:b", ("c", "a:b")).label == 1


def test_a_file_of_costs_is_taken_from_the_folder_where_it_lies(tmp_path) -> None:
    (tmp_path / "costs.csv").write_text("")
    assert metric_from_folder("cost:costs.csv", tmp_path) == f"cost:{tmp_path}/costs.csv"
    for same in ("cost:other.csv", "cost:/else/costs.csv", "recall:costs.csv", "auc"):
        assert metric_from_folder(same, tmp_path) == same
