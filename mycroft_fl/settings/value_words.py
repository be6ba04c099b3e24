"""The words for a value and for the kind that is wanted, as a person who writes TOML says them."""

from __future__ import annotations

from typing import Any

KINDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def value_in_words(value: Any) -> str:
    """Say what a value is.

    >>> value_in_words("x"), value_in_words(1.5), value_in_words(True)
    ("the text 'x'", 'the number 1.5', 'true')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text {value!r}"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, list | tuple):
        return f"the list {list(value)}"
    return "a table" if isinstance(value, dict) else f"{value}"


def wanted_in_words(kind: type, example: Any = None) -> str:
    """Say what is wanted, with an example where it says more than the kind does.

    >>> wanted_in_words(float, 0.5), wanted_in_words(bool, True), wanted_in_words(str, "")
    ('a number such as 0.5', 'true or false', 'a text')
    """
    if kind is bool or example is None or example == "":
        return KINDS[kind]
    return f"{KINDS[kind]} such as {example!r}"
