"""Stored splits: one JSON file per policy and seed beside the cache, written once. Later tracks are added to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from genrekit.config import SplitPolicy
from genrekit.data.cache.reader import Cache
from genrekit.data.splits.gtzan import artists_of
from genrekit.data.splits.policy import choose_policy, make_split
from genrekit.data.splits.split import SET_NAMES, Split, SplitTrack
from genrekit.errors import GenrekitError, SplitError
from genrekit.io.files import read_json, write_json

FORMAT_VERSION = 1

_REMEDY = "delete it to make the split again"


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
    path = splits_folder(cache) / f"{chosen}-{seed}.json"
    previous = load_split(path) if path.exists() else None
    split = make_split(tracks, chosen, seed, previous=previous, strict=strict)
    if previous is None or (previous.subsets, previous.left_out) != (split.subsets, split.left_out):
        save_split(path, split)
    return replace(split, notes=(*notes, *split.notes))


def split_files(cache: Cache) -> list[Path]:
    """Return the stored splits of a cache."""
    return sorted(splits_folder(cache).glob("*-*.json"))


def splits_folder(cache: Cache) -> Path:
    """Return the folder for the splits of a cache, and for how often each test set was evaluated."""
    return cache.path.with_name(f"{cache.path.stem}.splits")


def save_split(path: Path, split: Split) -> None:
    """Write a split to a JSON file, in which the subsets are called parts."""
    values = {"policy": split.policy, "seed": split.seed, "parts": split.subsets, "left_out": split.left_out}
    write_json(path, {"format_version": FORMAT_VERSION, **values})


def load_split(path: Path) -> Split:
    """Read a split from a JSON file.

    Errors: SplitError if the file is damaged or has another format version.
    """
    try:
        values: Any = read_json(path)
    except GenrekitError as error:
        remedy = "" if isinstance(error.__cause__, OSError) else f"; {_REMEDY}"
        raise SplitError(f"{error}{remedy}") from error
    if not isinstance(values, Mapping) or values.get("format_version") != FORMAT_VERSION:
        raise SplitError(f"{path} is not a split of format {FORMAT_VERSION}: {_REMEDY}")
    try:
        split = Split(values["policy"], values["seed"], dict(values["parts"]), dict(values["left_out"]))
        if not set(split.subsets.values()) <= SET_NAMES.keys():
            raise ValueError("unknown subset")
    except (KeyError, TypeError, ValueError) as error:
        raise SplitError(f"{path} is damaged: {_REMEDY}") from error
    return split
