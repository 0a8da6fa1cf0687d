"""What is published about GTZAN: its fault-filtered split and its artists.

The split is that of Kereliuk, Sturm and Larsen (2015), "Deep learning and music adversaries", IEEE Transactions on
Multimedia 17(11): 443 tracks to train, 197 to validate and 290 to test, without repetitions, distortions and (but for
three duets) artists that cross. The artists are those of Sturm's index: Sturm (2013), "The GTZAN dataset: its contents,
its faults, their effects on evaluation, and its future use", arXiv:1306.1461; a duet counts for each of its artists.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")

CROSSING_ARTISTS = frozenset({"Bob Marley", "Donna Summer", "Shania Twain"})
"""Artists whose duets stand on another side of the fault-filtered split than their own tracks: a known exception."""

_NAME = re.compile(rf"({'|'.join(GENRES)})\.000\d\d")
_NEARLY_ALL = 0.9


@dataclass(frozen=True)
class Entry:
    """What is known of one track; `subset` is None for tracks that the fault-filtered split leaves out."""

    subset: str | None
    artists: tuple[str, ...]


@cache
def index() -> dict[str, Entry]:
    """All 1,000 tracks by name, such as blues.00000."""
    lines = (files("genrekit.data.splits") / "gtzan.csv").read_text(encoding="utf-8").splitlines()
    return {
        row["track"]: Entry(row["part"] or None, tuple(row["artists"].split(";")) if row["artists"] else ())
        for row in csv.DictReader(lines)
    }


def gtzan_name(track_id: str) -> str | None:
    """A track's name in GTZAN, or None where the stem of its id is none.

    >>> gtzan_name("genres_original/blues/blues.00012"), gtzan_name("blues/song")
    ('blues.00012', None)
    """
    stem = PurePosixPath(track_id).name
    return stem if _NAME.fullmatch(stem) else None


def artists_of(track_id: str) -> tuple[str, ...]:
    """Artists of a track by its GTZAN name; none where they are unknown."""
    name = gtzan_name(track_id)
    return index()[name].artists if name else ()


def fault_filtered_subset(track_id: str) -> str | None:
    """A track's subset of the fault-filtered split: train, validation, test, or None."""
    name = gtzan_name(track_id)
    return index()[name].subset if name else None


def has_gtzan_names(track_ids: Iterable[str]) -> bool:
    """Whether nine of ten ids are names of GTZAN's."""
    named = [gtzan_name(track_id) is not None for track_id in track_ids]
    return bool(named) and sum(named) >= _NEARLY_ALL * len(named)


def is_gtzan(track_ids: Iterable[str]) -> bool:
    """Whether nine of ten tracks of the fault-filtered split are there."""
    listed = {name for name, entry in index().items() if entry.subset}
    there = {gtzan_name(track_id) for track_id in track_ids}
    return len(listed & there) >= _NEARLY_ALL * len(listed)
