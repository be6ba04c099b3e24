"""`mycroft-fl select`: arrays in, picks out, and one clear line for whatever is wrong with them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mycroft_fl.cli import main as cli
from mycroft_fl.examples import Examples
from mycroft_fl.models.networks import build
from mycroft_fl.models.weights import save_weights
from mycroft_fl.selection import arrays as array_selection
from mycroft_fl.selection.methods import METHODS, Query

CLASSES, DIMENSIONS = 4, 6
MODEL = build("mlp", (DIMENSIONS,), CLASSES, seed=3)


@dataclass(frozen=True)
class Outcome:
    code: int
    stdout: str
    stderr: str


def drawn(n: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, DIMENSIONS)).astype(np.float32)
    return {"x": x, "y": np.arange(n) % CLASSES}


HARD, DATA = drawn(6, 1), drawn(40, 2)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a hard set, candidates and weights, where the command is called."""
    np.savez(tmp_path / "hard.npz", **HARD)
    np.savez(tmp_path / "data.npz", **DATA)
    np.savez(tmp_path / "hard-g.npz", g=HARD["x"])
    np.savez(tmp_path / "data-g.npz", g=DATA["x"])
    save_weights(MODEL, tmp_path / "weights.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def select(here, monkeypatch, capfd):
    """`mycroft-fl select` in this process, with usual options and those that are given."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", "")

    def calling(*more: object, **options: object) -> Outcome:
        usual = {"hard-set": "hard.npz", "data": "data.npz", "method": "features", "k": 5}
        options = usual | {key.replace("_", "-"): value for key, value in options.items()}
        arguments = [f"--{key}={value}" for key, value in options.items() if value is not None]
        monkeypatch.setattr(sys, "argv", ["mycroft-fl", "select", *arguments, *map(str, more)])
        code: Any = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
        return Outcome(code, *capfd.readouterr())

    return calling


THROUGH = {"model": "mlp", "weights": "weights.safetensors"}
READY = {"hard_set": "hard-g.npz", "data": "data-g.npz"}


def refused(outcome: Outcome, more: int = 0) -> str:
    """The one line that says what is wrong; `more` lines may follow it."""
    assert outcome.code == 2
    assert outcome.stdout == ""
    line, *rest = outcome.stderr.splitlines()
    assert len(rest) == more, rest
    assert line.startswith("mycroft-fl: ")
    return line.removeprefix("mycroft-fl: ")


# What comes out


@pytest.mark.parametrize("method", [name for name in METHODS if "hard-set" in METHODS[name].takes])
def test_the_file_holds_what_the_method_picks(method: str, select, here: Path) -> None:
    outcome = select(method=method, out="picks.npz", seed=7, k=9, **THROUGH)
    assert (outcome.code, outcome.stderr) == (0, "")
    hard, data = (Examples(each["x"], each["y"]) for each in (HARD, DATA))
    picked = METHODS[method].select(
        data, Query(hard=hard, model=MODEL, feature_space="pixels", seed=7), 9
    )
    assert outcome.stdout == f"{len(picked.indices)} of 40 candidates, in picks.npz\n"
    with np.load(here / "picks.npz", allow_pickle=False) as file:
        assert sorted(file) == ["indices", "unexplained", "weights"]
        assert file["indices"].dtype == np.int64
        assert file["indices"].tolist() == picked.indices.tolist()
        assert file["weights"] == pytest.approx(picked.weights)
        assert float(file["unexplained"]) == pytest.approx(picked.unexplained)


def test_ready_gradients_need_neither_model_nor_labels(select, here: Path) -> None:
    assert select(method="omp-whole", out="picks.npz", **READY).code == 0
    hard, data = (Examples(each["x"], np.zeros(len(each["x"]), int)) for each in (HARD, DATA))
    wanted = METHODS["omp-whole"].select(
        data, Query(hard=hard, model=None, feature_space="pixels", seed=0, ready=True), 5
    )
    assert np.load(here / "picks.npz")["indices"].tolist() == wanted.indices.tolist()


def test_ready_gradients_with_labels_are_matched_class_by_class(select, here: Path) -> None:
    np.savez("hard-g.npz", g=HARD["x"][:2], y=np.array(["cat", "dog"]))
    np.savez("data-g.npz", g=DATA["x"], y=np.array(["ape", "cat", "dog", "emu"] * 10))
    assert select(method="omp", out="picks.npz", k=6, **READY).code == 0
    assert set(np.load(here / "picks.npz")["indices"] % 4) == {1, 2}


def test_without_a_file_there_is_a_table(select) -> None:
    outcome = select(method="omp", k=3, **THROUGH)
    head, *rows, last = outcome.stdout.splitlines()
    assert head.split() == ["index", "class", "weight"]
    assert len(rows) == 3
    for row in rows:
        index, label, weight = row.split()
        assert int(label) == DATA["y"][int(index)]
        assert float(weight) >= 0
    assert last.startswith("3 of 40 candidates; ")
    assert last.endswith(" % of the target unexplained")


def test_a_long_table_is_cut_and_says_so(select) -> None:
    lines = select(method="random", k=40).stdout.splitlines()
    assert len(lines) == 1 + 20 + 1
    assert lines[-1].endswith("; --out FILE keeps all, 20 are shown")


def test_fewer_than_k_is_an_answer_that_says_so(select) -> None:
    np.savez("data-g.npz", g=np.concatenate([HARD["x"].mean(0)[None], -HARD["x"].mean(0)[None]]))
    outcome = select(method="omp-whole", k=2, **READY)
    assert outcome.code == 0
    assert outcome.stderr == "mycroft-fl: note: 1 of 2 asked for: nothing else helps\n"


def test_a_class_that_some_hard_examples_lack_candidates_of_is_a_note(select) -> None:
    np.savez("data.npz", x=DATA["x"][DATA["y"] > 0], y=DATA["y"][DATA["y"] > 0])
    outcome = select()
    assert outcome.code == 0
    assert outcome.stderr == (
        "mycroft-fl: note: no candidate is of class '0', which hard examples are of\n"
    )


def test_settings_of_a_run_are_read(select) -> None:
    output = [
        select("--set", f"feature-space={space}", **THROUGH).stdout for space in ("pixels", "model")
    ]
    assert output[0] != output[1]
    weighed = [
        select("--set", f"feature-weight={weight}", method="funcfeat", **THROUGH).stdout
        for weight in (1, 1000.0)
    ]
    assert weighed[0] != weighed[1]


def test_a_seed_decides_what_is_random(select) -> None:
    output = [select(method="random", seed=seed).stdout for seed in (1, 1, 2)]
    assert output[0] == output[1] != output[2]


def test_a_method_of_ones_own_is_found_in_the_folder_one_is_in(select, here: Path) -> None:
    (here / "own_select_method.py").write_text(
        "import numpy as np\nfrom mycroft_fl.selection.methods import Selection\n"
        "def last(candidates, query, k):\n"
        "    return Selection.unweighted(np.arange(len(candidates))[-k:])\n"
    )
    outcome = select(method="own_select_method:last", k=2, **THROUGH)
    sys.modules.pop("own_select_method", None)
    assert [line.split()[0] for line in outcome.stdout.splitlines()[1:3]] == ["38", "39"]


def test_the_file_is_whole_or_not_there_at_all(select, here: Path, monkeypatch) -> None:
    (here / "picks.npz").write_bytes(b"earlier")

    def breaks(stream, **arrays):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(array_selection.np, "savez", breaks)
    output = refused(select(out="picks.npz"))
    assert output == "picks.npz cannot be written: No space left on device; give another file"
    assert (here / "picks.npz").read_bytes() == b"earlier"
    assert not [each for each in here.iterdir() if each.name.startswith(".")]


def test_the_file_gets_the_rights_that_any_new_file_would(select, here: Path) -> None:
    before = os.umask(0o027)
    try:
        select(out="picks.npz")
    finally:
        os.umask(before)
    assert (here / "picks.npz").stat().st_mode & 0o777 == 0o640


def test_neither_flower_nor_any_other_side_is_loaded(here: Path) -> None:
    code = (
        "import sys; from mycroft_fl.cli.main import cli\n"
        "cli.main(['select', '--hard-set=hard.npz', '--data=data.npz', '--method=omp', '--k=3',\n"
        "          '--model=mlp', '--weights=weights.safetensors'], standalone_mode=False)\n"
        "heavy = ['flwr', 'ray', 'opacus', 'strategies', 'clients', 'simulations']\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    root = str(Path(cli.__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True,
        env=os.environ | {"PYTHONPATH": root},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"


# What is refused: numbers and names


@pytest.mark.parametrize("k", [0, -3])
def test_less_than_one_is_refused(k: int, select) -> None:
    assert refused(select(k=k)) == f"k is {k}; ask for 1 candidate or more"


def test_more_than_there_are_is_refused(select) -> None:
    assert refused(select(k=41)) == (
        "k is 41, but data.npz holds 40 candidates; ask for 40 or fewer"
    )


def test_options_that_are_missing_or_no_numbers_are_refused(select) -> None:
    assert "'--k'" in refused(select(k="many"))
    assert "'--data'" in refused(select(data=None))
    assert "did you mean 'features'" in refused(select(method="feature"))
    assert refused(select(seed=-1)).startswith("seed is -1; it must be at least 0")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("budget=3", "select has no setting 'budget'; choose from"),
        ("feature-spaces=model", "did you mean 'feature-space'?"),
        ("gradient-layers=first", "gradient-layers is 'first'; choose from ['last', 'all']"),
        ("feature-weight=-1", "feature-weight is -1.0; it must be at least 0"),
        ("device=tpu", "device is 'tpu'; choose from ['auto', 'cpu', 'cuda']"),
        ("device", "give KEY=VALUE"),
    ],
)
def test_settings_that_a_selection_does_not_know_are_refused(
    assignment: str, message: str, select
) -> None:
    assert message in refused(select("--set", assignment))


def test_a_card_that_is_not_there_is_refused(select, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    output = refused(select("--set", "device=cuda", method="omp", **THROUGH))
    assert output.startswith("device is 'cuda', but torch sees no CUDA device")


# What is refused: models


@pytest.mark.parametrize("given", [{}, {"model": "mlp"}, {"weights": "weights.safetensors"}])
@pytest.mark.parametrize("method", ["omp", "hard-features"])
def test_a_method_that_looks_through_a_model_needs_both_its_options(method, given, select) -> None:
    assert refused(select(method=method, **given)) == (
        f"method '{method}' looks through a model; give --model and --weights, or files with "
        "ready gradients g"
    )


def test_models_and_weights_that_do_not_fit_are_refused(select, here: Path) -> None:
    (here / "text.safetensors").write_text("no weights")
    save_weights(build("mlp", (5,), CLASSES, seed=0), here / "other.safetensors")
    save_weights(build("mlp", (DIMENSIONS,), 2, seed=0), here / "two.safetensors")
    save_weights(MODEL.body, here / "headless.safetensors")
    broken = build("mlp", (DIMENSIONS,), CLASSES, seed=0)
    with torch.no_grad():
        broken.head.bias[0] = torch.nan
    save_weights(broken, here / "nan.safetensors")
    for weights, message in {
        "none.safetensors": "no weights at none.safetensors",
        "text.safetensors": "text.safetensors does not hold a model's weights",
        "other.safetensors": "other.safetensors does not hold this model's weights",
        "headless.safetensors": "headless.safetensors does not hold a model's weights",
        "two.safetensors": "labels go from 0 to 3, but the model knows 0 to 1",
        "nan.safetensors": "nan.safetensors holds weights that are not finite",
    }.items():
        # How many keys match, the first that do not, and what to do.
        more = 2 if weights == "other.safetensors" else 0
        assert message in refused(select(method="omp", model="mlp", weights=weights), more)
    assert "unknown model 'mpl'" in refused(
        select(method="omp", model="mpl", weights="weights.safetensors")
    )
    assert "model 'cnn' needs images" in refused(select(method="omp", **THROUGH | {"model": "cnn"}))


def test_ready_gradients_and_a_model_do_not_go_together(select) -> None:
    assert refused(select(method="omp", **READY, **THROUGH)) == (
        "data-g.npz holds ready gradients; leave out --model and --weights"
    )
    assert "needs a model's answers, not its gradients" in refused(
        select(method="hard-features", **READY)
    )


def test_names_as_labels_do_not_go_with_a_model(select) -> None:
    for name, each in (("hard", HARD), ("data", DATA)):
        np.savez(f"{name}.npz", x=each["x"], y=np.array(list("abcd"))[each["y"]])
    assert select().code == 0
    assert "give y as the numbers it was trained on" in refused(select(method="omp", **THROUGH))


# What is refused: files


def changed(which: str, **arrays: Any) -> dict[str, Any]:
    return {key: value for key, value in ((HARD if which == "hard" else DATA) | arrays).items()
            if value is not None}  # fmt: skip


NAN = DATA["x"].copy()
NAN[3, 2] = np.nan
HUGE = HARD["x"].astype(np.float64).copy()
HUGE[1, 0] = 1e300


@pytest.mark.parametrize(
    ("which", "arrays", "message"),
    [
        ("data", {"x": NAN}, "x holds NaN or infinite values in 1 rows, the first is row 3"),
        ("hard", {"x": HUGE}, "x holds NaN or infinite values in 1 rows, the first is row 1"),
        ("data", {"y": None}, "data.npz has no array y; save one label per example"),
        ("hard", {"x": None, "y": None}, "hard.npz holds neither x nor g; save"),
        ("data", {"x": None}, "data.npz holds neither x nor g; save"),
        ("hard", {"g": HARD["x"]}, "hard.npz holds both x and g; leave one out"),
        ("data", {"x": DATA["x"][:0], "y": DATA["y"][:0]}, "data.npz holds no example"),
        ("hard", {"x": HARD["x"][:0], "y": HARD["y"][:0]}, "hard.npz holds no example"),
        ("data", {"y": DATA["y"][:7]}, "holds 40 examples but y of shape (7,)"),
        ("data", {"y": DATA["y"][:, None]}, "holds 40 examples but y of shape (40, 1)"),
        ("data", {"y": DATA["y"] + 0.5}, "y is float64; give whole numbers from 0, or names"),
        ("hard", {"y": HARD["y"] - 1}, "y holds labels -1 to 2; give whole numbers"),
        ("hard", {"y": np.full(6, 10**6)}, "give whole numbers from 0 to 999999"),
        ("hard", {"x": HARD["x"][:, :5]}, "hard.npz holds float32 of shape (5,) but data.npz"),
        ("hard", {"x": np.zeros((6, 4, 4), np.uint8)}, "hard.npz holds uint8 of shape (1, 4, 4)"),
        ("hard", {"x": np.zeros((6, 2), np.int64)}, "x is int64 of shape (6, 2); give images as"),
        ("hard", {"x": np.float32(3)}, "hard.npz holds no example"),
        ("hard", {"y": np.array(list("abcdef"))}, "labels are names in one of hard.npz"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(which, arrays, message, select, here: Path) -> None:
    np.savez(here / f"{which}.npz", **changed(which, **arrays))
    assert message in refused(select())


def test_examples_and_gradients_do_not_mix(select) -> None:
    assert refused(select(hard_set="hard-g.npz")) == (
        "hard-g.npz and data.npz must both hold x, or both hold g"
    )
    np.savez("hard-g.npz", g=HARD["x"], y=HARD["y"])
    assert "must both hold labels y, or neither" in refused(select(**READY))


@pytest.mark.parametrize("method", ["features", "hard-features", "omp", "knn-shapley", "coverage"])
def test_a_hard_set_whose_class_no_candidate_has_is_refused(method: str, select) -> None:
    np.savez("data.npz", x=DATA["x"], y=np.zeros(40, int))
    np.savez("hard.npz", x=HARD["x"], y=np.array([1, 2, 1, 2, 1, 2]))
    output = refused(select(method=method, **THROUGH))
    assert output.startswith("no candidate in data.npz is of a class of the hard set ('1', '2'); ")


@pytest.mark.parametrize("method", ["omp-whole", "gradient-neighbours", "transport"])
def test_a_method_that_needs_no_class_in_common_goes_on(method: str, select) -> None:
    np.savez("data.npz", x=DATA["x"], y=np.zeros(40, int))
    np.savez("hard.npz", x=HARD["x"], y=np.array([1, 2, 1, 2, 1, 2]))
    assert select(method=method, **THROUGH).code == 0


def test_files_that_are_no_npz_are_refused(select, here: Path) -> None:
    (here / "text.npz").write_text("index,class")
    np.save(here / "bare.npy", DATA["x"])
    np.savez(here / "pickle.npz", x=np.array([{"a": 1}] * 3, dtype=object), y=np.arange(3))
    cut = (here / "data.npz").read_bytes()
    (here / "cut.npz").write_bytes(cut[: len(cut) // 2])
    (here / "folder.npz").mkdir()
    for name, message in {
        "text.npz": "text.npz is not a readable npz file",
        "bare.npy": "bare.npy is not a readable npz file",
        "pickle.npz": "pickle.npz is not a readable npz file",
        "cut.npz": "cut.npz is not a readable npz file",
        "none.npz": "no file none.npz; give an npz file",
        "folder.npz": "no file folder.npz; give an npz file",
    }.items():
        assert message in refused(select(data=name))
        assert message in refused(select(hard_set=name))


def test_places_that_cannot_be_written_are_refused(select, here: Path) -> None:
    (here / "folder").mkdir()
    assert "folder cannot be written: Is a directory" in refused(select(out="folder"))
    assert "No such file or directory; give another file" in refused(select(out="no/picks.npz"))
    for name in ("data.npz", "hard.npz"):
        assert refused(select(out=here / name)).endswith(
            "one of the files that are read; give another"
        )
    assert np.load("data.npz")["x"].tolist() == DATA["x"].tolist()
