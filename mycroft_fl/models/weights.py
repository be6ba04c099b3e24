"""A model's weights: as one flat vector for the network, on disk as safetensors or skops."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Float32
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from mycroft_fl.errors import BadMessage, DataError
from mycroft_fl.files import write_whole
from mycroft_fl.models.estimators import Estimator, load_estimator, save_estimator
from mycroft_fl.models.fitting import AnyModel, Model
from mycroft_fl.models.foreign.state_dicts import state_for
from mycroft_fl.models.networks import Classifier


def flat_weights(model: nn.Module) -> Float32[np.ndarray, " w"]:
    """Return all parameters, and statistics of batches, in one vector: Flower's cost is per array."""
    with torch.no_grad():
        values = _travelling(model)
        return parameters_to_vector(values).cpu().numpy().astype(np.float32)


def size_of(model: nn.Module) -> int:
    """Return how many numbers `flat_weights` has."""
    return sum(value.numel() for value in _travelling(model))


def load_flat_weights(model: nn.Module, flat: Float32[np.ndarray, " w"]) -> None:
    """Put a flat vector into `model`. `BadMessage` when it does not fit."""
    values = _travelling(model)
    wanted = size_of(model)
    if flat.shape != (wanted,):
        raise BadMessage(f"weights of shape {flat.shape}; this model has {wanted} of them")
    vector_to_parameters(torch.from_numpy(flat.copy()), values)


def suffix_of(model: AnyModel) -> str:
    """Return how the name of a file with this model's weights ends."""
    return ".skops" if isinstance(model, Estimator) else ".safetensors"


def save_model(model: AnyModel, path: Path) -> None:
    """Write a model's weights: a network's as safetensors, an estimator's as skops."""
    if isinstance(model, Estimator):
        save_estimator(model, path)
    else:
        save_weights(model, path)


def loaded(model: Model, path: Path) -> Model:
    """Return the model with the weights of a file. `DataError` where they do not fit."""
    if isinstance(model, Estimator):
        return cast(Model, load_estimator(model, path))
    load_weights(model, path)
    return model


def flat_head(model: Classifier) -> Float32[np.ndarray, " h"]:
    """Return the last layer as one vector: row by row, each with its bias last, as its gradient is."""
    with torch.no_grad():
        both = torch.cat([model.head.weight, model.head.bias[:, None]], dim=1)
        return both.flatten().cpu().numpy().astype(np.float32)


def load_head(model: Classifier, flat: Float32[np.ndarray, " h"]) -> None:
    """Put a flat last layer into `model`. `BadMessage` when it does not fit."""
    put_head(model.head, flat)


def put_head(head: nn.Linear, flat: Float32[np.ndarray, " h"]) -> None:
    """Put flat numbers into a last layer. `BadMessage` when they do not fit."""
    rows, columns = head.out_features, head.in_features + 1
    if flat.shape != (rows * columns,):
        raise BadMessage(f"a last layer of shape {flat.shape}; this model's has {rows * columns}")
    both = torch.from_numpy(flat.copy()).reshape(rows, columns)
    with torch.no_grad():
        head.weight.copy_(both[:, :-1])
        head.bias.copy_(both[:, -1])


def save_weights(model: nn.Module, path: Path) -> None:
    """Write a network's weights as safetensors, whole or not at all."""
    left_out = _frozen(model)
    write_whole(
        path,
        save({
            name: each.contiguous() for name, each in model.state_dict().items() if name not in left_out
        }),
    )  # fmt: skip


def load_weights(model: nn.Module, path: Path) -> None:
    """Read safetensors, or a state dict, of the same architecture. `DataError` when they do not fit."""
    own, left_out = model.state_dict(), _frozen(model)
    kept = {name: each for name, each in own.items() if name in left_out}
    wanted = {name: each for name, each in own.items() if name not in left_out}
    model.load_state_dict(kept | state_for(path, wanted))
    if not all(bool(value.isfinite().all()) for value in model.state_dict().values()):
        raise DataError(f"{path} holds weights that are not finite; fit the model again")


def _travelling(model: nn.Module) -> list[Tensor]:
    """Return what is trained, and statistics: what stays as it was loaded, both sides have."""
    return [*(each for each in model.parameters() if each.requires_grad), *_statistics(model)]


def _frozen(model: nn.Module) -> set[str]:
    return {name for name, each in model.named_parameters() if not each.requires_grad}


def _statistics(model: nn.Module) -> list[Tensor]:
    """Return running means and variances: no parameters, but without them a network is another."""
    return [value for value in model.buffers() if value.is_floating_point()]
