"""The type checker of a test run: every call's shapes and types, by beartype.

`pyproject.toml` names it for jaxtyping's import hook.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from beartype import BeartypeConf, beartype

Function = TypeVar("Function", bound=Callable[..., Any])
SELF = re.compile(r"\bSelf\b")
CHECKED = BeartypeConf(is_pep484_tower=True)  # an int where a float is asked for is one


def checked(function: Function) -> Function:
    """Check a function's calls; a hint that says `Self` is left out, since no class is known here."""
    hints = getattr(function, "__annotations__", {})
    for name, hint in hints.items():
        if SELF.search(str(hint)):
            hints[name] = Any
    return beartype(function, conf=CHECKED)
