"""A stranger's classifier in skops: read and used, or refused; it ends and holds nobody's process."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

from mycroft_fl.errors import DataError
from mycroft_fl.models import weight_archive
from mycroft_fl.models.estimators import Estimator, build_estimator, load_estimator
from mycroft_fl.models.soundness import check_estimator
from mycroft_fl.models.weight_archive import Wanted

HERE = Path(__file__).parent
X = np.random.default_rng(0).integers(0, 5, (60, 4)).astype(np.float32)
Y = np.repeat([0, 1, 2], 20)
BREAKABLE = [
    "tree", "forest", "extra", "hist", "boosting", "ada", "logistic", "neighbours", "machine", "network"
]  # fmt: skip


def tree() -> DecisionTreeClassifier:
    return DecisionTreeClassifier(random_state=0).fit(X, Y)


def with_nodes(model: Any, change: dict[str, int], row: int = 0) -> bytes:
    """The model in skops with some numbers of the first array of nodes changed, as it lies in the file."""
    source = zipfile.ZipFile(io.BytesIO(skops.io.dumps(model)))
    out, changed = io.BytesIO(), False
    with zipfile.ZipFile(out, "w") as archive:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith(".npy") and not changed:
                array = np.load(io.BytesIO(content))
                if array.dtype.names and set(change) <= set(array.dtype.names):
                    for field, value in change.items():
                        array[field][row] = value
                    content, changed = _npy(array), True
            archive.writestr(name, content)
    assert changed
    return out.getvalue()


def _npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        (tree, {"left_child": 2**40}, "a child that is not there"),
        (tree, {"right_child": -7}, "leads back to where it came from"),
        (tree, {"left_child": 0}, "leads back to where it came from"),
        (tree, {"feature": 2**40}, "looks at a feature that is not there"),
        (lambda: RandomForestClassifier(2).fit(X, Y), {"left_child": 2**40}, "a child that is not"),
        (lambda: HistGradientBoostingClassifier(max_iter=2).fit(X, Y), {"left": 2**31}, "a child"),
        (lambda: HistGradientBoostingClassifier(max_iter=2).fit(X, Y), {"left": 0}, "leads back"),
        (lambda: HistGradientBoostingClassifier(max_iter=2).fit(X, Y), {"feature_idx": 99}, "feature"),
    ],
)  # fmt: skip
def test_a_tree_that_leads_out_or_back_is_refused_before_it_is_used(kind, change, said) -> None:
    model = kind()
    weight_archive.opened(skops.io.dumps(model), Wanted(type(model), 3))
    with pytest.raises(ValueError, match=said):
        weight_archive.opened(with_nodes(model, change), Wanted(type(model), 3))


def test_a_tree_that_claims_more_nodes_than_it_has_is_refused() -> None:
    model = tree()
    state = model.tree_.__getstate__()
    model.tree_.__setstate__({**state, "node_count": 10**9})
    with pytest.raises(ValueError, match="claims nodes that it does not have"):
        check_estimator(model)


def test_a_forest_whose_trees_look_further_than_it_does_is_refused() -> None:
    model = RandomForestClassifier(2, random_state=0).fit(X, Y)
    model.n_features_in_ = 2
    with pytest.raises(ValueError, match="a forest's trees differ in features"):
        check_estimator(model)


def test_settings_by_which_a_fit_would_not_end_are_refused_and_others_taken_back() -> None:
    model = RandomForestClassifier(2).fit(X, Y).set_params(n_jobs=10**6, verbose=9)
    check_estimator(model)
    assert model.n_jobs is None
    assert model.verbose == 0
    with pytest.raises(ValueError, match="n_estimators is 1000000000, above 10000"):
        check_estimator(model.set_params(n_estimators=10**9))
    with pytest.raises(ValueError, match="max_iter"):
        check_estimator(LogisticRegression(max_iter=10**9).fit(X, Y))


@pytest.mark.slow
def test_a_strangers_file_is_refused_by_one_line_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "weights.skops"
    path.write_bytes(with_nodes(tree(), {"left_child": 2**40}))
    with pytest.raises(
        DataError, match=r"weights.skops is not a readable skops file of model"
    ) as output:
        load_estimator(build_estimator("decision-tree", 3), path)
    assert len(str(output.value).splitlines()) == 1


KILLER = """
import os, signal
from sklearn.naive_bayes import GaussianNB
class Killer(GaussianNB):
    def predict_proba(self, x):
        os.kill(os.getpid(), signal.SIGSEGV)
class Sleeper(GaussianNB):
    def predict_proba(self, x):
        while True: pass
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"),
    [("Killer", "ends the process that reads it"), ("Sleeper", "ends the process")],
)
def test_what_no_check_thought_of_ends_another_process(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "killing.py").write_text(KILLER)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv(weight_archive.SECONDS_SETTING, "40")
    model = build_estimator(f"killing:{name}", 3)
    path = tmp_path / "m.skops"
    path.write_bytes(skops.io.dumps(model.classifier.fit(X, Y)))
    with pytest.raises(DataError, match=said):
        load_estimator(model, path)


def test_a_file_of_this_process_and_one_that_was_tried_are_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mycroft_fl.models.estimators import save_estimator

    tried: list[bytes] = []
    monkeypatch.setattr(weight_archive, "_try", lambda content, *_: tried.append(content))
    monkeypatch.setattr(weight_archive, "_sound", set())
    model = Estimator("sklearn.naive_bayes:GaussianNB", GaussianNB().fit(X, Y), 3)
    save_estimator(model, tmp_path / "ours.skops")
    load_estimator(model, tmp_path / "ours.skops")
    assert not tried
    (tmp_path / "theirs.skops").write_bytes(skops.io.dumps(GaussianNB().fit(X[::-1], Y)))
    for _ in range(2):
        load_estimator(model, tmp_path / "theirs.skops")
    assert len(tried) == 1


def test_an_archive_that_claims_terabytes_is_refused_before_room_is_made() -> None:
    source = zipfile.ZipFile(io.BytesIO(skops.io.dumps(tree())))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith(".npy"):
                head = io.BytesIO()
                np.lib.format.write_array_header_1_0(
                    head, {"descr": "<f8", "fortran_order": False, "shape": (2**42,)}
                )
                content = head.getvalue()
            archive.writestr(name, content)
    with pytest.raises(ValueError, match="header and content disagree"):
        weight_archive.classifier_in(out.getvalue(), Wanted(DecisionTreeClassifier, 3))


def test_a_description_too_deep_to_follow_is_refused() -> None:
    source = zipfile.ZipFile(io.BytesIO(skops.io.dumps(tree())))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in source.namelist():
            deep = '{"__class__": "list", "__module__": "builtins", "content": [' * 50_000
            archive.writestr(name, deep if name == "schema.json" else source.read(name))
    with pytest.raises((ValueError, RecursionError)):
        weight_archive.opened(out.getvalue(), Wanted(DecisionTreeClassifier, 3))


def test_probabilities_that_are_no_numbers_are_an_input_error() -> None:
    model = LogisticRegression().fit(X, Y)
    model.coef_ = np.full_like(model.coef_, np.nan)
    with pytest.raises(DataError, match="gives probabilities that are not finite"):
        Estimator("logistic-regression", model, 3).probabilities(X)
    model.coef_ = model.coef_[:, :1]
    with pytest.raises(DataError, match="cannot predict"):
        Estimator("logistic-regression", model, 3).probabilities(X)


@pytest.mark.slow
@pytest.mark.parametrize("name", BREAKABLE)
def test_a_file_broken_at_random_is_read_or_refused_and_ends_nothing(name: str) -> None:
    count = int(os.environ.get("MYCROFT_BROKEN", "40"))
    ran = subprocess.run(
        [sys.executable, HERE / "broken_archives.py", name, "0", str(count)],
        capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    read, refused = map(int, ran.stdout.split())
    assert read + refused == count
    assert refused
