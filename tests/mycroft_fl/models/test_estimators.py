"""scikit-learn classifiers as a trainer's model: against scikit-learn itself."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from mycroft_fl.data.sources import load_dataset
from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.examples import Examples
from mycroft_fl.models import weight_archive
from mycroft_fl.models.catalogue import build_model
from mycroft_fl.models.estimators import (
    ESTIMATORS,
    Estimator,
    build_estimator,
    load_estimator,
    save_estimator,
)
from mycroft_fl.models.fitting import (
    FineTuneSettings,
    FitSettings,
    accuracy,
    fine_tune,
    fit,
    losses,
    predict,
)
from mycroft_fl.models.sources import Source
from mycroft_fl.models.weights import loaded, save_model, suffix_of
from mycroft_fl.settings.run_config import RunConfig
from strategies.rounds.compatibility import check_gradient_model

FIT, TUNE = FitSettings(1, 8, 0.1), FineTuneSettings(1, 8, 0.1)


@pytest.fixture(scope="module")
def digits() -> Examples:
    return load_dataset("digits", Path()).examples[np.arange(400)]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_each_learns_saves_and_comes_back_the_same(name, digits, tmp_path):
    train, test = digits[np.arange(300)], digits[np.arange(300, 400)]
    model = fit(build_model(name, (1, 8, 8), 10, seed=0), train, None, FIT, seed=1)
    assert accuracy(model, test) > 0.5
    path = tmp_path / f"m{suffix_of(model)}"
    save_model(model, path)
    again = loaded(build_estimator(name, 10), path)
    np.testing.assert_array_equal(again.probabilities(test.x), model.probabilities(test.x))
    same = fit(build_estimator(name, 10), train, None, FIT, seed=1)
    np.testing.assert_array_equal(predict(same, test.x), predict(model, test.x))


def test_a_fit_is_scikit_learns_own(digits):
    ours = fit(build_estimator("random-forest", 10), digits, None, FIT, seed=5)
    theirs = RandomForestClassifier(random_state=5)
    theirs.fit(digits.x.reshape(400, -1).astype(np.float32) / 255, digits.y)
    x = digits.x.reshape(400, -1).astype(np.float32) / 255
    np.testing.assert_array_equal(ours.probabilities(digits.x), theirs.predict_proba(x))
    chosen = theirs.predict_proba(x)[np.arange(400), digits.y]
    np.testing.assert_allclose(losses(ours, digits), -np.log(np.maximum(chosen, 1e-12)), rtol=1e-5)


def test_a_fine_tune_is_a_fit_with_each_source_weighing_its_share(digits):
    x = digits.x.reshape(400, -1).astype(np.float32) / 255
    few = digits[np.arange(300, 310)]
    sources = [Source(digits[np.arange(300)], 1.0), Source(few, 0.25), Source(few[:0], 0.5)]
    ours = fine_tune(build_estimator("logistic-regression", 10), sources, TUNE, seed=0)
    theirs = LogisticRegression(max_iter=1000)
    weights = np.repeat([0.75 * 310 / 300, 0.25 * 310 / 10], [300, 10])
    theirs.fit(x[:310], digits.y[:310], sample_weight=weights)
    np.testing.assert_allclose(ours.probabilities(digits.x), theirs.predict_proba(x), atol=1e-6)


def test_a_class_that_was_never_seen_has_probability_zero(digits):
    known = digits[digits.y < 7]
    model = fit(build_estimator("decision-tree", 10), known, None, FIT, seed=0)
    assert model.probabilities(digits.x).shape == (400, 10)
    assert not model.probabilities(digits.x)[:, 7:].any()
    unseen = digits[digits.y == 9]
    np.testing.assert_allclose(losses(model, unseen), -np.log(1e-12), rtol=1e-5)
    assert accuracy(model, unseen) == 0


def test_any_classifier_is_found_by_its_path_and_nothing_else_is():
    assert isinstance(build_estimator("sklearn.naive_bayes:GaussianNB", 3), Estimator)
    for wrong, words in [
        ("sklearn.naive_bayes:NoSuch", "cannot be imported"),
        ("no.such.module:Class", "cannot be imported"),
        ("sklearn.svm:LinearSVC", "fit and predict_proba"),
    ]:
        with pytest.raises(SettingError, match=words):
            build_estimator(wrong, 3)
    with pytest.raises(SettingError, match="did you mean 'random-forest'"):
        build_model("random-forrest", (4,), 3, seed=0)


def test_a_classifier_that_takes_no_weights_says_so(digits):
    model = build_estimator("sklearn.neighbors:KNeighborsClassifier", 10)
    with pytest.raises(SettingError, match="cannot be fitted"):
        fine_tune(model, [Source(digits, 1.0)], TUNE, seed=0)


def test_weights_of_another_kind_or_that_would_run_code_are_refused(digits, tmp_path):
    import skops.io

    path = tmp_path / "m.skops"
    save_model(fit(build_estimator("decision-tree", 10), digits, None, FIT, seed=0), path)
    with pytest.raises(
        DataError, match=r"'random-forest' .it holds a DecisionTreeClassifier, not a RandomForestC"
    ):
        loaded(build_estimator("random-forest", 10), path)
    with pytest.raises(DataError, match="not fitted on labels 0 to 4"):
        loaded(build_estimator("decision-tree", 5), path)
    with pytest.raises(DataError, match="no weights at"):
        loaded(build_estimator("decision-tree", 10), tmp_path / "none.skops")
    hostile = DecisionTreeClassifier().fit([[0.0], [1.0]], [0, 1])
    hostile.extra_ = os.getcwd  # a function of no classifier
    skops.io.dump(hostile, path)
    with pytest.raises(DataError, match="which are not trusted here"):
        loaded(build_estimator("decision-tree", 10), path)
    path.write_bytes(b"junk")
    with pytest.raises(DataError, match="not a readable skops file"):
        loaded(build_estimator("decision-tree", 10), path)


def test_a_method_that_needs_gradients_says_what_would_do():
    with pytest.raises(SettingError, match=r'use method = "features" .* or set proxy = "mlp"'):
        check_gradient_model("random-forest", RunConfig(method="omp"), "a-model")
    with pytest.raises(SettingError, match="feature-space 'model' looks through a network"):
        check_gradient_model(
            "random-forest", RunConfig(method="features", feature_space="model"), "nothing"
        )
    with pytest.raises(SettingError, match="proxy is 'forest', not a network"):
        check_gradient_model("random-forest", RunConfig(proxy="forest"), "a-model")
    check_gradient_model("random-forest", RunConfig(method="omp", proxy="mlp"), "a-model")
    check_gradient_model("random-forest", RunConfig(method="features"), "nothing")
    check_gradient_model("mlp", RunConfig(method="omp"), "a-model")


def test_a_class_of_two_examples_does_not_ruin_boosting_on_all_others():
    every = load_dataset("digits", Path()).examples
    train, test = every[np.arange(600)], every[np.arange(600, 900)]
    known, others = train[train.y < 3], test[test.y < 3]
    odd = train[train.y == 9][np.arange(6, 8)]
    subset = Examples.concatenate([odd, known[np.arange(40, 60)]])
    model = build_estimator("gradient-boosting", 10)
    sources = [Source(known, 1.0), Source(subset, 0.05)]
    assert accuracy(fine_tune(model, sources, TUNE, seed=0), others) > 0.9


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_one_class_alone_is_fitted_or_refused_in_words(name, digits):
    one = digits[digits.y == 3]
    if name in ("gradient-boosting", "logistic-regression"):
        with pytest.raises(SettingError, match=r"cannot be fitted: .*class"):
            build_estimator(name, 10).fitted(one, seed=0)
    else:
        fitted = build_estimator(name, 10).fitted(one, seed=0)
        assert fitted.predict(one.x[:5]).tolist() == [3] * 5


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "name",
    [
        "sklearn.neural_network:MLPClassifier",
        "sklearn.calibration:CalibratedClassifierCV",
        "sklearn.gaussian_process:GaussianProcessClassifier",
        "sklearn.ensemble:AdaBoostClassifier",
        "sklearn.naive_bayes:GaussianNB",
    ],
)
def test_classifiers_of_scikit_learn_are_kept_and_read_again_as_a_strangers(
    name, tmp_path, monkeypatch
):
    rng = np.random.default_rng(0)
    examples = Examples(rng.normal(size=(60, 4)).astype(np.float32), rng.integers(0, 3, 60))
    fitted = build_estimator(name, 3).fitted(examples, seed=0)
    save_estimator(fitted, tmp_path / "m.skops")
    monkeypatch.setattr(weight_archive, "_sound", set())
    again = load_estimator(build_estimator(name, 3), tmp_path / "m.skops")
    assert np.array_equal(again.probabilities(examples.x), fitted.probabilities(examples.x))


def test_what_would_not_be_read_again_is_refused_before_it_is_written(tmp_path):
    rng = np.random.default_rng(0)
    examples = Examples(rng.normal(size=(60, 4)).astype(np.float32), rng.integers(0, 3, 60))
    fitted = build_estimator("sklearn.neighbors:KNeighborsClassifier", 3).fitted(examples, seed=0)
    with pytest.raises(SettingError, match=r"cannot be kept: .*sklearn.*algorithm='brute'"):
        save_estimator(fitted, tmp_path / "m.skops")
    assert list(tmp_path.iterdir()) == []
