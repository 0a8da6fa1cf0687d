"""prepare: make a cache of fragments from a collection of audio files."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from genrekit._types import AnyPath
from genrekit.config import Augmentation, FeatureConfig, PrepareConfig
from genrekit.data.cache.builder import build_cache
from genrekit.data.cache.executors import available_cores, open_executor
from genrekit.data.cache.layout import CachePlan
from genrekit.data.collection import SkippedFile, read_manifest, scan_folder
from genrekit.data.splits.gtzan import has_gtzan_names
from genrekit.errors import GenrekitError
from genrekit.io.files import cannot
from genrekit.workflows.keywords import with_keywords
from genrekit.workflows.reporter import PreparePlan, Reporter


@dataclass(frozen=True)
class PrepareResult:
    """What `prepare` did. `reused` is the number of tracks whose audio was not opened.

    `duplicates` are pairs of sample-identical tracks. `near_duplicates` are pairs of the same recording at another
    level, sample rate, codec or offset.
    """

    cache: Path
    tracks: int
    fragments: int
    variants: tuple[str, ...]
    skipped: tuple[SkippedFile, ...]
    duplicates: tuple[tuple[str, str], ...]
    near_duplicates: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    reused: int
    seconds: float


_QUIET = Reporter()
_DEFAULTS = PrepareConfig()


def prepare(
    data: AnyPath,
    config: PrepareConfig = _DEFAULTS,
    *,
    out: AnyPath,
    features: FeatureConfig | None = None,
    augment: bool | Augmentation | None = None,
    fragments: Literal["all", "first"] | int | None = None,
    store: Literal["both", "mel", "waveform"] | None = None,
    mel_dtype: Literal["float16", "float32"] | None = None,
    manifest: AnyPath | None = None,
    workers: int | None = None,
    strict: bool = False,
    overwrite: bool = False,
    reporter: Reporter = _QUIET,
) -> PrepareResult:
    """Bring the cache at `out` up to date with a folder of genre folders, or with a manifest.

    `features`, `augment`, `fragments`, `store` and `mel_dtype` replace the values of `config` (default: those of
    `PrepareConfig()`). `augment=True` adds one variant of each kind; an `Augmentation` sets which and how strong.
    `workers` is the number of processes, by default the number of cores. With `strict`, a file that would be skipped is
    an error, and the cache does not change.
    Errors: GenrekitError if the collection or the existing cache cannot be used, or the cache cannot be written.

    Example: `prepare("data", out="data/cache.h5", features=FeatureConfig(n_mels=96), augment=True).fragments`
    """
    started = time.monotonic()
    config = with_keywords(
        config, features=features, augment=augment, fragments=fragments, store=store, mel_dtype=mel_dtype
    )
    out = Path(out)
    collection = scan_folder(Path(data)) if manifest is None else read_manifest(Path(manifest))

    def on_plan(plan: CachePlan, to_transform: int) -> None:
        needed, free = plan.n_rows * plan.row_bytes, shutil.disk_usage(out.parent).free
        variants = len(config.augmentation.variants)
        reporter.preparing(PreparePlan(len(plan.tracks), plan.n_rows // variants, variants, to_transform, needed, free))

    try:
        build = build_cache(
            collection,
            config,
            out,
            partial(open_executor, workers or available_cores()),
            overwrite=overwrite,
            strict=strict,
            on_plan=on_plan,
            on_track=reporter.tracks_done,
        )
    except OSError as error:
        raise _disk_error(error, out) from error
    finally:
        reporter.finished()
    cache = build.cache
    result = PrepareResult(
        cache=out,
        tracks=len(cache.tracks),
        fragments=len(cache.track) // len(cache.variants),
        variants=cache.variants,
        skipped=cache.skipped,
        duplicates=cache.duplicates(),
        near_duplicates=cache.near_duplicates(),
        warnings=tuple(f"{track.id} is silent" for track in cache.tracks if track.silent),
        reused=build.reused,
        seconds=time.monotonic() - started,
    )
    _report(result, {track.id: track.genre for track in cache.tracks}, reporter)
    return result


def _report(result: PrepareResult, genre_of: Mapping[str, str], reporter: Reporter) -> None:
    for file in result.skipped:
        reporter.warning(f"skipped {file.path}: {file.reason}")
    for warning in result.warnings:
        reporter.warning(warning)
    for pairs, what in ((result.duplicates, "sample-identical"), (result.near_duplicates, "the same recording")):
        for first, second in pairs:
            reporter.note(
                f"{first} ({genre_of[first]}) and {second} ({genre_of[second]}) are {what}: "
                "track and artist splits keep them in the same set"
            )
    if has_gtzan_names(genre_of):
        reporter.note(
            "the tracks have GTZAN's names: its fault-filtered split (443/197/290 tracks) keeps artists apart"
        )


def _disk_error(error: OSError, out: Path) -> GenrekitError:
    return GenrekitError(
        f"{cannot('write', out, error)}, then run prepare again to continue; the existing cache is unchanged"
    )
