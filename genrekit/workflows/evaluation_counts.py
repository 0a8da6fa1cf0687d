"""Count how often the test set of each split of a cache was evaluated, in a file beside its splits."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from genrekit.config import Config
from genrekit.data.cache.reader import Cache
from genrekit.data.splits.store import splits_folder
from genrekit.io.files import exclusive_lock, read_json, write_json
from genrekit.io.records import as_record


class _Readings(Config):
    """How often the test set of each split was evaluated."""

    format_version: Literal[1]
    readings: dict[str, Annotated[int, Field(ge=0)]]


def count_evaluation(cache: Cache, splits: list[str]) -> int:
    """Count one more evaluation of each split's test set; return the highest count.

    Errors: GenrekitError if the file of counts is damaged.
    """
    folder = splits_folder(cache)
    path = folder / "readings.json"
    with exclusive_lock(folder / ".readings.lock", "cannot count the evaluation", wait=True):
        counts = _read_counts(path)
        counts.update(splits)
        write_json(path, {"format_version": 1, "readings": dict(counts)})
    return max(counts[split] for split in splits)


def _read_counts(path: Path) -> Counter[str]:
    """Return how often each test set was evaluated. The first version of the file had nothing else.

    Errors: GenrekitError if the file cannot be read.
    """
    if not os.path.lexists(path):
        return Counter()
    values = read_json(path)
    if isinstance(values, dict) and not values.keys() & _Readings.model_fields.keys():
        values = {"format_version": 1, "readings": values}
    remedy = "remove it to count from 0"
    return Counter(as_record(_Readings, values, path, remedy).readings)
