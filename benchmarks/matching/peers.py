"""The public solvers that the engine is compared with, installed on first use beside everything."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

FOLDER = Path.home() / ".cache" / "mycroft-fl" / "peers"
PACKAGES = ("spams-bin==2.6.14", "faiss-cpu==1.15.1", "cords==0.0.4")
Weights = np.ndarray
Solver = Callable[[np.ndarray, np.ndarray, int], Weights]


def install() -> None:
    """The peers in a folder of their own, without what they would bring along or replace."""
    if not (FOLDER / "cords").exists():
        command = ["--quiet", "--no-deps", "--target", str(FOLDER), *PACKAGES]
        uv = importlib.util.find_spec("uv")
        pip = ["uv", "pip", "install", "--python", sys.executable] if uv else ["pip", "install"]
        subprocess.run([sys.executable, "-m", *pip, *command], check=True)
    sys.path.append(str(FOLDER))


def faiss() -> Any:
    """faiss on one thread."""
    module = importlib.import_module("faiss")
    module.omp_set_num_threads(1)
    return module


def scikit_learn(columns: np.ndarray, target: np.ndarray, k: int) -> Weights:
    """orthogonal_mp, free weights; columns at norm one."""
    from sklearn.linear_model import orthogonal_mp

    weights: np.ndarray = orthogonal_mp(columns, target, n_nonzero_coefs=k)
    return weights


def spams(columns: np.ndarray, target: np.ndarray, k: int) -> Weights:
    """spams.omp, free weights, rule ols; columns at norm one, in Fortran's order.

    `eps` must be given: without it the build for float32 takes the target for met already and
    returns no atom, without an error (the one for float64 does not).
    """
    found = importlib.import_module("spams").omp(
        np.asfortranarray(target[:, None]), columns, L=k, eps=0.0, numThreads=1
    )
    weights: np.ndarray = np.asarray(found.todense())[:, 0]
    return weights


def cords(columns: np.ndarray, target: np.ndarray, k: int) -> Weights:
    """CORDS' OrthogonalMP_REG_Parallel on torch, non-negative, without its ridge."""
    found = _cords().OrthogonalMP_REG_Parallel(
        torch.from_numpy(columns), torch.from_numpy(target), nnz=k, positive=True, lam=0
    )
    weights: np.ndarray = found.numpy()
    return weights


def _cords() -> ModuleType:
    """The solvers' file alone: the package around it wants half a dozen others."""
    path = FOLDER / "cords" / "selectionstrategies" / "helpers" / "omp_solvers.py"
    spec = importlib.util.spec_from_file_location("cords_omp_solvers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = np.geterr()
    spec.loader.exec_module(module)
    np.seterr(**before)
    return module
