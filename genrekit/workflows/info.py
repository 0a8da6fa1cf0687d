"""info: what a cache, a run or a bundle holds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from genrekit.dataset.cache import Cache, open_cache
from genrekit.errors import GenrekitError
from genrekit.files import read_json, size_text
from genrekit.models.bundle import is_bundle, read_metadata
from genrekit.records import InfoResult
from genrekit.workflows.runs import is_run


def info(path: Path) -> InfoResult:
    """Tell what a path holds.

    Errors: GenrekitError where it is no cache, run or bundle.
    """
    if is_bundle(path):
        return InfoResult(path, "bundle", _bundle(path))
    if is_run(path):
        seconds = read_json(path / "result.json")["seconds"]
        return InfoResult(path, "run", {"trained_s": seconds, **_bundle(path / "best")})
    if path.is_file():
        return InfoResult(path, "cache", _cache(open_cache(path)))
    raise GenrekitError(f"{path} is no cache, finished run or bundle")


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


def _cache(cache: Cache) -> dict[str, Any]:
    counts = Counter(track.genre for track in cache.tracks)
    return {
        **cache.config.front_end.model_dump(mode="json"),
        "fragments_per_track": cache.config.fragments,
        "tracks": len(cache.tracks),
        "fragments": len(cache.track) // len(cache.variants),
        "variants": list(cache.variants),
        "tracks_per_genre": dict(sorted(counts.items())),
        "duplicates": [list(pair) for pair in cache.duplicates()],
        "skipped": [f"{file.path}: {file.reason}" for file in cache.skipped],
        "size": size_text(cache.path.stat().st_size),
    }
