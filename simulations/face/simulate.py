"""`simulate`: a scenario in this process, its result as an object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import tomli_w
import torch

from mycroft_fl.errors import SettingError
from mycroft_fl.models.foreign.own_objects import given
from simulations.engines.run import run
from simulations.face.progress import progress as shown
from simulations.face.results import RunResult, going_with, run_folder
from simulations.face.settings import as_settings, method_name
from simulations.setup.simulation import Simulation
from strategies.runs.folder import RunFolder

BESIDES = ("owners", "model", "dataset", "attack", "label-noise")
ENGINES = ("in-process", "flower")
PATHS = ("path", "test-path", "dataset", "weights")
"""Keys of a scenario that may name a file."""


def simulate(
    scenario: str | Path | Mapping[str, Any],
    *,
    method: str | Callable[..., Any] | None = None,
    seed: int | None = None,
    engine: str = "in-process",
    out: str | Path | None = None,
    force: bool = False,
    progress: bool | None = None,
    settings: Mapping[str, Any] | None = None,
    **keywords: Any,
) -> RunResult:
    """Run a scenario: a trainer and its owners, simulated on this machine.

    Args:
        scenario: a packaged one's name, a TOML file, or a mapping in the form of such a file, its
            relative paths taken from the folder one is in.
        method: how owners choose: a name, an import path, or a function of (candidates, query, k).
        seed: draws everything that is random.
        engine: "in-process", or "flower" for Flower's simulation engine.
        out: the run's folder, new or empty; None for one that goes with the result.
        force: whether an earlier run in `out` is replaced.
        progress: whether a bar is shown; None for in a terminal or notebook.
        settings: settings by key, such as {"policy.epsilon": 1.0}.
        keywords: settings by name, such as budget=60, num_rounds=2, owners=5, or model=net: a name,
            an import path, a torch.nn.Module or a scikit-learn classifier.

    Returns:
        The result: `ranking`, `models`, `acquired`, `model`, `report()`, `save(folder)`.

    Raises:
        InputError: whatever is wrong with the scenario or a setting, before anything runs.
        RunFailed: the run could not be finished.

    Example:
        >>> result = simulate("rotated-digits", method="omp", seed=3, owners=3, budget=30,
        ...     num_rounds=1, fit_epochs=2, scoring_repeats=1)
        >>> result.ranking.columns[:3].tolist()
        ['rank', 'owner', 'status']
    """
    if engine not in ENGINES:
        raise SettingError(f"engine is '{engine}'; choose from {list(ENGINES)}")
    changed = as_settings(keywords, settings, BESIDES)
    changed |= {} if method is None else {"method": method_name(method)}
    changed |= {} if seed is None else {"seed": seed}
    with ExitStack() as stack:
        model = changed.get("model")
        if model is not None and not isinstance(model, str):
            if engine != "in-process":
                raise SettingError('a model in memory needs engine = "in-process"; name its path')
            changed["model"] = stack.enter_context(given(model))
        folder = stack.enter_context(run_folder(out))
        result = _run(_named(scenario, stack), changed, folder, engine, force, progress)
    return going_with(result, out)


def _run(
    scenario: str, changed: dict[str, Any], folder: Path, engine: str, force: bool, wanted: Any
) -> RunResult:
    simulation = Simulation.load(scenario, changed, folder, engine=engine)
    with threads_kept(), shown(simulation.config.num_rounds, wanted):
        simulation.check()
        with RunFolder.replacing(folder, force=force):
            run(simulation)
        result = RunResult(folder, simulation.task)
        _ = result.model  # read now: an object in memory has its name only here
    return result


@contextmanager
def threads_kept() -> Iterator[None]:
    """Give torch the threads back that it had: a run pins its own."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _named(scenario: str | Path | Mapping[str, Any], stack: ExitStack) -> str:
    """Return a scenario's name or path; a mapping is written as a file that goes with `stack`."""
    if not isinstance(scenario, Mapping):
        path = Path(scenario)
        return str(path.absolute()) if path.is_file() else str(scenario)
    import tempfile

    place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mycroft-")))
    file = place / "scenario.toml"
    try:
        file.write_text(tomli_w.dumps(_absolute(dict(scenario))), encoding="utf-8")
    except (TypeError, ValueError) as error:
        raise SettingError(
            f"the scenario holds what a file cannot ({error}); give data to mf.rank, or name its path"
        ) from error
    return str(file)


def _absolute(value: Any, key: str = "") -> Any:
    """Return a scenario with paths that are there made absolute: its file lies elsewhere."""
    if isinstance(value, Mapping):
        return {name: _absolute(each, name) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_absolute(each) for each in value]
    if isinstance(value, Path):
        return str(value.absolute())
    if key in PATHS and isinstance(value, str) and Path(value).exists():
        return str(Path(value).absolute())
    return value
