"""Groups of tracks that must stay in the same subset: same artist, same audio, or same recording."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from genrekit.data.genre_names import name_key
from genrekit.data.splits.split import SplitTrack

KNOWN_ENOUGH = 0.5
"""The share of tracks with a known artist from which artists are used."""


def split_groups(tracks: Sequence[SplitTrack], seed: int, *, by_artist: bool) -> list[list[SplitTrack]]:
    """Return the groups in the order in which they are assigned: by size, then in random order."""
    return sorted(track_groups(tracks, by_artist=by_artist), key=assignment_order(seed))


def assignment_order(seed: int) -> Callable[[Sequence[SplitTrack]], tuple[int, bytes]]:
    """Return a sort key for groups: large ones first, equally large ones in random order."""
    return lambda group: (-len(group), random_key(seed, group[0].id))


def track_groups(tracks: Sequence[SplitTrack], *, by_artist: bool) -> list[list[SplitTrack]]:
    """Return the connected components of tracks that share audio, a recording or, `by_artist`, an artist.

    Tracks keep their order within a component.
    """
    parent = {track.id: track.id for track in tracks}

    def root(track_id: str) -> str:
        while parent[track_id] != track_id:
            parent[track_id] = track_id = parent[parent[track_id]]
        return track_id

    first: dict[tuple[str, str], str] = {}
    for track in tracks:
        links = [("digest", track.digest)] if track.digest else []
        links += [("recording", track.recording)] if track.recording else []
        links += [("artist", artist) for artist in artist_keys(track)] if by_artist else []
        for link in links:
            one, other = sorted((root(first.setdefault(link, track.id)), root(track.id)))
            parent[other] = one
    components: defaultdict[str, list[SplitTrack]] = defaultdict(list)
    for track in tracks:
        components[root(track.id)].append(track)
    return list(components.values())


def identical_tracks(tracks: Iterable[SplitTrack]) -> list[list[SplitTrack]]:
    """Group tracks by their audio; tracks without a digest are in no group."""
    groups: defaultdict[str, list[SplitTrack]] = defaultdict(list)
    for track in tracks:
        if track.digest:
            groups[track.digest].append(track)
    return list(groups.values())


def artist_keys(track: SplitTrack) -> tuple[str, ...]:
    """Return the artists' names for comparison: ABBA and Abba are the same artist."""
    return tuple(map(name_key, track.artists))


def artist_clusters(tracks: Sequence[SplitTrack]) -> dict[str, str]:
    """Return the name of each track's cluster: tracks that share an artist have the same one."""
    return {track.id: group[0].id for group in track_groups(tracks, by_artist=True) for track in group}


def indexed_clusters(tracks: Sequence[SplitTrack]) -> dict[int, str]:
    """Return the name of each track's cluster by the track's index."""
    names = artist_clusters(tracks)
    return {index: names[track.id] for index, track in enumerate(tracks)}


def what_to_resample(tracks: Sequence[SplitTrack], track_ids: Sequence[str]) -> Literal["artists", "tracks"]:
    """Return what confidence intervals of some tracks resample: artists if most of them are known, else tracks."""
    chosen = set(track_ids)
    known = sum(bool(track.artists) for track in tracks if track.id in chosen)
    return "artists" if known > KNOWN_ENOUGH * len(track_ids) else "tracks"


def random_key(seed: int, name: str) -> bytes:
    """Return 16 bytes that depend on the seed and the name only."""
    return hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=16).digest()
