"""Synthesize the demo collection: short tracks of ten genres, with drums, bass, chords and a melody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from genrekit._types import FloatArray
from genrekit.audio.encode import write_wav
from genrekit.demo.arrangement import Arrangement
from genrekit.demo.styles import STYLES
from genrekit.errors import unknown_name

GENRES = tuple(STYLES)
"""The genres of the demo collection, with GTZAN's names."""


def synthesize_track(genre: str, index: int, seed: int, sample_rate: int, duration_s: float) -> FloatArray:
    """Return one track, float32 [n_samples] in [-1, 1]. The same arguments give the same track.

    Errors: UsageError if the genre is not one of `GENRES`.
    """
    if genre not in STYLES:
        raise unknown_name("genre", genre, GENRES)
    rng = np.random.default_rng([seed, GENRES.index(genre), index])
    return Arrangement(STYLES[genre], rng, sample_rate, round(duration_s * sample_rate)).record()


def write_collection(
    root: Path,
    *,
    tracks_per_genre: int,
    duration_s: float,
    sample_rate: int,
    seed: int,
    genres: Sequence[str] = GENRES,
    on_track: Callable[[int, int], None] | None = None,
) -> None:
    """Write one folder of tracks per genre, as 16-bit mono WAV: `blues/demo-blues-000.wav` and so on.

    Each track lasts `duration_s` seconds at `sample_rate` Hz, and does not depend on the number of tracks or on the
    other genres. `on_track` is called with the number of tracks written and of all tracks.
    Errors: UsageError if a genre is not one of `GENRES`.
    """
    total = tracks_per_genre * len(genres)
    for done, (genre, index) in enumerate(((g, i) for g in genres for i in range(tracks_per_genre)), start=1):
        waveform = synthesize_track(genre, index, seed, sample_rate, duration_s)
        write_wav(root / genre / f"demo-{genre}-{index:03d}.wav", waveform, sample_rate)
        if on_track is not None:
            on_track(done, total)
