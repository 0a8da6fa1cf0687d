"""Print the installed version of every dependency that genrekit declares, and the bounds that pyproject.toml sets.

Usage: python tools/direct_dependencies.py
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement


def main() -> None:
    """Print one line per dependency."""
    requirements = {item.name: item for item in map(Requirement, distribution("genrekit").requires or [])}
    requirements.pop("genrekit", None)  # an extra that joins other extras
    for requirement in requirements.values():
        try:
            installed = distribution(requirement.name).version
        except PackageNotFoundError:
            installed = "not installed"
        print(f"{requirement.name:<16} {installed:<14} {requirement.specifier}")


if __name__ == "__main__":
    main()
