"""Find the line of a TOML file that an error message is about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from genrekit.errors import UsageError
from genrekit.io.regular_files import read_small_text


def require_file_name(path: Path) -> None:
    """Refuse a file name such as `...toml`, whose stem cannot name a folder.

    Errors: UsageError.
    """
    if not path.stem.strip("."):
        raise UsageError(f"{path}: the report folder is named after the file; rename the file")


def require_toml(path: Path, kind: str) -> None:
    """Refuse the path of something else than a TOML file; `kind` is what it should be, such as study.

    Errors: UsageError.
    """
    if path.suffix == ".toml":
        return
    if not path.exists():
        raise UsageError(f"{path} does not exist: name a {kind} file, such as {path.stem or kind}.toml")
    what = "a folder" if path.is_dir() else "not a TOML file"
    raise UsageError(f"{path} is {what}: name a {kind} file, such as {path.stem or kind}.toml")


def locate(path: Path, message: str) -> str:
    """Return "FILE, line N" for an error message, or "FILE" if no line matches.

    The line is found by the first quoted name in the message, or by the key at its beginning.
    """
    lines = read_small_text(path).splitlines()
    fault = re.sub(r"^configuration [^:]*: ", "", message)
    for pattern in _patterns(fault):
        for number, line in enumerate(lines, 1):
            if re.search(pattern, line):
                return f"{path}, line {number}"
    return str(path)


def _patterns(fault: str) -> Iterator[str]:
    """Yield patterns for the line, the most specific first."""
    if quoted := re.search(r"'([^']+)'", fault):
        yield rf"{_key_pattern(quoted[1])}|[\"']{re.escape(quoted[1])}[\"']"
    key = re.match(r"[\w.]+", fault)
    names = [name for name in key[0].split(".") if not name.isdecimal()] if key else []
    if names and (value := re.search(r", got ([^,]+)$", fault)):
        yield rf"{_key_pattern(names[-1])}\s*(\[.*)?(?<![\w.]){re.escape(value[1])}(?![\w.])"
    yield from map(_key_pattern, reversed(names))


def _key_pattern(name: str) -> str:
    """A pattern for a TOML table or key with this name."""
    word = rf"[\"']?{re.escape(name)}[\"']?"
    return rf"(^\s*\[+(.*\.)?\s*{word}\s*[\].]|(^|[{{,])\s*([\w-]+\.)*{word}(\.[\w-]+)*\s*=)"
