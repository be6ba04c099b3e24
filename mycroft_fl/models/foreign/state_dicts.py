"""Weights of networks in files of others: safetensors or a plain state dict, whoever wrapped them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from mycroft_fl.claims import check_archive
from mycroft_fl.errors import DataError, one_line

WRAPPED = ("state_dict", "model_state_dict", "model", "net", "weights")
"""Keys under which checkpoints of training loops keep the state dict."""
PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
"""What DataParallel, torch.compile and trainers put before every name."""
HEADS = ("fc.", "classifier.", "heads.head.", "head.")
"""What others call the last layer, which ours call head."""
COUNTS = ".num_batches_tracked"  # says nothing that a network answers by
SHOWN = 3
DEEPEST = 8  # wrappers around a state dict
State = dict[str, Tensor]


def state_for(path: Path, wanted: Mapping[str, Tensor]) -> State:
    """Return the weights in a file under a model's own names, in its precision.

    `DataError` in three lines where they are another's: how many fit, the first that do not, and
    what to do.

    Args:
        path: a file of safetensors, or of a state dict; nothing in it is run.
        wanted: the model's own state dict.
    """
    state = _renamed(_state_in(path), wanted)
    for name, value in wanted.items():
        if name.endswith(COUNTS):
            state.setdefault(name, value)
    _check(path, state, wanted)
    return {
        name: state[name].to(value.dtype) if value.is_floating_point() else state[name]
        for name, value in wanted.items()
    }


def _state_in(path: Path) -> State:
    """Return a file's weights, out of whatever wraps them."""
    if not path.is_file():
        raise DataError(f"no weights at {path}; name a file of safetensors or of a state dict")
    try:
        content = _read(path)
    except Exception as error:  # a broken or hostile file ends its reader in many ways
        raise DataError(
            f"{path} does not hold this model's weights: {one_line(error)[:200]}; save them with "
            "torch.save(net.state_dict(), path), or as safetensors"
        ) from error
    for _ in range(DEEPEST):  # a file may hold a dict that holds itself
        if not isinstance(content, Mapping) or any(isinstance(v, Tensor) for v in content.values()):
            break
        inner = next((content[key] for key in WRAPPED if key in content), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping):
        raise DataError(
            f"{path} does not hold this model's weights: it is a {type(content).__name__}; save "
            "net.state_dict()"
        )
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def _read(path: Path) -> Any:
    """Return what is in a file: pickled only as far as weights go."""
    archive = zipfile.is_zipfile(path)
    if path.suffix == ".safetensors" or not (archive or _is_pickle(path)):
        return load_file(path)
    if archive:
        check_archive(path)  # PyTorch makes room for what an archive's list of members claims
    return torch.load(path, map_location="cpu", weights_only=True)


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(1) == b"\x80"


def _renamed(state: State, wanted: Mapping[str, Tensor]) -> State:
    """Return the weights without what wrappers put before their names, the last layer as ours is called."""
    found = True
    while found and not set(state) & set(wanted):
        found = False
        for prefix in PREFIXES:
            named = {name: value for name, value in state.items() if name.startswith(prefix)}
            # An average of weights keeps a count beside them, under no prefix.
            if named and len(state) - len(named) <= 1:
                state = {name.removeprefix(prefix): value for name, value in named.items()}
                found = True
    if set(state) & set(wanted) or not any(name.startswith("body.") for name in wanted):
        return state
    return {_ours(name): value for name, value in state.items()}


def _ours(name: str) -> str:
    head = next((each for each in HEADS if name.startswith(each)), None)
    return f"body.{name}" if head is None else f"head.{name.removeprefix(head)}"


def _check(path: Path, state: State, wanted: Mapping[str, Tensor]) -> None:
    flaws = [flaw for name, value in wanted.items() if (flaw := _flaw(name, state, value))]
    strange = [name for name in state if name not in wanted]
    flaws += [f"{name} is not in the model" for name in strange]
    if not flaws:
        return
    fits = len(wanted) - len(flaws) + len(strange)
    more = f", and {len(flaws) - SHOWN} more" if len(flaws) > SHOWN else ""
    raise DataError(
        f"{path} does not hold this model's weights: {fits} of {len(wanted)} keys match\n"
        f"first that do not: {'; '.join(flaws[:SHOWN])}{more}\n"
        "give weights of the same architecture, classes and image size, or a model that fits these"
    )


def _flaw(name: str, state: State, value: Tensor) -> str | None:
    if name not in state:
        return f"{name} is missing"
    given = state[name]
    if given.layout != torch.strided or given.is_quantized or given.device.type != "cpu":
        return f"{name} is no dense tensor with its values in the file"
    if given.shape != value.shape:
        return f"{name} is {tuple(given.shape)}, the model's {tuple(value.shape)}"
    return None
