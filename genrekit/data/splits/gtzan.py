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
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath

from genrekit.data.splits.split import REQUIRED, SET_NAMES
from genrekit.errors import counted, few

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


def is_complete_gtzan(genre_of: Mapping[str, str]) -> bool:
    """Return whether a collection is GTZAN without other tracks, and each genre is in each set of its split.

    `genre_of` has the genre of each track, by id.
    """
    return is_gtzan(genre_of) and all(map(gtzan_name, genre_of)) and not any(_lacking(genre_of).values())


def gtzan_summary(genre_of: Mapping[str, str]) -> str | None:
    """Return how much of GTZAN a collection has, and what its fault-filtered split has of it; None without GTZAN.

    `genre_of` has the genre of each track, by id.
    """
    if not _has_gtzan(genre_of):
        return None
    names = {name for name in map(gtzan_name, genre_of) if name}
    others = sum(gtzan_name(track_id) is None for track_id in genre_of)
    beside = f", and {counted(others, 'other track')}" if others else ""
    here = f"{len(names):,} of GTZAN's {len(index()):,} tracks are here{beside}:"
    lacking = _lacking(genre_of)
    for subset in REQUIRED:
        if lacking[subset]:
            what = f"its {SET_NAMES[subset]} has no {lacking[subset][0]} tracks here"
            return f"{here} its fault-filtered split cannot be used, because {what}"
    sizes = Counter(map(fault_filtered_subset, genre_of))
    untested = f", but no test tracks of {few(lacking['test'])}" if lacking["test"] and sizes["test"] else ""
    return (
        f"{here} --split fault-filtered, which keeps artists apart, has {sizes['train']} training, "
        f"{sizes['validation']} validation and {sizes['test']} test tracks{untested}"
    )


def published_tracks(genre_of: Mapping[str, str]) -> int:
    """Return how many tracks the fault-filtered split has of a collection; 0 if the split cannot be used.

    `genre_of` has the genre of each track, by id.
    """
    usable = _has_gtzan(genre_of) and not any(_lacking(genre_of)[subset] for subset in REQUIRED)
    return sum(fault_filtered_subset(track_id) is not None for track_id in genre_of) if usable else 0


def _has_gtzan(track_ids: Iterable[str]) -> bool:
    return has_gtzan_names(track_ids) or is_gtzan(track_ids)


def _lacking(genre_of: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the genres that have no track in each set of the fault-filtered split."""
    present = {(fault_filtered_subset(track_id), genre) for track_id, genre in genre_of.items()}
    genres = sorted(set(genre_of.values()))
    return {subset: [genre for genre in genres if (subset, genre) not in present] for subset in SET_NAMES}
