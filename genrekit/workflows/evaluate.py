"""evaluate: bundles on the test part. Nothing else reads that part."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from genrekit.dataset.batches import FragmentSource
from genrekit.dataset.cache import Cache, open_cache
from genrekit.dataset.gtzan import gtzan_name
from genrekit.dataset.splits import artist_clusters, open_split, split_tracks, splits_folder, what_to_resample
from genrekit.errors import BundleError, GenrekitError
from genrekit.evaluation.metrics import per_genre_figures
from genrekit.evaluation.scores import score
from genrekit.files import exclusive_lock, read_json, write_json
from genrekit.models.bundle import BundleMetadata, find_bundles, load_bundle, read_metadata
from genrekit.records import AnyPath, EvaluateResult, ModelFigures
from genrekit.training.devices import choose_device
from genrekit.training.loop import predict_batches
from genrekit.workflows.reporter import Reporter

_QUIET = Reporter()


@dataclass(frozen=True)
class _TestPart:
    """The test tracks of one split of a cache."""

    name: str
    ids: list[str]
    clusters: dict[int, str]
    resampled: str


def evaluate(
    models: AnyPath, cache_path: AnyPath, *, device: str = "auto", reporter: Reporter = _QUIET
) -> EvaluateResult:
    """Score a bundle, or all bundles in a folder, on the test part of the split that each was trained with.

    Models keep the order of their validation rank, each split apart. Tracks that a model was trained or validated on
    are left out and counted. How often this test part has been read is written beside the cache.
    Errors: GenrekitError where no bundle fits the cache, or the test part is empty.
    """
    cache = open_cache(Path(cache_path))
    fitting = _fitting(find_bundles(Path(models)), cache, reporter)
    parts: dict[str, _TestPart] = {}
    figures = []
    for done, (path, metadata) in enumerate(fitting, 1):
        part = parts.setdefault(metadata.split_name, _test_part(cache, metadata))
        figures.append(_figures(path, cache, part, device))
        reporter.tracks_done(done, len(fitting))
    reporter.finished()
    warnings = [
        f"{model.bundle.name} has seen {model.left_out} of the test tracks, which are left out"
        for model in figures
        if model.left_out
    ]
    for warning in warnings:
        reporter.warning(warning)
    return EvaluateResult(tuple(figures), _count_reading(cache, list(parts)), tuple(warnings))


def _fitting(paths: list[Path], cache: Cache, reporter: Reporter) -> list[tuple[Path, BundleMetadata]]:
    """The bundles that this cache can test, best of each split first; where there are others, say why."""
    fitting, problems = [], []
    for path in paths:
        try:
            metadata = read_metadata(path)
            _require_fit(path, metadata, cache)
            fitting.append((path, metadata))
        except GenrekitError as error:
            problems.append(error)
    if not fitting:
        raise problems[0]
    for problem in problems:
        reporter.warning(f"left out: {problem}")
    return sorted(fitting, key=lambda item: (item[1].split_name, item[1].rank, item[0]))


def _require_fit(path: Path, metadata: BundleMetadata, cache: Cache) -> None:
    if metadata.genres != cache.genres:
        only = sorted(set(metadata.genres) ^ set(cache.genres))
        raise BundleError(
            f"{path} knows other genres than {cache.path} (they differ in {', '.join(only)}): "
            "evaluate it with the cache of its own collection"
        )
    ours, theirs = cache.config.front_end.model_dump(), metadata.prepare.front_end.model_dump()
    differing = [f"{key} {theirs[key]} there, {ours[key]} in the cache" for key in ours if ours[key] != theirs[key]]
    if differing:
        raise BundleError(f"{path} has another front end ({'; '.join(differing)}): prepare a cache with its own")


def _test_part(cache: Cache, metadata: BundleMetadata) -> _TestPart:
    split = open_split(cache, metadata.split, metadata.split_seed)
    ids = split.ids("test")
    if not ids:
        raise GenrekitError(
            f"the test part of the {split.name} split is empty in {cache.path}: add test tracks, or train with a split "
            "that has some"
        )
    tracks = split_tracks(cache)
    names = artist_clusters(tracks)
    clusters = {index: names[track.id] for index, track in enumerate(tracks)}
    return _TestPart(split.name, ids, clusters, what_to_resample(tracks, ids))


def _figures(path: Path, cache: Cache, part: _TestPart, device_name: str) -> ModelFigures:
    bundle = load_bundle(path)
    metadata = bundle.metadata
    ids = _unseen(part.ids, cache, metadata)
    if not ids:
        raise GenrekitError(f"{path} has seen every test track of the {part.name} split: nothing is left to test it on")
    device = choose_device(device_name)
    source = FragmentSource(cache, metadata.train.input, ids)
    predictions = predict_batches(bundle.model.to(device), source.batches(), device)
    scores = score(predictions, part.clusters)
    return ModelFigures(
        bundle=path,
        fragments=len(source.rows),
        tracks=len(ids),
        left_out=len(part.ids) - len(ids),
        split=part.name,
        validation_track_accuracy=metadata.validation_figures.track_accuracy.value,
        fragment_accuracy=scores.fragment_accuracy,
        track_accuracy=scores.track_accuracy,
        macro_f1=scores.macro_f1,
        resampled=part.resampled,
        per_genre=per_genre_figures(scores.confusion, metadata.genres),
        confusion=tuple(tuple(row) for row in scores.confusion.tolist()),
        genres=metadata.genres,
    )


def _unseen(ids: list[str], cache: Cache, metadata: BundleMetadata) -> list[str]:
    """The tracks that a model was neither trained nor validated on, by their audio, and by name where it is GTZAN's."""
    seen = {**metadata.training, **metadata.validation}
    digests, names = set(seen.values()), {gtzan_name(track_id) for track_id in seen} - {None}
    own = {track.id: track.digest for track in cache.tracks}
    return [track_id for track_id in ids if own[track_id] not in digests and gtzan_name(track_id) not in names]


def _count_reading(cache: Cache, splits: list[str]) -> int:
    """Count one more reading of each split's test part; return the highest count."""
    folder = splits_folder(cache)
    path = folder / "readings.json"
    with exclusive_lock(folder / ".readings.lock", "cannot count the reading", wait=True):
        counts = Counter(read_json(path) if path.exists() else {})
        counts.update(splits)
        write_json(path, dict(counts))
    return max(counts[split] for split in splits)
