"""The entry point.

Python 3.6 must be able to parse this file, `genrekit/__init__.py` and `genrekit/__main__.py`. An old Python then prints
one line instead of a traceback.
"""

import sys
from typing import Tuple  # noqa: UP035 - an old Python evaluates the annotation below

MIN_PYTHON = (3, 11)
"""The oldest Python that genrekit runs on, as `requires-python` in pyproject.toml says."""


def main() -> None:
    """Run the command line and exit with its code."""
    problem = python_problem(sys.version_info[:3])
    if problem:
        sys.exit(problem)
    try:
        from genrekit.cli.app import run
        from genrekit.cli.signals import leave
    except KeyboardInterrupt:
        sys.stderr.write("genrekit: interrupted\n")
        sys.exit(130)
    leave(run(sys.argv[1:]))


def python_problem(version: Tuple[int, int, int]) -> str:  # noqa: UP006
    """Return why genrekit cannot run on this version of Python, or an empty string.

    >>> python_problem((3, 10, 13)), python_problem((3, 11, 0))
    ('genrekit needs Python 3.11 or newer, this is 3.10.13', '')
    """
    if version >= MIN_PYTHON:
        return ""
    return "genrekit needs Python {}.{} or newer, this is {}.{}.{}".format(*MIN_PYTHON, *version)


if __name__ == "__main__":
    main()
