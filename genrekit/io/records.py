"""JSON files that genrekit writes and reads again: each has one model, and errors are reported in one place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from genrekit.config import Config
from genrekit.errors import GenrekitError, UsageError
from genrekit.io.files import read_json

AnyRecord = TypeVar("AnyRecord", bound=Config)


def read_record(kind: type[AnyRecord], path: Path, remedy: str) -> AnyRecord:
    """Read a JSON file into its model, whose `format_version` is a literal.

    Errors: GenrekitError, one line with the file, the key and the `remedy`, if the file is damaged or has another
    version; without the remedy if the operating system does not let it be read.
    """
    try:
        values = read_json(path)
    except GenrekitError as error:
        if isinstance(error.__cause__, OSError):
            raise
        raise GenrekitError(f"{error}; {remedy}") from error
    return as_record(kind, values, path, remedy)


def as_record(kind: type[AnyRecord], values: Any, path: Path, remedy: str) -> AnyRecord:
    """Return JSON values of a file as its model.

    Errors: GenrekitError, one line with the file, the key and the `remedy`.
    """
    if not isinstance(values, dict):
        raise GenrekitError(f"{path} is damaged: it has no names and values; {remedy}")
    try:
        return kind.of_json(json.dumps(values))
    except UsageError as error:
        damaged = ":" if str(error).startswith("format_version") else " is damaged:"
        raise GenrekitError(f"{path}{damaged} {error}; {remedy}") from error
