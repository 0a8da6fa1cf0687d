"""evaluate: score bundles on the test set, which nothing else reads, or on a labelled folder."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import torch

from genrekit._types import AnyPath
from genrekit.audio.encode import encoded
from genrekit.data.cache.reader import Cache, open_cache
from genrekit.data.collection import SkippedFile
from genrekit.data.splits.store import splits_folder
from genrekit.errors import BundleError, GenrekitError, UsageError, counted, few
from genrekit.io.files import cannot, exclusive_lock, read_json, require_writable, write_json, write_text
from genrekit.io.json_values import to_json
from genrekit.metrics.accuracy import per_genre_figures
from genrekit.metrics.comparison import LEVEL, holm
from genrekit.metrics.evaluation import EvaluateResult, ModelFigures
from genrekit.metrics.mistakes import confident_mistakes
from genrekit.metrics.paired_test import PairedFigures, on_same_tracks
from genrekit.metrics.scores import score
from genrekit.models.bundle import find_bundles, read_metadata
from genrekit.models.bundle_metadata import BundleMetadata
from genrekit.reports.evaluation_report import report_page
from genrekit.reports.model_section import Example, ModelStory
from genrekit.reports.tables import write_tables
from genrekit.training.devices import choose_device
from genrekit.workflows.evaluate_cache import CachedTestSet, ModelPredictions
from genrekit.workflows.evaluate_folder import predict_folder, read_labelled
from genrekit.workflows.reporter import Reporter

_QUIET = Reporter()

_MODELS_WITH_EXAMPLES = 3
"""Models whose mistakes a report shows. Their sounds and pictures are most of its size."""

Recipe = Callable[[BundleMetadata], Sequence[str]]
"""Returns the commands that train a model again."""


def evaluate(
    models: AnyPath,
    cache: AnyPath | None = None,
    *,
    data: AnyPath | None = None,
    out: AnyPath | None = None,
    report: AnyPath | None = None,
    recipe: Recipe = lambda _: (),
    device: str = "auto",
    reporter: Reporter = _QUIET,
) -> EvaluateResult:
    """Score a bundle, or all bundles in a folder, on the test set of the split that each was trained with.

    Models are listed in the order of their validation rank, separately for each split. Tracks that a model was trained
    or validated on are left out and counted. The number of evaluations of this test set is stored beside the cache.

    With `data` instead of `cache`, the tracks are those of a folder of genre folders or of a manifest. Genres are
    matched by name, and no evaluation is counted. `out` is a folder for tables and pictures, `report` the path of an
    HTML page, which shows the commands of `recipe` for each model.
    Errors: GenrekitError if no bundle fits, no test track is left, or a file cannot be written.

    Example: `evaluate("best_models", "data/cache.h5").models[0].track_accuracy`
    """
    if (cache is None) == (data is None):
        raise UsageError("evaluate needs either a cache or a folder of labelled tracks (data)")
    out, report = _require_target(out, folder=True), _require_target(report, folder=False)
    torch_device, paths = choose_device(device), find_bundles(Path(models))
    if data is not None:
        collection = read_labelled(Path(data))
        readable = _usable(paths, lambda _path, _metadata: None, reporter)
        predictions, skipped = predict_folder(collection, [path for path, _ in readable], torch_device, reporter)
        evaluations = None
    else:
        assert cache is not None
        opened = open_cache(Path(cache))
        require_writable(splits_folder(opened))  # the evaluation is counted there
        usable = _usable(paths, lambda path, metadata: _require_fit(path, metadata, opened), reporter)
        predictions, skipped = _predict_test_sets(opened, usable, torch_device, reporter), ()
        evaluations = _count_evaluation(opened, sorted({model.group for model in predictions}))
    result = _result(predictions, skipped, evaluations, None if data is None else Path(data), reporter)
    result = replace(result, out=out, report=report)
    if out is not None:
        _write_out(out, result)
    if report is not None:
        write_text(report, report_page(result, _stories(result, predictions, recipe)))
    return result


def _require_target(path: AnyPath | None, *, folder: bool) -> Path | None:
    """Check that a path can be written before the test set is read, because each evaluation counts."""
    if path is None:
        return None
    target = Path(path)
    parent = target if folder else target.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise cannot("write", target, error) from error
    if not folder and target.is_dir():
        raise GenrekitError(f"cannot write {target}: it is a directory; name a file in it")
    return target


def _predict_test_sets(
    cache: Cache, usable: Sequence[tuple[Path, BundleMetadata]], device: torch.device, reporter: Reporter
) -> list[ModelPredictions]:
    test_sets: dict[str, CachedTestSet] = {}
    predictions = []
    for done, (path, metadata) in enumerate(usable, 1):
        if metadata.split_name not in test_sets:
            test_sets[metadata.split_name] = CachedTestSet.of(cache, metadata)
        predictions.append(test_sets[metadata.split_name].predict(path, device))
        reporter.tracks_done(done, len(usable))
    reporter.finished()
    return predictions


def _result(
    predictions: Sequence[ModelPredictions],
    skipped: tuple[SkippedFile, ...],
    evaluations: int | None,
    data: Path | None,
    reporter: Reporter,
) -> EvaluateResult:
    figures = tuple(map(_figures, predictions))
    warnings = _warnings(figures)
    for warning in warnings:
        reporter.warning(warning)
    comparisons = tuple(_comparisons(predictions))
    ties = tuple(pair.other for pair in comparisons if pair.tie)
    return EvaluateResult(figures, evaluations, warnings, comparisons, ties, data, skipped)


def _figures(model: ModelPredictions) -> ModelFigures:
    metadata, scores = model.metadata, score(model.predictions, model.clusters)
    return ModelFigures(
        bundle=model.path,
        fragments=scores.fragments.count,
        tracks=scores.tracks.count,
        left_out=model.left_out,
        split=metadata.split_name,
        validation_track_accuracy=metadata.validation_figures.track_accuracy.value,
        fragment_accuracy=scores.fragment_accuracy,
        track_accuracy=scores.track_accuracy,
        macro_f1=scores.macro_f1,
        resampled=model.resampled,
        per_genre=per_genre_figures(scores.confusion, metadata.genres),
        confusion=scores.tracks.confusion,
        genres=metadata.genres,
        fragment_figures=scores.fragments,
        track_figures=scores.tracks,
        unknown_genres=model.unknown_genres,
        missing_genres=model.missing_genres,
    )


def _warnings(models: Sequence[ModelFigures]) -> tuple[str, ...]:
    """Warnings about tracks and genres; models with the same warning share it."""
    names_of: dict[str, list[str]] = {}
    for model in models:
        for warning in _warning_templates(model):
            names_of.setdefault(warning, []).append(model.name)
    return tuple(warning.format(few(names)) for warning, names in names_of.items())


def _warning_templates(model: ModelFigures) -> Iterable[str]:
    """Warnings for `str.format` with the model's name; braces in names of genres are doubled."""
    if model.left_out:
        yield f"{{}}: {counted(model.left_out, 'track')} left out, used in training or validation"
    if model.unknown_genres:
        count = sum(model.unknown_genres.values())
        yield f"{{}}: {counted(count, 'track')} left out, genres not in the model: {_join(model.unknown_genres)}"
    if model.missing_genres:
        yield f"{{}}: no tracks of these genres of the model: {_join(model.missing_genres)}"


def _join(genres: Iterable[str]) -> str:
    return ", ".join(genres).replace("{", "{{").replace("}", "}}")


def _comparisons(predictions: Sequence[ModelPredictions]) -> Iterable[PairedFigures]:
    """Compare the first model of each group with the other models of the group."""
    for _, members in groupby(predictions, key=lambda model: model.group):
        first, *others = members
        pairs = [
            (other, pair)
            for other in others
            if (pair := on_same_tracks(first.predictions, other.predictions, first.clusters)) is not None
        ]
        corrected = holm([pair.p for _, pair in pairs])
        for (other, pair), p in zip(pairs, corrected, strict=True):
            yield PairedFigures(
                first=first.path,
                other=other.path,
                tracks=pair.tracks,
                clusters=pair.clusters,
                difference=pair.difference,
                p=pair.p,
                p_corrected=p,
                tie=p >= LEVEL,
            )


def _write_out(folder: Path, result: EvaluateResult) -> None:
    from genrekit.reports.plots import confusion_figure, genre_bars, reliability_figure, save_png

    for target, model in write_tables(folder, result):
        save_png(confusion_figure(model.confusion, model.genres, f"{model.name}, tracks"), target / "confusion.png")
        levels = {"tracks": model.track_figures.calibration, "fragments": model.fragment_figures.calibration}
        save_png(reliability_figure(levels, model.name), target / "reliability.png")
        save_png(genre_bars(model.per_genre, model.name), target / "genres.png")
    write_json(folder / "result.json", to_json(result))


def _stories(result: EvaluateResult, predictions: Sequence[ModelPredictions], recipe: Recipe) -> list[ModelStory]:
    stories = []
    for index, (figures, model) in enumerate(zip(result.models, predictions, strict=True)):
        examples = _examples(model) if index < _MODELS_WITH_EXAMPLES else ()
        stories.append(ModelStory(figures, model.metadata, examples, tuple(recipe(model.metadata))))
    return stories


def _examples(model: ModelPredictions) -> tuple[Example, ...]:
    """The most confident mistakes, with their audio and spectrograms."""
    from genrekit.reports.plots import spectrogram_png  # importing matplotlib takes a second

    genres, rate = model.metadata.genres, model.metadata.prepare.front_end.sample_rate
    examples = []
    for mistake in confident_mistakes(model.predictions):
        view = model.view(mistake.fragment)
        examples.append(
            Example(
                track=model.track_ids[mistake.track],
                genre=genres[mistake.genre],
                predicted=genres[mistake.predicted],
                probability=mistake.probability,
                start_s=float(model.start_s[mistake.fragment]),
                picture=None if view.mel is None else spectrogram_png(view.mel),
                sound=None if view.waveform is None else encoded(view.waveform, rate),
            )
        )
    return tuple(examples)


def _usable(
    paths: Sequence[Path], require: Callable[[Path, BundleMetadata], None], reporter: Reporter
) -> list[tuple[Path, BundleMetadata]]:
    """The bundles that can be evaluated, the best of each split first; a warning says why others are left out."""
    usable, problems = [], []
    for path in paths:
        try:
            metadata = read_metadata(path)
            require(path, metadata)
            usable.append((path, metadata))
        except GenrekitError as error:
            problems.append(error)
    if not usable:
        raise problems[0]
    for problem in problems:
        reporter.warning(f"left out: {problem}")
    return sorted(usable, key=lambda item: (item[1].split_name, item[1].rank, item[0]))


def _require_fit(path: Path, metadata: BundleMetadata, cache: Cache) -> None:
    if metadata.genres != cache.genres:
        only = sorted(set(metadata.genres) ^ set(cache.genres))
        raise BundleError(
            f"{path} and {cache.path} have different genres ({', '.join(only)}): "
            "evaluate the model with the cache that it was trained from"
        )
    cached, trained = cache.config.front_end.model_dump(), metadata.prepare.front_end.model_dump()
    differing = [f"{key} {trained[key]}, cache {cached[key]}" for key in cached if cached[key] != trained[key]]
    if differing:
        raise BundleError(
            f"{path} was trained on features that differ from {cache.path} ({'; '.join(differing)}): "
            "prepare a cache with the features of the model"
        )


def _count_evaluation(cache: Cache, splits: list[str]) -> int:
    """Count one more evaluation of each split's test set; return the highest count."""
    folder = splits_folder(cache)
    path = folder / "readings.json"
    with exclusive_lock(folder / ".readings.lock", "cannot count the evaluation", wait=True):
        counts = Counter(read_json(path) if path.exists() else {})
        counts.update(splits)
        write_json(path, dict(counts))
    return max(counts[split] for split in splits)
