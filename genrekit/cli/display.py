"""Output for people and programs: consoles, tables, durations and JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.table import Table

from genrekit.errors import is_or_are
from genrekit.io.json_values import to_json

DEFAULT_CACHE = Path("data/cache.h5")
"""The cache that commands use if none is named."""

PIPE_WIDTH = 120
"""Width of a table, in columns, if the output is not a terminal."""


def stdout() -> Console:
    """The console for results: it wraps at the width of a terminal, and never in a pipe."""
    return console_for(sys.stdout)


def console_for(file: IO[str]) -> Console:
    """A console without automatic colours and emoji."""
    width = None if file.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(file=file, highlight=False, emoji=False, soft_wrap=not file.isatty(), width=width)


def emit_json(record: Any) -> None:
    """Print a record as one JSON object, with escapes if the encoding of stdout lacks a character."""
    text = json.dumps(to_json(record), ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(to_json(record))
    sys.stdout.write(text + "\n")


def are_there(count: int) -> str:
    """How many runs or trials are finished already.

    >>> are_there(1), are_there(2)
    ('1 is already finished', '2 are already finished')
    """
    return f"{count} {is_or_are(count)} already finished"


def duration(seconds: float) -> str:
    """A duration as text.

    >>> duration(4.2), duration(75), duration(3_700)
    ('4.2 s', '1:15', '1:01:40')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{whole:02d}" if hours else f"{minutes}:{whole:02d}"


def plain_table(*columns: str, title: str | None = None, right: tuple[str, ...] = ()) -> Table:
    """A table without lines; the columns in `right` are aligned to the right and not wrapped."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold", no_wrap=name in right)
    return table
