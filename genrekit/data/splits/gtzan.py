"""Published facts about GTZAN: its fault-filtered split and its artists.

The split is that of Kereliuk, Sturm and Larsen (2015), "Deep learning and music adversaries", IEEE Transactions on
Multimedia 17(11): 443 training, 197 validation and 290 test tracks, without repetitions and distortions. No artist is
in two sets, except for three duets. The artists are those of Sturm's index: Sturm (2013), "The GTZAN dataset: its
contents, its faults, their effects on evaluation, and its future use", arXiv:1306.1461. A duet counts for each of its
artists.
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
"""Artists whose duets are in another set of the fault-filtered split than their other tracks: a known exception."""

_NAME = re.compile(rf"({'|'.join(GENRES)})\.000\d\d")
_NEARLY_ALL = 0.9


@dataclass(frozen=True)
class Entry:
    """The published facts about one track. `subset` is None for tracks that the fault-filtered split does not use."""

    subset: str | None
    artists: tuple[str, ...]


@cache
def index() -> dict[str, Entry]:
    """Return the entries of all 1,000 tracks, by names such as blues.00000."""
    lines = (files("genrekit.data.splits") / "gtzan.csv").read_text(encoding="utf-8").splitlines()
    return {
        row["track"]: Entry(row["part"] or None, tuple(row["artists"].split(";")) if row["artists"] else ())
        for row in csv.DictReader(lines)
    }


def gtzan_name(track_id: str) -> str | None:
    """Return a track's name in GTZAN, or None if its id does not end in one.

    >>> gtzan_name("genres_original/blues/blues.00012"), gtzan_name("blues/song")
    ('blues.00012', None)
    """
    stem = PurePosixPath(track_id).name
    return stem if _NAME.fullmatch(stem) else None


def artists_of(track_id: str) -> tuple[str, ...]:
    """Return the artists of a GTZAN track; empty if they are unknown."""
    name = gtzan_name(track_id)
    return index()[name].artists if name else ()


def fault_filtered_subset(track_id: str) -> str | None:
    """Return a track's subset in the fault-filtered split: train, validation, test or None."""
    name = gtzan_name(track_id)
    return index()[name].subset if name else None


def has_gtzan_names(track_ids: Iterable[str]) -> bool:
    """Return whether at least 90 % of the ids are GTZAN names."""
    named = [gtzan_name(track_id) is not None for track_id in track_ids]
    return bool(named) and sum(named) >= _NEARLY_ALL * len(named)


def is_gtzan(track_ids: Iterable[str]) -> bool:
    """Return whether at least 90 % of the tracks of the fault-filtered split are present."""
    listed = {name for name, entry in index().items() if entry.subset}
    present = {gtzan_name(track_id) for track_id in track_ids}
    return len(listed & present) >= _NEARLY_ALL * len(listed)
