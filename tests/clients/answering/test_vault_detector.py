"""The vault asked with a failure detector: it picks, counts and draws by its region, within bounds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clients.answering.noised import contributions, levels_of
from clients.answering.policy import Policy
from clients.answering.private_records import PrivateRecords
from clients.answering.trainer_view import TrainerView
from clients.answering.vault import Vault, VaultStorage, request_digest
from mycroft_fl.errors import BadMessage, Refused
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import flat_weights
from mycroft_fl.privacy.noise.mechanisms import UNITS
from mycroft_fl.privacy.noise.samplers import simulated
from mycroft_fl.privacy.relevance.hard_set_target import score_rows
from mycroft_fl.protocol.detector import Detector
from mycroft_fl.protocol.messages import NoisedTarget, Request
from mycroft_fl.selection.methods import METHODS

CLASSES, SHAPE, HIDDEN = 3, (5,), 256
MODEL = build("mlp", SHAPE, CLASSES, seed=0)
POLICY = Policy(
    modes=("raw", "raw-gumbel", "score", "gradient"), epsilon=50.0, delta=1e-5, answers=4,
    epsilon_minus=9.0, records_at_least=200,
)  # fmt: skip
RAW = Policy(modes=("raw",))


def drawn(n: int, seed: int = 0, classes: int = CLASSES) -> Examples:
    rng = np.random.default_rng(seed)
    return Examples(rng.normal(size=(n, *SHAPE)).astype(np.float32), rng.integers(0, classes, n))


def make_detector(hidden: bool = False, seed: int = 0, inputs: int = 5) -> Detector:
    """A detector by which about half of the records of labels 1 and 2 are in the region."""
    rng = np.random.default_rng(seed)
    d = inputs + HIDDEN * hidden
    weights = np.concatenate([rng.normal(size=(2, 3 * d)), np.zeros((2, CLASSES))], axis=1)
    weights[:, -CLASSES] = -9.0  # whatever has label 0 is outside
    return Detector(
        basis=None, hidden=hidden, mean=np.zeros(d, np.float32),
        scale=np.full(d, 0.5, np.float32), classes=np.array([1, 2]),
        weights=weights.astype(np.float32), bias=np.zeros(2, np.float32), threshold=0.5,
    )  # fmt: skip


DETECTOR = make_detector()


def request(**changed: Any) -> Request:
    plain: dict[str, Any] = {
        "server_round": 1, "method": "detector-cover", "k": 12, "hard": drawn(0),
        "num_classes": CLASSES, "model": "mlp", "weights": flat_weights(MODEL),
        "feature_space": "pixels", "owner_epochs": 1, "seed": 0, "detector": DETECTOR,
    }  # fmt: skip
    return Request(**(plain | changed))


def vault_of(examples: Examples, folder: Path, policy: Policy = POLICY) -> Vault:
    storage = VaultStorage(folder, noise_for=lambda digest: simulated(int(digest[:8], 16)))
    return Vault("owner", PrivateRecords(examples), policy, storage)


def inside(examples: Examples, detector: Detector = DETECTOR) -> np.ndarray:
    """The records in the region by its definition, one after the other; without a hidden layer."""
    found = []
    for x, y in zip(examples.x.astype(float), examples.y, strict=True):
        s = np.clip((x - detector.mean) * detector.scale, -6, 6)
        crossed = [0.7 * s * (y == label) for label in detector.classes]
        terms = np.concatenate([s, *crossed, 2.0 * (np.arange(CLASSES) == y)])
        likely = 1 / (1 + np.exp(-(detector.weights.astype(float) @ terms + detector.bias)))
        found.append(likely.mean() >= detector.threshold)
    return np.array(found, bool)


# Choosing


@pytest.mark.parametrize("weights", [flat_weights(MODEL), None], ids=["a model", "no model"])
def test_picks_lie_in_the_region_and_end_with_it(tmp_path: Path, weights: Any) -> None:
    examples = drawn(60)
    region = examples.ids[inside(examples)]
    assert 10 < len(region) < 50
    vault = vault_of(examples, tmp_path, RAW)
    few = vault.answer(request(weights=weights, k=7)).disclosed
    rest = vault.answer(request(weights=weights, k=500, server_round=2)).disclosed
    assert few is not None
    assert rest is not None
    assert len(few) == 7
    assert sorted([*few.ids, *rest.ids]) == sorted(region)
    assert vault.answer(request(k=5, server_round=3)).disclosed is not None
    again = vault.answer(request(k=5, server_round=3)).disclosed
    assert again is not None
    assert len(again) == 0


def test_nothing_in_the_region_is_an_empty_answer(tmp_path: Path) -> None:
    examples = drawn(60)
    examples = examples[examples.y == 0]
    disclosed = vault_of(examples, tmp_path, RAW).answer(request()).disclosed
    assert disclosed is not None
    assert len(disclosed) == 0


def test_the_same_request_has_the_same_answer_and_is_charged_once(tmp_path: Path) -> None:
    vault = vault_of(drawn(100), tmp_path, RAW)
    first, second = (vault.answer(request()).disclosed for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.ids.tolist() == second.ids.tolist()
    assert [row.spend.records for row in vault._ledger.rows()] == [12]


@pytest.mark.parametrize(
    "method", [name for name, each in METHODS.items() if "detector" not in each.takes]
)
def test_a_method_that_does_not_go_by_a_detector_is_refused(tmp_path: Path, method: str) -> None:
    vault = vault_of(drawn(100), tmp_path, RAW)
    with pytest.raises(Refused, match=rf"'{method}' goes by \[.*\], and detector came"):
        vault.answer(request(method=method))
    assert list(vault._ledger.rows()) == []


@pytest.mark.parametrize(
    ("brought", "said"),
    [
        ({"hard": drawn(3)}, r"goes by \['detector'\], and hard-set came"),
        ({"target": NoisedTarget(np.ones(9, np.float32), 1.0, 1.0, 3)}, "and target came"),
    ],
)
def test_a_cover_without_a_detector_is_refused(
    tmp_path: Path, brought: dict[str, Any], said: str
) -> None:
    vault = vault_of(drawn(100), tmp_path, RAW)
    with pytest.raises(Refused, match=said):
        vault.answer(request(detector=None, **brought))
    assert list(vault._ledger.rows()) == []


# Bounds


def with_basis(inputs: int) -> Detector:
    return replace(make_detector(hidden=True), basis=np.zeros((5, inputs), np.float32))


@pytest.mark.parametrize("mode", ["raw", "raw-gumbel", "score", "gradient"])
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"detector": make_detector(inputs=6)}, "a detector of 6 features; there are 5"),
        ({"detector": with_basis(4)}, "a detector of 4 inputs; examples have 5"),
        (
            {"detector": replace(make_detector(hidden=True, inputs=4))},
            "a detector of 260 features; there are 261",
        ),
    ],
    ids=["inputs", "basis", "hidden"],
)
def test_what_does_not_fit_fails_before_a_record_is_read_and_is_not_charged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, changed: dict[str, Any], said: str
) -> None:
    vault = vault_of(drawn(300), tmp_path)
    sizes: list[int] = []
    seen = Detector.seen
    monkeypatch.setattr(
        Detector, "seen", lambda self, x, h: sizes.append(len(x)) or seen(self, x, h)
    )
    with pytest.raises(BadMessage, match=said):
        vault.answer(request(mode=mode, k=1, **changed))
    assert list(vault._ledger.rows()) == []
    assert set(sizes) <= {0}


def test_a_hidden_layer_without_weights_is_a_bad_message(tmp_path: Path) -> None:
    vault = vault_of(drawn(300), tmp_path)
    with pytest.raises(BadMessage, match="looks at a hidden layer, and no weights came with it"):
        vault.answer(request(detector=make_detector(hidden=True), weights=None))
    assert list(vault._ledger.rows()) == []


def test_a_detector_larger_than_the_policys_largest_model_is_refused(tmp_path: Path) -> None:
    exact = replace(RAW, max_model=DETECTOR.size)
    assert vault_of(drawn(60), tmp_path / "a", exact).answer(request(weights=None)).disclosed
    less = replace(RAW, max_model=DETECTOR.size - 1)
    with pytest.raises(Refused, match=f"a detector of {DETECTOR.size} numbers; at most"):
        vault_of(drawn(60), tmp_path / "b", less).answer(request(weights=None))


def test_weights_beside_a_detector_are_bounded_too(tmp_path: Path) -> None:
    less = replace(RAW, max_model=DETECTOR.size)
    with pytest.raises(Refused, match=r"model 'mlp' has .* numbers; at most"):
        vault_of(drawn(60), tmp_path, less).answer(request())


# The name of a request


def test_any_byte_of_a_detector_makes_another_request() -> None:
    wide = replace(DETECTOR, basis=np.zeros((1, 5), np.float32))
    others = [
        None, DETECTOR, wide, replace(DETECTOR, hidden=True), replace(DETECTOR, threshold=0.25),
        replace(wide, basis=np.zeros((5, 1), np.float32)),
    ]  # fmt: skip
    for name, array in DETECTOR.arrays().items():
        for place in {0, array.nbytes // 2, array.nbytes - 1}:
            content = bytearray(array.tobytes())
            content[place] ^= 1
            changed = np.frombuffer(bytes(content), array.dtype).reshape(array.shape)
            others.append(replace(DETECTOR, **{name: changed}))
    digests = [request_digest(request(detector=each)) for each in others]
    assert len(set(digests)) == len(others)
    assert request_digest(request(detector=make_detector())) == digests[1]


def test_a_request_without_a_detector_keeps_the_digest_that_it_was_paid_for_under() -> None:
    # Of the release before: answers in owners' ledgers are found by it.
    old = Request(
        server_round=1, method="omp", k=5,
        hard=Examples(np.ones((2, 5), np.float32), np.array([0, 1])), num_classes=2, model="linear",
        weights=np.ones(12, np.float32), feature_space="pixels", owner_epochs=1, seed=0,
    )  # fmt: skip
    assert request_digest(old) == OLD_DIGEST


OLD_DIGEST = "7de3a880388bddcf96d1daf0fa270080c4284692d8bcab6ed07c0579bbb46245"


# Noised answers


@pytest.mark.parametrize("hidden", [False, True])
def test_a_score_counts_the_records_in_the_region_within_noise(
    tmp_path: Path, hidden: bool
) -> None:
    examples, detector = drawn(2000), make_detector(hidden)
    statistic = (
        vault_of(examples, tmp_path).answer(request(mode="score", k=1, detector=detector)).statistic
    )
    assert statistic is not None
    if hidden:
        features = MODEL.features(_tensor(examples)).detach().numpy()
        z = np.clip(np.concatenate([examples.x, features], axis=1).astype(float) * 0.5, -6, 6)
        region = detector.region(z, examples.y)
    else:
        region = inside(examples)
    there = int(region.sum())
    assert 100 < there < 1900
    assert abs(statistic.relevance()[0] - there) < 6 * statistic.sigma
    assert statistic.sigma < 10
    counts = [0, 2000 - there, there]
    assert np.abs(statistic.counted() - counts).max() < 12 * statistic.sigma + hidden


def _tensor(examples: Examples) -> Any:
    import torch

    return torch.from_numpy(examples.x)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("mode", ["score", "gradient"])
def test_what_a_record_adds_is_a_function_of_that_record_alone_to_the_bit(
    hidden: bool, mode: str
) -> None:
    examples = drawn(40)
    view = TrainerView.of(request(mode=mode, detector=make_detector(hidden)), examples)
    together = contributions(view, examples, 1.0).rows[:]
    alone = [contributions(view, examples[each : each + 1], 1.0).rows[:] for each in range(40)]
    assert np.array_equal(together, np.concatenate(alone))
    turned = contributions(view, examples[np.arange(39, -1, -1)], 1.0).rows[:]
    assert np.array_equal(together[::-1], turned)


def test_a_record_adds_one_and_a_count_in_the_region_and_else_a_count_alone() -> None:
    examples = drawn(200)
    rows = contributions(TrainerView.of(request(mode="score"), examples), examples, 1.0).rows[:]
    assert np.array_equal(rows, score_rows(inside(examples).astype(float)))
    assert set(rows[:, 0]) == {0.0, 1.0}


def test_a_record_that_is_not_finite_adds_nothing_and_is_in_no_region() -> None:
    odd = replace(make_detector(hidden=True), scale=np.full(261, 1e9, np.float32))
    x = drawn(3).x.copy()
    x[1] = np.nan
    examples = Examples(x, np.array([1, 1, 1]))
    view = TrainerView.of(request(mode="score", detector=odd), examples)
    relevances = view.through(examples).relevances
    assert np.isfinite(relevances).tolist() == [True, False, True]


def test_levels_of_a_draw_are_all_or_nothing_and_labels_unknown_to_the_trainer_get_none() -> None:
    examples = drawn(300, classes=CLASSES + 2)
    levels = levels_of(TrainerView.of(request(mode="raw-gumbel"), examples), examples)
    known = examples.y < CLASSES
    assert np.array_equal(levels[known], np.where(inside(examples[known]), UNITS, 0))
    assert not levels[~known].any()
    assert (~known).sum() > 50


def test_a_drawn_answer_prefers_the_region(tmp_path: Path) -> None:
    policy = replace(POLICY, strength=8.0, epsilon_minus=1e6, records_at_least=800)
    examples, got = drawn(900), 0
    for seed in range(8):
        report = vault_of(examples, tmp_path / str(seed), policy).answer(
            request(mode="raw-gumbel", k=8, seed=seed)
        )
        assert report.disclosed is not None
        got += int(inside(report.disclosed).sum())
    share = inside(examples).mean()
    assert got / 64 > share + 0.3 * (1 - share)


def test_records_of_other_labels_count_for_nothing_in_a_score(tmp_path: Path) -> None:
    examples = drawn(500, classes=CLASSES + 2)
    known = examples[examples.y < CLASSES]
    statistic = vault_of(examples, tmp_path).answer(request(mode="score", k=1)).statistic
    assert statistic is not None
    assert abs(statistic.relevance()[0] - inside(known).sum()) < 6 * statistic.sigma
