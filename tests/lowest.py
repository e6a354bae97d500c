"""Prints the lowest version that pyproject.toml allows of each library, as constraints for pip: `make test-lowest`.

torch is the one of constraints.txt: of older ones there need not be a wheel for processors alone.
"""

from __future__ import annotations

import re
from pathlib import Path

import tomllib

ROOT = Path(__file__).parents[1]
_LOWER = re.compile(r"([\w.-]+)(?:\[[\w,.-]*\])?\s*>=\s*([\w.]+)")


def requirements() -> list[str]:
    """As they stand in pyproject.toml, those of the extras too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]


def lowest(required: list[str]) -> dict[str, str]:
    """Name -> the version behind ``>=``; those without one are left out."""
    return {found[1].lower(): found[2] for one in required if (found := _LOWER.match(one))}


def main() -> None:
    torch = re.search(r"^torch==(\S+)", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    assert torch is not None
    for name, version in sorted((lowest(requirements()) | {"torch": torch[1]}).items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
