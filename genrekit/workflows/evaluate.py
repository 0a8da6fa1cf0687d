"""evaluate: bundles on the test part, which nothing else reads, or on a labelled folder."""

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
from genrekit.errors import BundleError, GenrekitError, UsageError, few
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
from genrekit.workflows.evaluate_cache import Asked, CachedPart
from genrekit.workflows.evaluate_folder import answers_to_folder, read_labelled
from genrekit.workflows.reporter import Reporter

_QUIET = Reporter()

_WITH_EXAMPLES = 3
"""Of how many models a report shows mistakes: their sounds and pictures are most of its size."""

Recipe = Callable[[BundleMetadata], Sequence[str]]
"""How to make a model again, as lines that can be typed."""


def evaluate(
    models: AnyPath,
    cache_path: AnyPath | None = None,
    *,
    data: AnyPath | None = None,
    out: AnyPath | None = None,
    report: AnyPath | None = None,
    recipe: Recipe = lambda _: (),
    device: str = "auto",
    reporter: Reporter = _QUIET,
) -> EvaluateResult:
    """Score a bundle, or all bundles in a folder, on the test part of the split that each was trained with.

    Models keep the order of their validation rank, each split apart. Tracks that a model was trained or validated on
    are left out and counted. How often this test part has been read is written beside the cache.
    With `data` instead of a cache, a folder of genre folders or a manifest is read track by track: genres are matched
    by name, and nothing is written or counted there. `out` names a folder for tables and pictures, `report` a page to
    look at, which `recipe` tells how its models were made.
    Errors: GenrekitError where no bundle fits, no test track is left, or something cannot be written.
    """
    if (cache_path is None) == (data is None):
        raise UsageError("evaluate needs a cache or a folder of labelled tracks, and not both")
    out, report = _target(out, folder=True), _target(report, folder=False)
    where, paths = choose_device(device), find_bundles(Path(models))
    if data is not None:
        collection = read_labelled(Path(data))
        readable = _fitting(paths, lambda _path, _metadata: None, reporter)
        answers, skipped = answers_to_folder(collection, [path for path, _ in readable], where, reporter)
        readings = None
    else:
        assert cache_path is not None
        cache = open_cache(Path(cache_path))
        require_writable(splits_folder(cache))  # where the reading is counted
        fitting = _fitting(paths, lambda path, metadata: _require_fit(path, metadata, cache), reporter)
        answers, skipped = _answers_to_cache(cache, fitting, where, reporter), ()
        readings = _count_reading(cache, sorted({found.group for found in answers}))
    result = _result(answers, skipped, readings, None if data is None else Path(data), reporter)
    result = replace(result, out=out, report=report)
    if out is not None:
        _write_out(out, result)
    if report is not None:
        write_text(report, report_page(result, _stories(result, answers, recipe)))
    return result


def _target(path: AnyPath | None, *, folder: bool) -> Path | None:
    """Refuse what cannot be written before anything is read: a reading of the test part is counted."""
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
        raise GenrekitError(f"cannot write {target}: it is a folder; name a file in it")
    return target


def _answers_to_cache(
    cache: Cache, fitting: Sequence[tuple[Path, BundleMetadata]], device: torch.device, reporter: Reporter
) -> list[Asked]:
    parts: dict[str, CachedPart] = {}
    found = []
    for done, (path, metadata) in enumerate(fitting, 1):
        if metadata.split_name not in parts:
            parts[metadata.split_name] = CachedPart.of(cache, metadata)
        found.append(parts[metadata.split_name].answers(path, device))
        reporter.tracks_done(done, len(fitting))
    reporter.finished()
    return found


def _result(
    answers: Sequence[Asked],
    skipped: tuple[SkippedFile, ...],
    readings: int | None,
    data: Path | None,
    reporter: Reporter,
) -> EvaluateResult:
    figures = tuple(map(_figures, answers))
    warnings = _warnings(figures)
    for warning in warnings:
        reporter.warning(warning)
    comparisons = tuple(_comparisons(answers))
    ties = tuple(pair.other for pair in comparisons if pair.tie)
    return EvaluateResult(figures, readings, warnings, comparisons, ties, data, skipped)


def _figures(answers: Asked) -> ModelFigures:
    metadata, scores = answers.metadata, score(answers.predictions, answers.clusters)
    return ModelFigures(
        bundle=answers.path,
        fragments=scores.fragments.count,
        tracks=scores.tracks.count,
        left_out=answers.left_out,
        split=metadata.split_name,
        validation_track_accuracy=metadata.validation_figures.track_accuracy.value,
        fragment_accuracy=scores.fragment_accuracy,
        track_accuracy=scores.track_accuracy,
        macro_f1=scores.macro_f1,
        resampled=answers.resampled,
        per_genre=per_genre_figures(scores.confusion, metadata.genres),
        confusion=scores.tracks.confusion,
        genres=metadata.genres,
        fragment_figures=scores.fragments,
        track_figures=scores.tracks,
        unknown_genres=answers.unknown_genres,
        missing_genres=answers.missing_genres,
    )


def _warnings(models: Sequence[ModelFigures]) -> tuple[str, ...]:
    """What was left out or is missing, once for all models of which the same can be said."""
    said: dict[str, list[str]] = {}
    for model in models:
        for warning in _warnings_of(model):
            said.setdefault(warning, []).append(model.name)
    return tuple(
        warning.format(names[0] if len(names) == 1 else f"each of {few(names)}") for warning, names in said.items()
    )


def _warnings_of(model: ModelFigures) -> Iterable[str]:
    """Each with a place for the model's name; braces in genres' names are doubled."""
    if model.left_out:
        yield f"{{}} has seen {model.left_out} of the test tracks, which are left out"
    if model.unknown_genres:
        count = sum(model.unknown_genres.values())
        yield f"{{}} does not know {_names(model.unknown_genres)}: {count} tracks are left out"
    if model.missing_genres:
        yield f"there are no tracks of {_names(model.missing_genres)}, which {{}} knows"


def _names(genres: Iterable[str]) -> str:
    return ", ".join(genres).replace("{", "{{").replace("}", "}}")


def _comparisons(answers: Sequence[Asked]) -> Iterable[PairedFigures]:
    """Compare the first model of each group with the others there."""
    for _, members in groupby(answers, key=lambda found: found.group):
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

    for place, model in write_tables(folder, result):
        save_png(confusion_figure(model.confusion, model.genres, f"{model.name}, tracks"), place / "confusion.png")
        levels = {"tracks": model.track_figures.calibration, "fragments": model.fragment_figures.calibration}
        save_png(reliability_figure(levels, model.name), place / "reliability.png")
        save_png(genre_bars(model.per_genre, model.name), place / "genres.png")
    write_json(folder / "result.json", to_json(result))


def _stories(result: EvaluateResult, answers: Sequence[Asked], recipe: Recipe) -> list[ModelStory]:
    stories = []
    for place, (figures, found) in enumerate(zip(result.models, answers, strict=True)):
        examples = _examples(found) if place < _WITH_EXAMPLES else ()
        stories.append(ModelStory(figures, found.metadata, examples, tuple(recipe(found.metadata))))
    return stories


def _examples(answers: Asked) -> tuple[Example, ...]:
    """The most confident mistakes, with what was heard."""
    from genrekit.reports.plots import spectrogram_png  # a second, which is spared where nothing is drawn

    genres, rate = answers.metadata.genres, answers.metadata.prepare.front_end.sample_rate
    found = []
    for mistake in confident_mistakes(answers.predictions):
        view = answers.fragment(mistake.fragment)
        found.append(
            Example(
                track=answers.track_ids[mistake.track],
                genre=genres[mistake.genre],
                predicted=genres[mistake.predicted],
                probability=mistake.probability,
                start_s=float(answers.start_s[mistake.fragment]),
                picture=None if view.mel is None else spectrogram_png(view.mel),
                sound=None if view.waveform is None else encoded(view.waveform, rate),
            )
        )
    return tuple(found)


def _fitting(
    paths: Sequence[Path], require: Callable[[Path, BundleMetadata], None], reporter: Reporter
) -> list[tuple[Path, BundleMetadata]]:
    """The bundles that can be tested, best of each split first; where there are others, say why."""
    fitting, problems = [], []
    for path in paths:
        try:
            metadata = read_metadata(path)
            require(path, metadata)
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


def _count_reading(cache: Cache, splits: list[str]) -> int:
    """Count one more reading of each split's test part; return the highest count."""
    folder = splits_folder(cache)
    path = folder / "readings.json"
    with exclusive_lock(folder / ".readings.lock", "cannot count the reading", wait=True):
        counts = Counter(read_json(path) if path.exists() else {})
        counts.update(splits)
        write_json(path, dict(counts))
    return max(counts[split] for split in splits)
