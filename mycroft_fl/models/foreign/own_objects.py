"""Models of one's own: what an import path, or an object given in Python, stands for."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from mycroft_fl.errors import SettingError, one_line
from mycroft_fl.settings.own_names import OwnName

GIVEN = "object"
"""The module, in the names of objects that were given in Python."""

_given: dict[str, Any] = {}


@contextmanager
def given(model: Any, head: str = "", transform: Callable[..., Any] | None = None) -> Iterator[str]:
    """Give a model in memory a name, under which this process finds it inside `with`.

    Args:
        model: a network, a scikit-learn classifier or pipeline, or a factory of one.
        head: the path of a network's last linear layer; "" to find it.
        transform: what prepares a batch; None for none.
    """
    name = OwnName(_noted(model), head, "" if transform is None else _noted(transform))
    try:
        yield str(name)
    finally:
        for path in name.paths:
            _given.pop(path, None)


def found(path: str) -> Any:
    """Return what stands at an import path, or was given under that name. `SettingError` if nothing."""
    if path in _given:
        return _given[path]
    module, _, attribute = path.partition(":")
    if module == GIVEN:
        raise SettingError(
            f"model '{path}' was an object of a Python process that has ended; give it again there, or "
            "name an import path"
        )
    try:
        value: Any = importlib.import_module(module)
        for part in attribute.split("."):
            value = getattr(value, part)
    except (Exception, SystemExit) as error:  # a module of somebody's own may raise anything
        raise SettingError(
            f"'{path}' cannot be imported ({one_line(error)}); give package.module:name, importable "
            "from the folder you are in"
        ) from error
    return value


def is_torch(path: str) -> bool:
    """Say whether a network stands at that path: a module, its class, or a function that makes one.

    A function with arguments makes a network. One without is called, unless its annotation says
    what it returns. `SettingError` where nothing stands there.
    """
    value = found(path)
    if isinstance(value, nn.Module) or _is_network(value):
        return True
    if isinstance(value, type) or hasattr(value, "predict_proba"):
        return False
    if not callable(value):
        raise SettingError(
            f"model '{path}' is a {type(value).__name__}; give a network, a scikit-learn classifier, or "
            "a function that makes one"
        )
    returned = _annotation(value)
    if returned is not None:
        return _is_network(returned)
    if set(_parameters(value)) & {"shape", "num_classes"} or _required(value):
        return True
    return isinstance(made(path, ()), nn.Module)


def made(path: str, shape: tuple[int, ...], num_classes: int = 0) -> Any:
    """Return the model at a path: an object as it stands, a class or a function called.

    A function may take `shape` and `num_classes`, by these names or in this order.
    `SettingError` where it cannot be made.
    """
    value = found(path)
    if not (isinstance(value, type) or inspect.isroutine(value) or _is_partial(value)):
        return value
    names, asked = _parameters(value), {"shape": shape, "num_classes": num_classes}
    named = {name: asked[name] for name in names if name in asked}
    required = [name for name in _required(value) if name not in named]
    try:
        if len(required) == 2 and not named:
            return value(shape, num_classes)
        if not named and _is_torch_like(value) and _takes_any(value):
            return value(num_classes=num_classes)
        return value(**named)
    except (Exception, SystemExit) as error:
        raise SettingError(
            f"model '{path}' cannot be made ({one_line(error)}); give a function of (shape, num_classes), "
            "or one that needs no arguments"
        ) from error


def _noted(value: Any) -> str:
    kind = value if isinstance(value, type) or inspect.isroutine(value) else type(value)
    name = "".join(each if each.isalnum() else "-" for each in kind.__name__).strip("-")
    path = f"{GIVEN}:{name}-{_digest(value)}"
    _given[path] = value
    return path


def _digest(value: Any) -> str:
    """Name an object by its content where it has weights or parameters, else by its place."""
    hasher = hashlib.blake2b(digest_size=4)
    if isinstance(value, nn.Module):
        hasher.update(repr(value).encode())
        for name, tensor in value.state_dict().items():
            hasher.update(name.encode())
            hasher.update(tensor.detach().float().cpu().numpy().tobytes())
    elif hasattr(value, "get_params") and not isinstance(value, type):
        import joblib

        hasher.update(joblib.hash(value).encode())
    else:
        hasher.update(f"{getattr(value, '__qualname__', '')}{id(value)}".encode())
    return hasher.hexdigest()


def _is_network(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, nn.Module)


def _is_partial(value: Any) -> bool:
    return hasattr(value, "func") and hasattr(value, "args")


def _is_torch_like(value: Any) -> bool:
    return _is_network(value) or _is_network(_annotation(value))


def _annotation(function: Any) -> Any:
    """Return what a function says that it returns; None where it says nothing that is found."""
    try:
        return typing.get_type_hints(function).get("return")
    except Exception:  # names that only a type checker knows, or no function of Python
        return None


def _parameters(value: Any) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(value).parameters)
    except (TypeError, ValueError):
        return {}


def _required(value: Any) -> list[str]:
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        name
        for name, each in _parameters(value).items()
        if each.default is inspect.Parameter.empty and each.kind not in kinds
    ]


def _takes_any(value: Any) -> bool:
    return any(each.kind is inspect.Parameter.VAR_KEYWORD for each in _parameters(value).values())
