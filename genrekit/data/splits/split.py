"""Who trains, who validates and who tests: splits by track or artist, GTZAN's fault-filtered one, and a manifest's own.

Tracks that share an artist (in an artist split) or are sample-identical form a group, and a group stays on one side. A
split is written down when it is first made; tracks keep their subset when others are added.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from genrekit.config import SplitPolicy, split_name
from genrekit.data.cache.hdf5 import Cache
from genrekit.data.splits.gtzan import CROSSING_ARTISTS, artists_of, fault_filtered_subset, has_gtzan_names, is_gtzan
from genrekit.errors import GenrekitError, SplitError, few
from genrekit.io.files import read_json, write_json

FORMAT_VERSION = 1

SET_NAMES = {"train": "training set", "validation": "validation set", "test": "test set"}
"""What messages call each subset."""

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
"""Share of each genre's tracks that each subset of a track or artist split is to have."""

_NEEDED = ("train", "validation")
_KNOWN_ENOUGH = 0.5
_LEAK = "fragments of one track train and validate: the figures show what such a leak pretends, and nothing else"


@dataclass(frozen=True)
class SplitTrack:
    """What a split must know of a track; `subset` is the manifest's.

    Equal digests are sample-identical audio, equal recordings the same one at another level, rate, codec or offset;
    an empty text is unlike any other.
    """

    id: str
    genre: str
    artists: tuple[str, ...] = ()
    subset: str | None = None
    digest: str = ""
    recording: str = ""


@dataclass(frozen=True)
class Split:
    """The subset of each track, the tracks left out with the reason, and notes for the user.

    Where fragments are divided, `fold` is the one of `folds` that validates.
    """

    policy: str
    seed: int
    subsets: dict[str, str]
    left_out: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    folds: int = 0
    fold: int = 0

    @property
    def name(self) -> str:
        """How results name it."""
        return split_name(self.policy, self.seed)

    def ids(self, subset: str) -> list[str]:
        """Ids of a subset's tracks, in order; where fragments are divided, all tracks train and validate."""
        if self.policy == "fragment":
            return sorted(self.subsets) if subset in _NEEDED else []
        return sorted(track_id for track_id, its in self.subsets.items() if its == subset)


def split_tracks(cache: Cache) -> list[SplitTrack]:
    """The tracks of a cache; where the manifest names no artist, GTZAN's index may."""
    return [
        SplitTrack(
            track.id,
            track.genre,
            track.artists or artists_of(track.id),
            track.subset,
            "" if track.silent else track.digest,  # silence is not a recording that two tracks share
            cache.tracks[track.recording].id if track.recording >= 0 else "",
        )
        for track in cache.tracks
    ]


def open_split(cache: Cache, policy: SplitPolicy, seed: int, *, strict: bool = False) -> Split:
    """Return a cache's split as it was first made, with tracks that came since added; write it down if it is new.

    Errors: SplitError where a genre cannot have the subsets it needs, or something crosses.
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
    """The splits that have been written down for a cache."""
    return sorted(splits_folder(cache).glob("*-*.json"))


def splits_folder(cache: Cache) -> Path:
    """Where the splits of a cache, and how often they were read, are written down."""
    return cache.path.with_name(f"{cache.path.stem}.splits")


def choose_policy(tracks: Sequence[SplitTrack], policy: SplitPolicy, seed: int) -> tuple[SplitPolicy, tuple[str, ...]]:
    """Decide what `auto` means for a collection, and say why.

    The fault-filtered split where it is GTZAN, the manifest's where it names a subset for every track, else by artist
    where artists are known and that is possible, else by track.
    """
    ids = [track.id for track in tracks]
    notes: list[str] = []
    if policy == "auto":
        if is_gtzan(ids):
            policy = "fault-filtered"
        else:
            policy, why = _by_artist_or_track(tracks, seed)
            notes.append(why)
    if policy != "fault-filtered" and has_gtzan_names(ids):
        notes.append("these are GTZAN's names: its fault-filtered split exists and keeps artists apart")
    return policy, tuple(notes)


def _by_artist_or_track(tracks: Sequence[SplitTrack], seed: int) -> tuple[SplitPolicy, str]:
    if all(track.subset for track in tracks):
        return "manifest", "split as the manifest says"
    known = sum(bool(track.artists) for track in tracks)
    if known < _KNOWN_ENOUGH * len(tracks):
        return "track", "split by track: artists are unknown, and tracks of one artist may stand on both sides"
    try:
        make_split(tracks, "artist", seed)
    except SplitError as error:
        why = str(error).partition(": ")[0]  # the cause; its remedy is what happens here
        return "track", f"split by track, so expect less from artists it has not heard: {why}"
    return "artist", "split by artist"


def make_split(
    tracks: Sequence[SplitTrack],
    policy: SplitPolicy,
    seed: int,
    *,
    previous: Split | None = None,
    strict: bool = False,
) -> Split:
    """Divide tracks into subsets; the result depends on the tracks and the seed, not on their order.

    `policy` is one of those that `auto` chooses from, or "fragment", which divides the fragments of each track. With
    `previous`, its tracks keep their subset. With `strict`, a manifest's split that artists or duplicates cross is
    refused.
    Errors: SplitError that names the genre and the remedy, or what crosses.
    """
    ordered = sorted(tracks, key=lambda track: track.id)
    ambiguous = _two_genres(ordered)
    usable = [track for track in ordered if track.id not in ambiguous]
    if policy == "fragment":
        return Split(policy, seed, {track.id: "train" for track in usable}, ambiguous, (_LEAK,))
    if policy in ("fault-filtered", "manifest"):
        split = _published(usable, policy, seed)
    else:
        split = _drawn(usable, policy, seed, previous)
    split = replace(split, left_out={**split.left_out, **ambiguous})
    notes = [*split.notes, *check_split(split, ordered, strict=strict)]
    _require_subsets(split, ordered)
    if split.left_out:
        notes.append(f"{len(split.left_out)} tracks are not in the {policy} split")
    genres_tested = {track.genre for track in ordered if split.subsets.get(track.id) == "test"}
    untested = sorted({track.genre for track in ordered} - genres_tested)
    if untested:
        notes.append(f"no test tracks of {', '.join(untested)}: the test set says nothing about these genres")
    return replace(split, notes=tuple(notes))


def _two_genres(tracks: Sequence[SplitTrack]) -> dict[str, str]:
    """Sample-identical tracks that carry two genres: neither is used."""
    out = {}
    for twins in _by_digest(tracks).values():
        if len({track.genre for track in twins}) > 1:
            for track in twins:
                other = next(twin for twin in twins if twin.genre != track.genre)
                out[track.id] = f"sample-identical to {other.id}, which has another genre"
    return out


def _by_digest(tracks: Iterable[SplitTrack]) -> dict[str, list[SplitTrack]]:
    found: defaultdict[str, list[SplitTrack]] = defaultdict(list)
    for track in tracks:
        if track.digest:
            found[track.digest].append(track)
    return found


def _published(tracks: Sequence[SplitTrack], policy: SplitPolicy, seed: int) -> Split:
    asked: dict[str, str | None] = {
        track.id: fault_filtered_subset(track.id) if policy == "fault-filtered" else track.subset for track in tracks
    }
    if not any(asked.values()):
        what = "has GTZAN's names" if policy == "fault-filtered" else "has a value in the manifest's split column"
        raise SplitError(f"no track {what}: choose the track or artist split")
    left_out = {track_id: f"the {policy} split does not list it" for track_id, subset in asked.items() if not subset}
    subsets = {track_id: subset for track_id, subset in asked.items() if subset}
    if policy == "fault-filtered":
        order = ("train", "validation", "test")
        for twins in _by_digest(track for track in tracks if track.id in subsets).values():
            kept = max((subsets[track.id] for track in twins), key=order.index)
            for track in twins:
                if subsets[track.id] != kept:
                    left_out[track.id] = f"sample-identical to a {kept} track"
    return Split(
        policy, seed, {track_id: subset for track_id, subset in subsets.items() if track_id not in left_out}, left_out
    )


def _drawn(tracks: Sequence[SplitTrack], policy: SplitPolicy, seed: int, previous: Split | None) -> Split:
    groups = _groups(tracks, by_artist=policy == "artist")
    placed = {} if previous is None else {t.id: previous.subsets[t.id] for t in tracks if t.id in previous.subsets}
    left_out: dict[str, str] = {}
    drawing = _Drawing(tracks)
    fresh = []
    for group in groups:
        sides = {placed[track.id] for track in group if track.id in placed}
        if not sides:
            fresh.append(group)
        elif len(sides) == 1:
            drawing.place(group, sides.pop())
        else:
            for track in group:
                if track.id in placed:
                    drawing.place([track], placed[track.id])
                else:
                    left_out[track.id] = "it came later and joins tracks that stand on two sides"
    for group in sorted(fresh, key=_by_size(seed)):
        drawing.place(group, drawing.neediest(group))
    drawing.fill_empty_subsets({group[0].id for group in fresh})
    notes = []
    if policy == "artist" and (unknown := sum(not track.artists for track in tracks)):
        notes.append(f"{unknown} tracks have no known artist: each counts as an artist of its own")
    return Split(policy, seed, drawing.subsets(), left_out, tuple(notes))


def split_groups(tracks: Sequence[SplitTrack], seed: int, *, by_artist: bool) -> list[list[SplitTrack]]:
    """Tracks that must stay together, large groups first and equally large ones by lot."""
    return sorted(_groups(tracks, by_artist=by_artist), key=_by_size(seed))


def _by_size(seed: int) -> Callable[[Sequence[SplitTrack]], tuple[int, bytes]]:
    return lambda group: (-len(group), _lot(seed, group[0].id))


def artist_clusters(tracks: Sequence[SplitTrack]) -> dict[str, str]:
    """Name the cluster of each track: tracks that share an artist have one, others are alone."""
    return {track.id: group[0].id for group in _groups(tracks, by_artist=True) for track in group}


def placed_clusters(tracks: Sequence[SplitTrack]) -> dict[int, str]:
    """Name the cluster of each track by its place among the tracks."""
    names = artist_clusters(tracks)
    return {index: names[track.id] for index, track in enumerate(tracks)}


def what_to_resample(tracks: Sequence[SplitTrack], track_ids: Sequence[str]) -> Literal["artists", "tracks"]:
    """Whose answers hang together among some of the tracks: "artists" where they are known for most, else "tracks"."""
    some = set(track_ids)
    known = sum(bool(track.artists) for track in tracks if track.id in some)
    return "artists" if known > _KNOWN_ENOUGH * len(track_ids) else "tracks"


def _groups(tracks: Sequence[SplitTrack], *, by_artist: bool) -> list[list[SplitTrack]]:
    """Connected components of tracks that share an artist, their audio or a recording, each in order of ids."""
    parent = {track.id: track.id for track in tracks}

    def root(track_id: str) -> str:
        while parent[track_id] != track_id:
            parent[track_id] = track_id = parent[parent[track_id]]
        return track_id

    first: dict[tuple[str, str], str] = {}
    for track in tracks:
        links = [("digest", track.digest)] if track.digest else []
        links += [("recording", track.recording)] if track.recording else []
        links += [("artist", artist) for artist in _folded_artists(track)] if by_artist else []
        for link in links:
            one, other = sorted((root(first.setdefault(link, track.id)), root(track.id)))
            parent[other] = one
    components: defaultdict[str, list[SplitTrack]] = defaultdict(list)
    for track in tracks:
        components[root(track.id)].append(track)
    return list(components.values())


def _lot(seed: int, track_id: str) -> bytes:
    return hashlib.blake2b(f"{seed}\0{track_id}".encode(), digest_size=16).digest()


def fragment_validates(split: Split, track_id: str, start_s: float) -> bool:
    """Whether a fragment validates where fragments are divided: one in ten, or those of the fold, by lot."""
    lot = _lot(split.seed, f"{track_id}\0{start_s:.3f}")
    return int.from_bytes(lot) % split.folds == split.fold if split.folds else lot[0] < 256 * SHARES["validation"]


class _Drawing:
    """A split in the making: how many tracks of each genre each subset has, and should have."""

    def __init__(self, tracks: Sequence[SplitTrack]) -> None:
        self.genres = Counter(track.genre for track in tracks)
        self.count: Counter[tuple[str, str]] = Counter()
        self.groups: list[tuple[list[SplitTrack], str]] = []

    def place(self, group: Sequence[SplitTrack], subset: str) -> None:
        self.groups.append((list(group), subset))
        self.count.update((track.genre, subset) for track in group)

    def subsets(self) -> dict[str, str]:
        return {track.id: subset for group, subset in self.groups for track in group}

    def neediest(self, group: Sequence[SplitTrack]) -> str:
        """The subset for which adding the group minimizes the squared relative error of all shares."""
        sizes = Counter(track.genre for track in group)

        def change(subset: str) -> float:
            total = 0.0
            for genre, size in sizes.items():
                target = SHARES[subset] * self.genres[genre]
                gap = target - self.count[genre, subset]
                total += ((gap - size) ** 2 - gap**2) / target
            return total

        return min(SHARES, key=change)

    def fill_empty_subsets(self, movable: set[str]) -> None:
        """Give each genre that has the groups for it a track in every subset: validation first, then test."""
        for subset in ("train", "validation", "test"):
            for genre in self.genres:
                if not self.count[genre, subset]:
                    self._fill(genre, subset, movable)

    def _fill(self, genre: str, subset: str, movable: set[str]) -> None:
        candidates = [
            place
            for place, (group, its) in enumerate(self.groups)
            if group[0].id in movable and any(track.genre == genre for track in group) and self._can_leave(group, its)
        ]
        if candidates:
            place = min(candidates, key=lambda place: (len(self.groups[place][0]), place))
            group, its = self.groups[place]
            self.count.subtract((track.genre, its) for track in group)
            self.count.update((track.genre, subset) for track in group)
            self.groups[place] = (group, subset)

    def _can_leave(self, group: Sequence[SplitTrack], subset: str) -> bool:
        sizes = Counter(track.genre for track in group)
        return subset == "test" or all(self.count[genre, subset] > size for genre, size in sizes.items())


def check_split(split: Split, tracks: Sequence[SplitTrack], *, strict: bool = False) -> list[str]:
    """Look for artists, sample-identical tracks and recordings that cross subsets.

    In a manifest's own split they are counted in a warning, which is returned; with `strict`, and in any other split,
    they are errors. The duets that cross the fault-filtered split are a declared exception. Recordings are known by
    their fingerprint, which may err: they are an error with `strict` alone.
    Errors: SplitError.
    """
    there = [track for track in tracks if track.id in split.subsets]
    notes = []
    recordings = _crossing(split, there, lambda track: (track.recording,) if track.recording else ())
    if recordings:
        message = f"{len(recordings)} recordings ({few(recordings)}) stand on two sides of the {split.policy} split"
        if strict and split.policy == "manifest":
            raise SplitError(f"{message}: mend the split, or choose the artist split")
        notes.append(message)
    found = {"sample-identical pairs": _crossing(split, there, lambda track: (track.digest,) if track.digest else ())}
    if split.policy != "track":
        artists = _crossing(split, there, _folded_artists)
        if split.policy == "fault-filtered":
            declared = {artist.casefold() for artist in CROSSING_ARTISTS}
            artists = [artist for artist in artists if artist not in declared]
        written = {artist.casefold(): artist for track in there for artist in track.artists}
        found["artists"] = [written[artist] for artist in artists]
    for what, names in found.items():
        if names:
            shown = f" ({few(names)})" if what == "artists" else ""
            message = f"{len(names)} {what}{shown} stand on two sides of the {split.policy} split"
            if split.policy in ("track", "artist"):
                raise SplitError(f"{message}, as tracks have changed since it was made: take another split seed")
            if strict or split.policy != "manifest":
                raise SplitError(f"{message}: mend the split, or choose the artist split")
            notes.append(message)
    return notes


def _folded_artists(track: SplitTrack) -> tuple[str, ...]:
    """Artists' names as they are compared: ABBA and Abba are one artist."""
    return tuple(artist.casefold() for artist in track.artists)


def _crossing(split: Split, tracks: Iterable[SplitTrack], keys: Callable[[SplitTrack], tuple[str, ...]]) -> list[str]:
    sides: defaultdict[str, set[str]] = defaultdict(set)
    for track in tracks:
        for key in keys(track):
            sides[key].add(split.subsets[track.id])
    return sorted(key for key, its in sides.items() if len(its) > 1)


def _require_subsets(split: Split, tracks: Sequence[SplitTrack]) -> None:
    for genre in sorted({track.genre for track in tracks}):
        own = [track for track in tracks if track.genre == genre]
        counts = Counter(split.subsets.get(track.id) for track in own)
        missing = [subset for subset in _NEEDED if not counts[subset]]
        if missing:
            usable = [track for track in own if track.id not in split.left_out]
            raise SplitError(_why_missing(split.policy, genre, usable, missing))


def _why_missing(policy: str, genre: str, usable: Sequence[SplitTrack], missing: Sequence[str]) -> str:
    lacks = " or ".join(missing)
    artists = sorted({artist for track in usable for artist in track.artists})
    count = len({track.digest or track.id for track in usable})  # sample-identical ones count as one
    if policy in ("fault-filtered", "manifest"):
        return f"{genre} has no {lacks} tracks in the {policy} split: choose the track split, or add such tracks"
    if policy == "artist" and count > 1:
        who = f"one artist only ({artists[0]})" if len(artists) == 1 else "too few artists that can be told apart"
        return f"{genre} has {who}, so no artist split has {lacks} tracks of it: choose the track split, or add artists"
    return (
        f"{genre} has {count} usable {'track' if count == 1 else 'tracks'}, training and validation need one "
        "each: add tracks, or leave the genre out"
    )


def save_split(path: Path, split: Split) -> None:
    """Write a split down."""
    values = {"policy": split.policy, "seed": split.seed, "parts": split.subsets, "left_out": split.left_out}
    write_json(path, {"format_version": FORMAT_VERSION, **values})


def load_split(path: Path) -> Split:
    """Read a split that was written down.

    Errors: SplitError where it is damaged or of another format version.
    """
    try:
        values: Any = read_json(path)
    except GenrekitError as error:
        remedy = "" if isinstance(error.__cause__, OSError) else "; remove it to draw the split anew"
        raise SplitError(f"{error}{remedy}") from error
    if not isinstance(values, Mapping) or values.get("format_version") != FORMAT_VERSION:
        raise SplitError(f"{path} is no split of format {FORMAT_VERSION}: remove it to draw the split anew")
    try:
        split = Split(values["policy"], values["seed"], dict(values["parts"]), dict(values["left_out"]))
        if not set(split.subsets.values()) <= SHARES.keys():
            raise ValueError("unknown subset")
    except (KeyError, TypeError, ValueError) as error:
        raise SplitError(f"{path} is damaged: remove it to draw the split anew") from error
    return split
