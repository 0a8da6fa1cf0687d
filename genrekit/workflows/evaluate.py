"""evaluate: score bundles on the test set, which nothing else reads, or on a labelled folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from genrekit._types import AnyPath
from genrekit.audio.encode import encoded
from genrekit.data.cache.reader import Cache, open_cache
from genrekit.data.collection import SkippedFile
from genrekit.data.genre_names import OTHER, without_other
from genrekit.data.splits.store import splits_folder
from genrekit.errors import BundleError, GenrekitError, UsageError, counted, few
from genrekit.io.files import require_writable, write_text
from genrekit.metrics.accuracy import per_genre_figures
from genrekit.metrics.comparison import LEVEL, holm
from genrekit.metrics.evaluation import EvaluateResult, ModelFigures
from genrekit.metrics.mistakes import confident_mistakes
from genrekit.metrics.paired_test import PairedFigures, on_same_tracks
from genrekit.metrics.scores import score
from genrekit.metrics.unknown import UnknownFigures
from genrekit.models.bundle import find_bundles, read_metadata
from genrekit.models.bundle_metadata import BundleMetadata
from genrekit.training.devices import choose_device
from genrekit.workflows.evaluate_cache import CachedTestSet, ModelPredictions
from genrekit.workflows.evaluate_files import require_folder, require_page, write_folder
from genrekit.workflows.evaluate_folder import predict_folder, read_labelled
from genrekit.workflows.evaluate_unknown import find_unknown, unknown_figures
from genrekit.workflows.evaluation_counts import count_evaluation
from genrekit.workflows.live_progress import with_progress
from genrekit.workflows.reporter import Reporter

if TYPE_CHECKING:  # importing matplotlib takes a second
    from genrekit.reports.model_section import Example, ModelStory

_QUIET = Reporter()

_MODELS_WITH_EXAMPLES = 3
"""Models whose mistakes a report shows. Their sounds and pictures are most of its size."""

Recipe = Callable[[Path, BundleMetadata], Sequence[str]]
"""Returns the commands that train a bundle's model again and evaluate it."""


@with_progress
def evaluate(
    models: AnyPath,
    cache: AnyPath | None = None,
    *,
    data: AnyPath | None = None,
    genre_aliases: AnyPath | None = None,
    out: AnyPath | None = None,
    report: AnyPath | None = None,
    recipe: Recipe = lambda _path, _metadata: (),
    network: AnyPath | None = None,
    unknown: AnyPath | None = None,
    device: str = "auto",
    reporter: Reporter = _QUIET,
) -> EvaluateResult:
    """Score a bundle, or all bundles in a folder, on the test set of the split that each was trained with.

    Models are listed in the order of their validation rank, separately for each split, or with `data` for those that
    know the same genres. Tracks that a model was trained
    or validated on are left out and counted. The number of evaluations of this test set is stored beside the cache.

    With `data` instead of `cache`, the tracks are those of a folder of genre folders or of a manifest. Genres are
    matched by name, after `genre_aliases` (a file as for `prepare`) has renamed them. No evaluation is counted. `out`
    is a folder for tables and pictures, `report` the path of an HTML page, which shows the commands of `recipe` for
    each model. `network` is the file of the network that computes the features of models that do not carry it.
    `unknown` is a folder of audio outside the genres of the models, or "signals" for synthetic noise and tones:
    the results then have the models' confidence on it.
    Errors: GenrekitError if no bundle fits, no test track is left, or a file cannot be written.

    Example: `evaluate("best_models", "data/cache.h5").models[0].track_accuracy`
    """
    if (cache is None) == (data is None):
        raise UsageError("evaluate needs either a cache or a folder of labelled tracks (data)")
    if genre_aliases is not None and data is None:
        raise UsageError("genre_aliases renames the genres of a labelled folder, so it needs data")
    out, report = require_folder(out), None if report is None else Path(report)
    page = None if report is None else require_page(report)
    torch_device, paths = choose_device(device), find_bundles(Path(models))
    audio = None if unknown is None else find_unknown(unknown)
    if data is not None:
        collection = read_labelled(Path(data), None if genre_aliases is None else Path(genre_aliases))
        if any(track.subset for track in collection.tracks):
            reporter.note(
                f"{data} has a split, but all of its tracks are evaluated, except those that a model has seen"
            )
        readable = _usable(paths, lambda _path, _metadata: None, reporter)
        predictions, skipped = predict_folder(collection, _by_genres(readable), torch_device, network, reporter)
        evaluations = None
    else:
        assert cache is not None
        opened = open_cache(Path(cache))
        counted_in = splits_folder(opened)
        require_writable(counted_in)
        if counted_in.parent != opened.path.parent:
            reporter.note(f"the folder of {opened.path} is read-only, so the evaluation is counted in {counted_in}")
        usable = _usable(paths, lambda path, metadata: _require_fit(path, metadata, opened), reporter)
        predictions, skipped = _predict_test_sets(opened, usable, torch_device, network, reporter), ()
        evaluations = count_evaluation(opened, sorted({model.group for model in predictions}))
    result = _result(predictions, skipped, evaluations, None if data is None else Path(data), reporter)
    result = replace(result, out=out, report=report)
    if audio is not None:
        result = _with_unknown(result, *unknown_figures(predictions, audio, torch_device, network, reporter), reporter)
    if out is not None:
        write_folder(out, result)
    if page is not None:
        from genrekit.reports.evaluation_report import report_page

        write_text(page, report_page(result, _stories(result, predictions, recipe)))
    return result


def _with_unknown(
    result: EvaluateResult, unknown: Sequence[UnknownFigures], skipped: tuple[SkippedFile, ...], reporter: Reporter
) -> EvaluateResult:
    """Add the results for unknown audio, with a warning for models that have no threshold."""
    models = tuple(replace(model, unknown=one) for model, one in zip(result.models, unknown, strict=True))
    without = [model.name for model, one in zip(models, unknown, strict=True) if one.threshold is None]
    warnings = result.warnings
    if without:
        warnings = (*warnings, f"{few(without)}: no confidence threshold, so acceptance is not measured: train again")
        reporter.warning(warnings[-1])
    return replace(result, models=models, skipped=(*result.skipped, *skipped), warnings=warnings)


def _predict_test_sets(
    cache: Cache,
    usable: Sequence[tuple[Path, BundleMetadata]],
    device: torch.device,
    network: AnyPath | None,
    reporter: Reporter,
) -> list[ModelPredictions]:
    test_sets: dict[str, CachedTestSet] = {}
    predictions, problems = [], []
    for done, (path, metadata) in enumerate(usable, 1):
        try:
            if metadata.split_name not in test_sets:
                test_sets[metadata.split_name] = CachedTestSet.of(cache, metadata)
            predictions.append(test_sets[metadata.split_name].predict(path, device, network))
        except GenrekitError as error:
            problems.append(error)
        reporter.tracks_done(done, len(usable))
    reporter.finished()
    _warn_of(problems, nothing_left=not predictions, reporter=reporter)
    return predictions


def _warn_of(problems: Sequence[GenrekitError], *, nothing_left: bool, reporter: Reporter) -> None:
    """Warn of models that are left out.

    Errors: the first problem, if no model is left.
    """
    if nothing_left:
        raise problems[0]
    for problem in problems:
        reporter.warning(f"left out: {problem}")


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
        clusters=len({model.clusters[track] for track in set(model.predictions.track.tolist())}),
        per_genre=per_genre_figures(scores.confusion, metadata.genres),
        confusion=scores.tracks.confusion,
        genres=metadata.genres,
        fragment_figures=scores.fragments,
        track_figures=scores.tracks,
        unknown_genres=model.unknown_genres,
        missing_genres=model.missing_genres,
        outside_data=metadata.outside_data,
    )


def _warnings(models: Sequence[ModelFigures]) -> tuple[str, ...]:
    """Warnings about tracks, genres and outside data; models with the same warning share it."""
    names_of: dict[str, list[str]] = {}
    for model in models:
        for warning in _warning_templates(model):
            names_of.setdefault(warning, []).append(model.name)
    return tuple(warning.format(few(names)) for warning, names in names_of.items())


def _warning_templates(model: ModelFigures) -> Iterable[str]:
    """Warnings for `str.format` with the model's name; braces in names are doubled."""
    if model.outside_data:
        network = _join([model.outside_data])
        yield f"{{}}: uses a network trained on outside data ({network}), which may include the artists of these tracks"
    if model.left_out:
        yield f"{{}}: {counted(model.left_out, 'track')} left out, used in training or validation"
    if not model.has_intervals:
        yield (
            f"{{}}: no confidence intervals (0 to 100 %), because the {counted(model.tracks, 'test track')} are by "
            f"only {counted(model.clusters, 'artist')}"
        )
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


def _stories(result: EvaluateResult, predictions: Sequence[ModelPredictions], recipe: Recipe) -> list[ModelStory]:
    from genrekit.reports.model_section import ModelStory

    stories = []
    for index, (figures, model) in enumerate(zip(result.models, predictions, strict=True)):
        examples = _examples(model) if index < _MODELS_WITH_EXAMPLES else ()
        stories.append(ModelStory(figures, model.metadata, examples, tuple(recipe(model.path, model.metadata))))
    return stories


def _examples(model: ModelPredictions) -> tuple[Example, ...]:
    """The most confident mistakes, with their audio and spectrograms."""
    from genrekit.reports.model_section import Example
    from genrekit.reports.plots import spectrogram_png

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
    _warn_of(problems, nothing_left=not usable, reporter=reporter)
    return sorted(usable, key=lambda item: (item[1].split_name, item[1].rank, item[0]))


def _by_genres(models: Sequence[tuple[Path, BundleMetadata]]) -> list[Path]:
    """Sort models so that those that know the same genres follow each other; otherwise their order stays."""
    groups: dict[frozenset[str], list[Path]] = {}
    for path, metadata in models:
        groups.setdefault(without_other(metadata.genres), []).append(path)
    return list(chain.from_iterable(groups.values()))


def _require_fit(path: Path, metadata: BundleMetadata, cache: Cache) -> None:
    if metadata.genres not in (cache.genres, (*cache.genres, OTHER)):
        only = sorted(set(metadata.genres) ^ set(cache.genres))
        raise BundleError(
            f"{path} and {cache.path} have different genres ({', '.join(only)}): "
            "name the cache that the model was trained from with --cache, or other tracks with --data"
        )
    cached, trained = cache.config.front_end.model_dump(), metadata.prepare.front_end.model_dump()
    if not any(track.facts.padded for track in cache.tracks):
        trained["pad"] = cached["pad"]  # it is not used
    differing = [f"{key} {trained[key]}, cache {cached[key]}" for key in cached if cached[key] != trained[key]]
    if differing:
        raise BundleError(
            f"{path} was trained on features that differ from {cache.path} ({'; '.join(differing)}): "
            "name a cache with the features of the model with --cache"
        )
