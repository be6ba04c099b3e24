"""A griffe extension: examples under "Example:" are read as doctests, as those under "Examples:" are."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

ONE = re.compile(r"^( *)Example:$", re.MULTILINE)


class Doctests(Extension):
    """The project writes one example a docstring, and griffe knows a section of many alone."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Rename the section before the docstring is parsed."""
        if obj.docstring is not None:
            obj.docstring.value = ONE.sub(r"\1Examples:", obj.docstring.value)
