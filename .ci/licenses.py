"""Adds to a CycloneDX file what installed packages say of their license; a lock does not know it.

python licenses.py < lock.cdx.json > with-licenses.cdx.json
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any

TROVE = "License :: OSI Approved :: "
LONGEST = 100
"""Some packages put the whole text where its name belongs."""


def declared(package: Distribution) -> list[dict[str, Any]]:
    """A package's license as CycloneDX has it: an SPDX expression, else names; nothing if it says none."""
    metadata = package.metadata
    if expression := metadata.get("License-Expression"):
        return [{"expression": expression, "acknowledgement": "declared"}]
    classified = [
        each.removeprefix(TROVE) for each in metadata.get_all("Classifier", []) if TROVE in each
    ]
    short = metadata.get("License", "").strip()
    names = classified or ([short] if 0 < len(short) <= LONGEST and "\n" not in short else [])
    return [{"license": {"name": each, "acknowledgement": "declared"}} for each in names]


def with_licenses(bom: dict[str, Any]) -> dict[str, Any]:
    """The same, with a license for each component that is installed here in that very version."""
    components = []
    for listed in bom["components"]:
        # The tool's description is the line of the lock, hashes and all, which the entry has anyway.
        each = {key: value for key, value in listed.items() if key != "description"}
        try:
            package = distribution(each["name"])
        except PackageNotFoundError:
            components.append(each)  # of another platform or Python
            continue
        found = declared(package) if package.version == each["version"] else []
        components.append({**each, "licenses": found} if found else each)
    return {**bom, "components": components}


def main() -> None:
    """Read a file of CycloneDX, write it with licenses."""
    bom = with_licenses(json.load(sys.stdin))
    json.dump(bom, sys.stdout, indent=2)
    listed = bom["components"]
    known = sum("licenses" in each for each in listed)
    hashed = sum(
        any("hashes" in at for at in each.get("externalReferences", [])) for each in listed
    )
    print(
        f"{len(listed)} components, {hashed} with hashes, {known} with a license", file=sys.stderr
    )


if __name__ == "__main__":
    main()
