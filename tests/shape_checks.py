"""The type checker of a test run: every call's shapes and types, by beartype.

`pyproject.toml` names it for jaxtyping's import hook.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from beartype import BeartypeConf, beartype

Function = TypeVar("Function", bound=Callable[..., Any])
UNCHECKED = re.compile(r"\b(Self|TextIO|IO)\b")
CHECKED = BeartypeConf(is_pep484_tower=True)  # an int where a float is asked for is one


def checked(function: Function) -> Function:
    """Check a function's calls.

    A hint that says `Self` is left out, since no class is known here; so are streams, of which a
    test's own lack a name and a mode.
    """
    if "<locals>" in function.__qualname__:
        return function  # made anew at each call of what it stands in, and checked there
    hints = getattr(function, "__annotations__", {})
    for name, hint in hints.items():
        if UNCHECKED.search(str(hint)):
            hints[name] = Any
    return beartype(function, conf=CHECKED)
