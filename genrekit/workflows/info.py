"""info: describe a cache, a run, a bundle, or a folder of them. info_folders.py describes the rest."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genrekit._types import AnyPath
from genrekit.audio.bandwidth import median_bandwidth
from genrekit.audio.encode import write_wav
from genrekit.audio.transform import FULL_SCALE
from genrekit.config import AUGMENTATIONS
from genrekit.data.cache.reader import Cache, is_cache_or_damaged, open_cache
from genrekit.data.duplicates import shared_passages
from genrekit.data.splits.store import load_split, split_files
from genrekit.errors import GenrekitError
from genrekit.io.files import require_writable, size_text
from genrekit.io.targets import SOFTWARE, contains, replaceable
from genrekit.models.bundle import is_bundle, read_metadata
from genrekit.reports.fragment_view import FragmentView
from genrekit.workflows.info_folders import folder, no_description, study_file, study_report
from genrekit.workflows.live_progress import with_progress
from genrekit.workflows.prepare_notes import passage_text
from genrekit.workflows.reporter import Reporter
from genrekit.workflows.runs import has_result, is_run, read_result, without_model


@dataclass(frozen=True)
class InfoResult:
    """A path, its kind and facts about it.

    Kinds: cache, run, bundle, folder of runs, folder of bundles, report, study file, search file.
    """

    path: Path
    kind: str
    facts: dict[str, Any]


_QUIET = Reporter()
_is_picture, _is_sound = contains(f"Software\0{SOFTWARE}".encode()), contains(f"{SOFTWARE} (libsndfile".encode())
_UNITS = {"time_stretch": "x speed", "pitch_shift": "semitones", "noise": "dB", "resampling": "x rate"}


@with_progress
def info(
    path: AnyPath, *, verify: bool = False, plot: AnyPath | None = None, reporter: Reporter = _QUIET
) -> InfoResult:
    """Describe a cache, a run, a bundle, a folder of runs or bundles, the report of a study, or its file.

    With `verify`, every row of a cache is compared with its checksum. With `plot`, that folder gets a picture and WAV
    files of one fragment per genre, with its variants.
    Errors: GenrekitError if the path is none of these, IncompatibleCacheError if rows are damaged.

    Example: `info("data/cache.h5").facts["tracks"]`
    """
    path = Path(path)
    if (verify or plot is not None) and (not path.is_file() or path.suffix == ".toml"):
        raise GenrekitError(f"{path} is not a cache: only a cache can be verified or plotted")
    if is_bundle(path):
        return InfoResult(path, "bundle", _bundle(path))
    if is_run(path):
        seconds = read_result(path)["seconds"]
        return InfoResult(path, "run", {"trained_s": seconds, **_bundle(path / "best")})
    if (facts := study_report(path)) is not None:
        return InfoResult(path, "report", facts)
    if has_result(path):
        raise without_model(path)
    if path.is_file() and path.suffix == ".toml":
        return InfoResult(path, *study_file(path))
    if path.is_file() and is_cache_or_damaged(path):
        cache = open_cache(path, check_rows=not verify)  # all rows are checked then
        facts = _cache(cache, verify=verify)
        return InfoResult(path, "cache", facts | ({"plots": _draw(cache, Path(plot), reporter)} if plot else {}))
    if path.is_dir() and (described := folder(path)) is not None:
        return InfoResult(path, *described)
    raise no_description(path)


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
        **({"outside_data": metadata.outside_data} if metadata.outside_data else {}),
        **({"network": metadata.network.model_dump()} if metadata.network else {}),
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
        "shared_audio": list(map(passage_text, shared_passages(cache))),
        "silent": [track.id for track in cache.tracks if track.silent],
        "silent_fragments": sum(track.facts.silent_fragments for track in cache.tracks),
        "padded": [track.id for track in cache.tracks if track.facts.padded],
        "cancelled": [track.id for track in cache.tracks if track.facts.cancelled],
        "bandwidth_hz": round(median_bandwidth(track.facts.bandwidth_hz for track in cache.tracks)),
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
    cache.require_intact()
    return {"verified": f"all {len(cache.track)} rows match their checksums"}


def _draw(cache: Cache, folder: Path, reporter: Reporter) -> str:
    """Plot the middle fragment of each genre's first track that is not silent, and write its variants as WAV.

    Other files with these names are not replaced.
    Errors: GenrekitError with the first of them.
    """
    from genrekit.reports.plots import fragment_figure, save_png  # importing matplotlib takes a second

    require_writable(folder)
    audible = [track for track in cache.tracks if not track.silent]
    examples = {track.genre: track for track in reversed(audible)}
    per_fragment, sounds = len(cache.variants), 0
    for number, (genre, track) in enumerate(sorted(examples.items()), 1):
        row = track.first_row + track.rows // per_fragment // 2 * per_fragment
        views = [_view(cache, index) for index in range(row, row + per_fragment)]
        stem = f"{number:02d}-{re.sub(r'[^A-Za-z0-9]+', '-', genre).strip('-')}"
        title = f"{track.id} from {cache.start_s[row]:g} s"
        picture = replaceable(folder / f"{stem}.png", _is_picture)
        save_png(fragment_figure(views, cache.config.front_end, title), picture)
        for view in views:
            if view.waveform is not None:
                sound = replaceable(folder / f"{stem}-{view.variant}.wav", _is_sound)
                write_wav(sound, view.waveform, cache.config.front_end.sample_rate, SOFTWARE)
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
