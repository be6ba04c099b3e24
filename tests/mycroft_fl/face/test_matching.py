"""The engine's face: plain arrays in, scikit-learn's own results beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import OrthogonalMatchingPursuit as Theirs
from sklearn.utils.estimator_checks import parametrize_with_checks

import mycroft_fl as mf
from mycroft_fl.errors import DataError, SettingError
from mycroft_fl.face.matching import OrthogonalMatchingPursuit
from mycroft_fl.represent.gradients.atoms import DenseAtoms

RNG = np.random.default_rng(0)


@pytest.mark.unchecked
@parametrize_with_checks([OrthogonalMatchingPursuit(), OrthogonalMatchingPursuit(positive=True)])
def test_scikit_learn_takes_it_for_an_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("given", [{"n_nonzero_coefs": 7}, {"tol": 150.0}, {}])
@pytest.mark.parametrize("intercept", [True, False])
def test_it_fits_what_scikit_learn_fits(given, intercept):
    x = RNG.normal(size=(60, 30))
    y = x[:, :4] @ [3.0, -2.0, 1.5, 1.0] + 2 + 0.1 * RNG.normal(size=60)
    ours = mf.OrthogonalMatchingPursuit(**given, fit_intercept=intercept).fit(x, y)
    scaled = x - x.mean(axis=0) if intercept else x
    norms = np.linalg.norm(scaled, axis=0)
    # Theirs takes columns of one norm for granted.
    theirs = Theirs(**given, fit_intercept=intercept).fit(scaled / norms, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_ / norms, atol=1e-6)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(scaled / norms), atol=1e-6)
    assert ours.n_iter_ == np.count_nonzero(theirs.coef_)


def test_positive_coefficients_are_those_of_non_negative_least_squares_on_what_was_picked():
    from scipy.optimize import nnls

    x, y = RNG.normal(size=(50, 12)), RNG.normal(size=50)
    ours = mf.OrthogonalMatchingPursuit(n_nonzero_coefs=12, positive=True, fit_intercept=False)
    ours.fit(x, y)
    np.testing.assert_allclose(ours.coef_, nnls(x, y)[0], atol=1e-6)


@pytest.mark.parametrize("form", ["lists", "float32", "tensor", "atoms", "integers"])
def test_arrays_of_any_kind_give_the_same_pursuit(form):
    atoms = 3 * np.eye(9)
    target = atoms[3] + 2 * atoms[7]
    given = {
        "lists": (atoms.tolist(), target.tolist()),
        "float32": (atoms.astype(np.float32), target),
        "tensor": (torch.from_numpy(atoms), torch.from_numpy(target)),
        "atoms": (DenseAtoms(torch.from_numpy(atoms)), torch.from_numpy(target)),
        "integers": (atoms.astype(int), target.astype(int)),
    }[form]
    found = mf.orthogonal_matching_pursuit(*given, k=2)
    assert sorted(found.indices.tolist()) == [3, 7]
    assert found.unexplained == pytest.approx(0, abs=1e-5)


def test_facility_location_takes_what_brute_force_takes_first():
    rows, weights = RNG.normal(size=(12, 3)), RNG.random(12)
    square = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    likeness = np.exp(-square / np.median(square[~np.eye(12, dtype=bool)]))
    wanted = int((weights @ likeness).argmax())
    assert mf.facility_location(rows, 1, weights=weights).indices.tolist() == [wanted]
    named = mf.facility_location(rows, 2, labels=["a"] * 6 + ["b"] * 6)
    assert sorted(place // 6 for place in named.indices.tolist()) == [0, 1]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: mf.orthogonal_matching_pursuit([[1.0, 0]], [1.0, 0], k=0), SettingError),
        (lambda: mf.orthogonal_matching_pursuit([[1.0, np.nan]], [1.0, 0], k=1), DataError),
        (lambda: mf.facility_location([1.0, 2.0], 1), DataError),
        (lambda: mf.facility_location([[1.0]], 1, weights=[1, 2]), DataError),
    ],
)
def test_mistakes_are_told(call, error):
    with pytest.raises(error):
        call()
