"""Read the tracks and the skipped files of a cache from its groups, whose types and shapes were checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genrekit.audio.transform import SignalFacts
from genrekit.data.cache.layout import FILE_STATUS, SKIP_NUMBERS, TRACK_FACTS, CachedSkip, CachedTrack
from genrekit.data.collection import SkippedFile


def read_tracks(group: Mapping[str, Any]) -> tuple[CachedTrack, ...]:
    """Return the tracks of a cache from the datasets of its group. Older caches lack some datasets."""
    names = ("size", "mtime_ns", "first_row", "rows", "recording", "done")
    numbers = {name: group[name][:].tolist() for name in names}
    silent = group["silent"][:].tolist() if "silent" in group else [0] * len(numbers["size"])
    facts = [SignalFacts()] * len(silent)
    if set(TRACK_FACTS) <= set(group):
        columns = [group[name][:].tolist() for name in TRACK_FACTS]
        facts = [
            SignalFacts(bool(padded), bool(cancelled), silent_fragments, bandwidth_hz)
            for padded, cancelled, silent_fragments, bandwidth_hz in zip(*columns, strict=True)
        ]
    digests = group["digest"][:].astype(str).tolist()  # ASCII, else UnicodeDecodeError
    status = {name: group[name][:].tolist() if name in group else [0] * len(digests) for name in FILE_STATUS}
    contents = group["file_digest"][:].astype(str).tolist() if "file_digest" in group else [""] * len(digests)
    texts_of = {
        name: [text.decode("utf-8", "ignore") for text in group[name][:].tolist()]
        if name in group
        else [""] * len(digests)
        for name in ("note", "decoder")
    }
    texts = zip(*(group[name].asstr()[:] for name in ("id", "genre", "artist", "part")), strict=True)
    return tuple(
        CachedTrack(
            id=track_id,
            genre=genre,
            artists=tuple(artists.split(";")) if artists else (),
            subset=subset or None,
            size=numbers["size"][index],
            mtime_ns=numbers["mtime_ns"][index],
            first_row=numbers["first_row"][index],
            rows=numbers["rows"][index],
            digest=digests[index],
            silent=bool(silent[index]),
            facts=facts[index],
            recording=numbers["recording"][index],
            done=bool(numbers["done"][index]),
            ctime_ns=status["ctime_ns"][index],
            inode=status["inode"][index],
            file_digest=contents[index],
            note=texts_of["note"][index],
            decoder=texts_of["decoder"][index],
        )
        for index, (track_id, genre, artists, subset) in enumerate(texts)
    )


def read_skipped(group: Mapping[str, Any]) -> tuple[CachedSkip, ...]:
    """Return the skipped files of a cache from the datasets of its group. Older caches lack some datasets."""
    paths, reasons = (group[name].asstr()[:].tolist() for name in ("path", "reason"))
    numbers = [group[name][:].tolist() if name in group else [0] * len(paths) for name in (*SKIP_NUMBERS, *FILE_STATUS)]
    files = map(SkippedFile, paths, reasons)
    return tuple(CachedSkip(file, *status) for file, *status in zip(files, *numbers, strict=True))
