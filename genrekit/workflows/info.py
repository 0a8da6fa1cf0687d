"""info: describe a cache, a run or a bundle."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genrekit._types import AnyPath
from genrekit.audio.encode import write_wav
from genrekit.audio.transform import FULL_SCALE
from genrekit.config import AUGMENTATIONS
from genrekit.data.cache.reader import Cache, open_cache
from genrekit.data.splits.store import load_split, split_files
from genrekit.errors import GenrekitError, IncompatibleCacheError, counted, few
from genrekit.io.files import read_json, size_text
from genrekit.models.bundle import is_bundle, read_metadata
from genrekit.reports.plots import FragmentView, fragment_figure, save_png
from genrekit.workflows.reporter import Reporter
from genrekit.workflows.runs import has_result, is_run, without_model


@dataclass(frozen=True)
class InfoResult:
    """A path, its kind (cache, run or bundle) and facts about it."""

    path: Path
    kind: str
    facts: dict[str, Any]


_QUIET = Reporter()
_UNITS = {"time_stretch": "x speed", "pitch_shift": "semitones", "noise": "dB", "resampling": "x rate"}


def info(
    path: AnyPath, *, verify: bool = False, plot: AnyPath | None = None, reporter: Reporter = _QUIET
) -> InfoResult:
    """Describe a cache, a run or a bundle.

    With `verify`, every row of a cache is compared with its checksum. With `plot`, that folder gets a picture and WAV
    files of one fragment per genre, with its variants.
    Errors: GenrekitError if the path is none of the three, IncompatibleCacheError if rows are damaged.

    Example: `info("data/cache.h5").facts["tracks"]`
    """
    path = Path(path)
    if (verify or plot is not None) and not path.is_file():
        raise GenrekitError(f"{path} is not a cache: only a cache can be verified or plotted")
    if is_bundle(path):
        return InfoResult(path, "bundle", _bundle(path))
    if is_run(path):
        seconds = read_json(path / "result.json")["seconds"]
        return InfoResult(path, "run", {"trained_s": seconds, **_bundle(path / "best")})
    if has_result(path):
        raise without_model(path)
    if path.is_file():
        cache = open_cache(path)
        facts = _cache(cache, verify=verify)
        return InfoResult(path, "cache", facts | ({"plots": _draw(cache, Path(plot), reporter)} if plot else {}))
    raise GenrekitError(f"{path} is not a cache, a finished run or a bundle")


def _bundle(path: Path) -> dict[str, Any]:
    metadata = read_metadata(path)
    return {
        **metadata.train.model_dump(mode="json"),
        "genres": list(metadata.genres),
        "parameters": metadata.parameters,
        "split": metadata.split_name,
        "training_tracks": len(metadata.training),
        "validation_tracks": len(metadata.validation),
        "best_epoch": metadata.best_epoch,
        "validation": metadata.validation_figures.model_dump(mode="json"),
        "created": metadata.created,
    }


def _cache(cache: Cache, *, verify: bool) -> dict[str, Any]:
    counts = Counter(track.genre for track in cache.tracks)
    fragments = len(cache.track) // len(cache.variants)
    facts = {
        **cache.config.front_end.model_dump(mode="json"),
        "fragments_per_track": cache.config.fragments,
        "store": cache.config.store,
        "mel_dtype": cache.config.mel_dtype,
        "tracks": len(cache.tracks),
        "fragments": fragments,
        "minutes": fragments * cache.config.front_end.duration_s / 60,
        "variants": list(cache.variants),
        "tracks_per_genre": dict(sorted(counts.items())),
        "tracks_per_split": _splits(cache),
        "duplicates": [list(pair) for pair in cache.duplicates()],
        "near_duplicates": [list(pair) for pair in cache.near_duplicates()],
        "silent": [track.id for track in cache.tracks if track.silent],
        "skipped": [f"{file.path}: {file.reason}" for file in cache.skipped],
        "size": size_text(cache.path.stat().st_size),
    }
    if cache.config.augmentation.augment:
        facts |= {kind: list(getattr(cache.config.augmentation, kind)) for kind in cache.config.augmentation.kinds}
    return facts | (_verified(cache) if verify else {})


def _splits(cache: Cache) -> dict[str, dict[str, int]]:
    """Tracks in each subset of the splits that are stored beside the cache."""
    return {
        split.name: {subset: len(split.ids(subset)) for subset in ("train", "validation", "test")}
        for split in map(load_split, split_files(cache))
    }


def _verified(cache: Cache) -> dict[str, Any]:
    damaged = cache.damaged_rows()
    if len(damaged):
        tracks = sorted({cache.tracks[index].id for index in cache.track[damaged].tolist()})
        raise IncompatibleCacheError(
            f"{cache.path}: {len(damaged)} of {len(cache.track)} rows are damaged, in {counted(len(tracks), 'track')} "
            f"({few(tracks)}): remove the file and run prepare again"
        )
    return {"verified": f"all {len(cache.track)} rows match their checksums"}


def _draw(cache: Cache, folder: Path, reporter: Reporter) -> str:
    """Plot the middle fragment of each genre's first track that is not silent, and write its variants as WAV."""
    audible = [track for track in cache.tracks if not track.silent]
    examples = {track.genre: track for track in reversed(audible)}
    per_fragment, sounds = len(cache.variants), 0
    for number, (genre, track) in enumerate(sorted(examples.items()), 1):
        row = track.first_row + track.rows // per_fragment // 2 * per_fragment
        views = [_view(cache, index) for index in range(row, row + per_fragment)]
        stem = f"{number:02d}-{re.sub(r'[^A-Za-z0-9]+', '-', genre).strip('-')}"
        title = f"{track.id} from {cache.start_s[row]:g} s"
        save_png(fragment_figure(views, cache.config.front_end, title), folder / f"{stem}.png")
        for view in views:
            if view.waveform is not None:
                write_wav(folder / f"{stem}-{view.variant}.wav", view.waveform, cache.config.front_end.sample_rate)
                sounds += 1
        reporter.tracks_done(number, len(examples))
    reporter.finished()
    return f"{len(examples)} pictures and {sounds} WAV files in {folder}"


def _view(cache: Cache, row: int) -> FragmentView:
    variant = cache.variants[cache.variant[row]]
    strengths = [
        f"{value:.3g} {_UNITS[kind]}"
        for kind, value in zip(AUGMENTATIONS, cache.strength[row].tolist(), strict=True)
        if not math.isnan(value)
    ]
    inputs = cache.config.inputs
    return FragmentView(
        variant,
        ", ".join(strengths),
        cache.waveform[row] / np.float32(FULL_SCALE) if "waveform" in inputs else None,
        np.asarray(cache.mel[row], np.float32) if "mel" in inputs else None,
    )
