"""`rank`: a trainer's own model and data against owners' data, all in this process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from clients.answering.policy import Policy
from mycroft_fl.data.task import Task
from mycroft_fl.errors import SettingError
from mycroft_fl.face.picks import SCALED
from mycroft_fl.models.foreign.own_objects import given
from mycroft_fl.models.networks import is_network
from mycroft_fl.models.own_estimators import is_fitted, with_labels
from mycroft_fl.settings.own_names import is_own, own_name
from mycroft_fl.settings.run_config import AUTO, RunConfig
from mycroft_fl.tasks.words import named_by, with_words
from simulations.face.asked import Asked
from simulations.face.given_task import Reading, given_task
from simulations.face.progress import progress as shown
from simulations.face.results import RunResult, going_with, run_folder
from simulations.face.settings import as_settings, method_name
from simulations.face.sharing import Sharing
from simulations.face.simulate import threads_kept
from strategies.runs.folder import RunFolder

log = logging.getLogger(__name__)


def rank(
    model: Any = "mlp",
    *,
    train: Any,
    validation: Any,
    owners: Any,
    partition: Mapping[str, Any] | None = None,
    test: Any = None,
    label: str = "",
    classes: Any = None,
    fit: bool | None = None,
    weights: str | Path | None = None,
    head: str = "",
    transform: Callable[..., Any] | None = None,
    method: str | Callable[..., Any] = "",
    policy: Policy | Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    force: bool = False,
    progress: bool | None = None,
    settings: Mapping[str, Any] | None = None,
    **keywords: Any,
) -> RunResult:
    """Rank owners by what their data brings one's own model, and improve it with what they give.

    Each owner is a vault with a ledger and a policy, as in a deployment, but in this process. Data is
    an array with labels as (x, y), a frame, a torch or Hugging Face Dataset, or the path of a file
    or folder. Images are bytes, or floats from 0 to 1.

    Args:
        model: a torch.nn.Module, a scikit-learn classifier or pipeline, a factory, an import path,
            or a name such as "mlp" or "random-forest".
        train: what the model was or is trained on.
        validation: held-out examples on which it fails; they find the hard set and judge owners.
        owners: data by the owner's name; with `partition`, one data set that they share.
        partition: how owners share one data set, such as {"dirichlet": 0.3, "num": 20}; None where
            each has its own.
        test: examples that no decision sees; None for none.
        label: a frame's column with the class; "" for a usual name of one.
        classes: the classes in the order of the model's outputs; None for all that is there, sorted.
        fit: whether the model is trained on `train` first. None: a module, or a classifier that was
            fitted, stands as it is; what else there is is trained.
        weights: a file with the model's weights, safetensors, a state dict or skops.
        head: the path of a network's last linear layer; "" to find it.
        transform: a function that prepares a batch for a network.
        method: how owners choose: a name, an import path, or a function of (candidates, query, k);
            "" for the setting's default, and features where that would look through a network.
        policy: what owners allow; None for what the run asks.
        data: keys of a data set's table, such as {"drop": ["id"], "missing": "fill"}.
        out: the run's folder, new or empty; None for one that goes with the result.
        force: whether an earlier run in `out` is replaced.
        progress: whether a bar is shown; None for in a terminal or notebook.
        settings: run settings by key, such as {"fine-tune.steps": 50}.
        keywords: run settings by name, such as budget=60, mode="score", metric="balanced-accuracy".

    Returns:
        The result: `ranking`, `models`, `acquired`, `model`, `report()`, `save(folder)`.

    Raises:
        InputError: whatever is wrong with data, model or settings, before anything is fitted.
        RunFailed: the run could not be finished.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> def some(n, centre):
        ...     y = rng.integers(0, 2, n)
        ...     return rng.normal(centre + 2 * y[:, None], 1, (n, 3)).astype("float32"), y
        >>> result = rank("logistic-regression", train=some(80, 0), validation=some(80, 2),
        ...     owners={"near": some(60, 2), "far": some(60, 9)}, budget=20, num_rounds=1)
        >>> sorted(result.ranking["owner"])
        ['far', 'near']
    """
    changed = as_settings(keywords, settings)
    reading, sharing = Reading(label, data or {}), Sharing.read(partition, changed.get("seed", 0))
    parts = {"train": train, "validation": validation} | ({} if test is None else {"test": test})
    with ExitStack() as stack:
        task = given_task(parts, owners, reading, _classes_of(model, classes), "mlp", sharing)
        stands = _stands(model) if fit is None else not fit
        model = _labelled(model, task.task.classes) if stands else model
        name = stack.enter_context(_named(model, head, transform))
        task = replace(task, task=replace(task.task, model=name))
        changed |= _defaults(task.task, method_name(method), changed)
        config = RunConfig.from_settings(changed)
        task = replace(task, task=with_words(task.task, task.train.x, config))
        if task.task.table is not None and isinstance(model, nn.Module):
            log.warning(SCALED)
        asked = Asked(task, named_by(task.task, config), policy, weights, stands)
        asked.check()
        folder = stack.enter_context(run_folder(out))
        stack.enter_context(threads_kept())
        stack.enter_context(shown(asked.config.num_rounds, progress))
        with RunFolder.replacing(folder, force=force) as run:
            final = asked.run(run)
        return going_with(RunResult(folder, task.task, final), out)


def _stands(model: Any) -> bool:
    if isinstance(model, nn.Module):
        return True
    return (
        not isinstance(model, str | type) and hasattr(model, "predict_proba") and is_fitted(model)
    )


def _classes_of(model: Any, classes: Any) -> Any:
    """Return the classes as given, else those that a fitted classifier knows, else None."""
    known = getattr(model, "classes_", None) if classes is None and _stands(model) else classes
    return None if known is None else [str(each) for each in np.asarray(known).tolist()]


def _labelled(model: Any, classes: tuple[str, ...]) -> Any:
    if isinstance(model, nn.Module | str):
        return model
    if not is_fitted(model):
        raise SettingError("fit is False, but the model was never fitted; fit it, or leave fit out")
    return with_labels(model, classes)


def _named(model: Any, head: str, transform: Any) -> Any:
    """Return, inside `with`, the model's name: as it was given, or that of an object in memory."""
    from contextlib import nullcontext

    if not isinstance(model, str):
        return given(model, head, transform)
    if not is_own(model):
        if head or transform is not None:
            raise SettingError(
                f"model '{model}' is no network of one's own; leave out head, transform"
            )
        return nullcontext(model)
    if transform is not None:
        raise SettingError(
            f"give the transform in the model's name: {model}?transform=package.module:f"
        )
    own = own_name(model)
    return nullcontext(str(replace(own, head=head or own.head)))


def _defaults(task: Task, method: str, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the method, and the space in which it compares where nobody says otherwise."""
    found = {"method": method or changed.get("method") or AUTO}
    if task.table is not None and "feature-space" not in changed:
        found["feature-space"] = "standardised"
    if found["method"] == AUTO and not is_network(task.model):
        found["method"] = _without_network(task, RunConfig.from_settings(changed, found))
    return found


def _without_network(task: Task, config: RunConfig) -> str:
    """Return the usual method, or `features` where that one would look through a network."""
    looks = config.method == "hard-features" and not config.proxy
    return "features" if looks or (task.holds_texts and config.request == "auto") else config.method
