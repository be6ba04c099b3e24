"""Checks a CycloneDX file against the schema of its version, strictly: unknown keys are errors too."""

from __future__ import annotations

import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


def main() -> None:
    """Exit with 1 and the reason where the file is not valid."""
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(Path(sys.argv[1]).read_text())
    if error is not None:
        sys.exit(f"{sys.argv[1]}: {error}")


if __name__ == "__main__":
    main()
