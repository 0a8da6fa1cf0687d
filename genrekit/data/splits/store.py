"""Stored splits: one JSON file per policy and seed beside the cache, written once. Later tracks are added to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import model_validator

from genrekit.config import Config, SplitPolicy
from genrekit.data.cache.reader import Cache
from genrekit.data.cache.side_files import beside, elsewhere, stored, to_write
from genrekit.data.splits.gtzan import artists_of
from genrekit.data.splits.policy import choose_policy, make_split
from genrekit.data.splits.split import Split, SplitTrack
from genrekit.errors import GenrekitError, SplitError, counted, few, is_or_are
from genrekit.io.files import write_json
from genrekit.io.records import read_record

FORMAT_VERSION = 1

_SPLITS = "splits"
_REMEDY = "delete it to make the split again"


class _StoredSplit(Config):
    """The content of a split's file. Subsets are called parts there."""

    format_version: Literal[1]
    policy: Literal["fault-filtered", "artist", "track", "fragment", "manifest"]
    seed: int
    parts: dict[str, Literal["train", "validation", "test"]]
    left_out: dict[str, str]

    @model_validator(mode="after")
    def _disjoint(self) -> _StoredSplit:
        if both := self.parts.keys() & self.left_out.keys():
            raise ValueError(f"{few(sorted(both))} {is_or_are(len(both))} in a set and left out")
        return self


def split_tracks(cache: Cache) -> list[SplitTrack]:
    """Return the tracks of a cache. If the manifest names no artist, those of GTZAN's index are used."""
    return [
        SplitTrack(
            track.id,
            track.genre,
            track.artists or artists_of(track.id),
            track.subset,
            "" if track.silent else track.digest,  # two silent tracks are not duplicates
            cache.tracks[track.recording].id if track.recording >= 0 else "",
        )
        for track in cache.tracks
    ]


def open_split(cache: Cache, policy: SplitPolicy, seed: int, *, strict: bool = False) -> Split:
    """Return a cache's stored split, with tracks added since. Store it if it is new or has grown.

    Errors: SplitError if a genre lacks training or validation tracks, or if artists or duplicates cross.
    """
    tracks = split_tracks(cache)
    chosen, notes = choose_policy(tracks, policy, seed)
    file_seed = 0 if chosen == "manifest" else seed  # a manifest's split is the same for all seeds
    name = f"{_SPLITS}/{chosen}-{file_seed}.json"
    path = stored(cache, name)
    previous = load_split(path) if path.exists() else None
    split = make_split(tracks, chosen, seed, previous=previous, strict=strict)
    if previous is None or (previous.subsets, previous.left_out) != (split.subsets, split.left_out):
        path = to_write(cache, name)
        save_split(path, split)
    if path == elsewhere(cache, name):
        notes = (*notes, f"the folder of {cache.path} is read-only, so the split is stored in {path}")
    return replace(split, notes=(*notes, *_moved(previous, split), *split.notes))


def _moved(previous: Split | None, split: Split) -> tuple[str, ...]:
    """Return a note if tracks are in another set than in the stored split, because the manifest was changed."""
    before = {} if previous is None else previous.subsets
    moved = [track_id for track_id, subset in split.subsets.items() if before.get(track_id, subset) != subset]
    what = (
        f"{counted(len(moved), 'track')} {is_or_are(len(moved))} in another set of the {split.policy} split than before"
    )
    return (f"{what} ({few(moved)}): train again, because earlier models may have seen test tracks",) if moved else ()


def split_files(cache: Cache) -> list[Path]:
    """Return the stored splits of a cache."""
    folders = (beside(cache, _SPLITS), elsewhere(cache, _SPLITS))
    return sorted({path.name: path for folder in folders for path in folder.glob("*-*.json")}.values())


def splits_folder(cache: Cache) -> Path:
    """Return the folder for the splits of a cache, and for how often each test set was evaluated."""
    return to_write(cache, _SPLITS)


def save_split(path: Path, split: Split) -> None:
    """Write a split to a JSON file, in which the subsets are called parts."""
    values = {"policy": split.policy, "seed": split.seed, "parts": split.subsets, "left_out": split.left_out}
    write_json(path, {"format_version": FORMAT_VERSION, **values})


def load_split(path: Path) -> Split:
    """Read a split from a JSON file.

    Errors: SplitError if the file is damaged or has another format version.
    """
    try:
        stored_split = read_record(_StoredSplit, path, _REMEDY)
    except GenrekitError as error:
        raise SplitError(str(error)) from error
    return Split(stored_split.policy, stored_split.seed, dict(stored_split.parts), dict(stored_split.left_out))
