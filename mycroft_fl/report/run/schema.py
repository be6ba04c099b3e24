"""The check of a result file against its JSON schema."""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

from mycroft_fl.errors import DataError


@functools.cache
def result_schema() -> dict[str, Any]:
    """Load the JSON schema of a result file, with a description of every key."""
    text = (resources.files("mycroft_fl.report") / "result.schema.json").read_text()
    schema: dict[str, Any] = json.loads(text)
    return schema


def check_result(result: Any) -> None:
    """Check a result. `DataError` names the first place at which it is not what its file must hold."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(result_schema()).iter_errors(result))
    if error is not None:
        place = ".".join(str(part) for part in error.absolute_path) or "the whole"
        raise DataError(f"not a result file of this version: {place}: {error.message}")
