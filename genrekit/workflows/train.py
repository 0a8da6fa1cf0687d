"""train: one model is fitted to the training part, and its best epoch on the validation part becomes a bundle."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from genrekit._version import __version__
from genrekit.config import CLASSICAL, FrontEnd, TrainConfig
from genrekit.dataset.altered import altered_folder, altered_fragments
from genrekit.dataset.batches import FragmentSource, TrainingBatches, part_source
from genrekit.dataset.cache import Cache, open_cache
from genrekit.dataset.folds import data_fingerprints, trained_split
from genrekit.dataset.originals import original_statistics
from genrekit.dataset.splits import Split, SplitTrack, placed_clusters, split_tracks, what_to_resample
from genrekit.errors import GenrekitError, UsageError
from genrekit.evaluation.answers import ANSWERS, Answers, save_answers
from genrekit.evaluation.scores import Scores, score
from genrekit.files import exclusive_lock, read_json, remove_torn, size_text, write_json
from genrekit.models import Model, build_model, count_parameters
from genrekit.models.best import keep_best, require_best_folder
from genrekit.models.bundle import BundleMetadata, save_bundle
from genrekit.models.classical import Classifier
from genrekit.records import AnyPath, Epoch, TrainResult, ValidationFigures, to_json
from genrekit.training.classical import Part, fit_classical
from genrekit.training.devices import choose_device, choose_precision
from genrekit.training.footprint import Footprint, enough_memory, free_memory, measure
from genrekit.training.loop import FitResult, fit
from genrekit.training.tracking import NO_TRACKING, Tracker, Tracking, open_tracker
from genrekit.workflows.reporter import Reporter, TrainPlan, TrainSize
from genrekit.workflows.runs import (
    HISTORY,
    RUN_FORMAT_VERSION,
    has_result,
    other_data,
    pruned_after,
    read_config,
    write_history,
)

_QUIET = Reporter()


_LOCK = ".lock"
"""Held in a run's folder while a process trains it."""


@enough_memory()
def train(
    cache_path: AnyPath,
    values: Mapping[str, Any],
    *,
    out: AnyPath | None = None,
    runs: AnyPath = "runs",
    resume: bool = False,
    best_models: AnyPath | None = None,
    tracking: Tracking = NO_TRACKING,
    strict: bool = False,
    reporter: Reporter = _QUIET,
) -> TrainResult:
    """Train one model from a cache.

    `values` are those of `TrainConfig`; what is left out takes its default, or with `resume` the interrupted run's
    value. The run's folder is `out`, by default a new one in `runs`. With `best_models`, the bundle is kept there if
    it is among the five best of its split.
    Errors: UsageError for a value that no training accepts, GenrekitError for what stands in the way of this one.
    """
    started = time.monotonic()
    if best_models is not None:
        require_best_folder(Path(best_models))
    named = None if out is None else Path(out)
    config, run = _resumed(values, named) if resume else _new(values, named, Path(runs))
    cache = open_cache(Path(cache_path))
    _require_masks(config, cache.config.front_end)
    split = trained_split(cache, config, strict=strict)
    data = TrainingBatches(
        _training_source(config, cache, split, reporter),
        part_source(cache, config.input, split, "validation", config.fragments),
        batch_size=config.batch_size,
        seed=config.seed,
        random_start=config.random_start,
    )
    device = choose_device("cpu" if config.arch in CLASSICAL else config.device)
    model, footprint = _build(config, cache, device, reporter)
    if config.standardize and not isinstance(model, Classifier):
        model.standardize.set_statistics(*data.statistics())
    if device.type == "cuda":
        data.live_on(device, _room_for_data(device, footprint))
    for note in split.notes:
        reporter.note(note)
    with exclusive_lock(run / _LOCK, f"cannot train {run}"):
        if resume:
            _reopen(run, data_fingerprints(cache, split))
        else:
            _create(run, config, data_fingerprints(cache, split))
        with _resumable(run, cache.path, reporter):
            tracker = _tracker(tracking, run, config, reporter)
            reporter.training(_plan(run, config, footprint, data, split, device, tracker))
            with _watched(tracker, reporter):
                if isinstance(model, Classifier):
                    fitted = _fit_classical(model, cache, split, config, run, tracker, reporter)
                else:
                    with reporter.finishing_steps():
                        fitted = _fit(model, data, config, device, run, tracker, reporter, resume=resume)
            tracks = split_tracks(cache)
            clusters = placed_clusters(tracks)
            scores = score(fitted.predictions, clusters)
            save_bundle(run / "best", model, _metadata(config, cache, split, fitted, scores, count_parameters(model)))
            _draw(run, fitted, scores, cache.genres)
            save_answers(run / ANSWERS, _answers(fitted, tracks, clusters))
        result = TrainResult(
            run=run,
            bundle=run / "best",
            epochs=len(fitted.history),
            best_epoch=fitted.best_epoch,
            parameters=count_parameters(model),
            seconds=time.monotonic() - started,
            split=split.name + config.validated_on,
            validation=ValidationFigures(
                fitted.predictions.loss, fitted.predictions.fragment_accuracy, fitted.predictions.track_accuracy
            ),
            kept=None if best_models is None else keep_best(run / "best", Path(best_models)),
            last=_of_last(fitted),
            training=fitted.training,
            dead_channels=fitted.dead_channels,
            monitor=None if config.arch in CLASSICAL else config.monitor,
        )
        write_json(run / "result.json", {"format_version": RUN_FORMAT_VERSION, **to_json(result)})
        _, truth, called = fitted.predictions.per_track()
        tracker.finish(
            summary={"best_epoch": fitted.best_epoch, **asdict(result.validation)},
            truth=truth.tolist(),
            predicted=called.tolist(),
            genres=cache.genres,
            history=fitted.history,
            bundle=result.bundle,
        )
    return result


def _new(values: Mapping[str, Any], out: Path | None, runs: Path) -> tuple[TrainConfig, Path]:
    config = TrainConfig.of(values)
    if out is not None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise _exists(out)
        return config, out
    stem = f"{datetime.now():%Y%m%d-%H%M%S}-{config.stem}"
    names = (runs / (f"{stem}-{number}" if number > 1 else stem) for number in range(1, 1_000_000))
    return config, next(path for path in names if not path.exists())


def _exists(run: Path) -> GenrekitError:
    return GenrekitError(f"{run} exists already: choose another name for the run, or resume it")


def _resumed(values: Mapping[str, Any], out: Path | None) -> tuple[TrainConfig, Path]:
    if out is None:
        raise UsageError("the folder of the run to resume must be named")
    stored = read_config(out / "config.json")
    if has_result(out):
        raise GenrekitError(f"{out} is finished: there is nothing to resume")
    if epoch := pruned_after(out):
        raise GenrekitError(f"{out} was given up by a search after epoch {epoch}: train its configuration anew")
    config = TrainConfig.of(stored)
    asked = TrainConfig.of({**stored, **values})
    for key in values:
        there, here = getattr(config, key), getattr(asked, key)
        if there != here and key != "device":  # a run may go on elsewhere
            raise UsageError(f"{out} was begun with {key} {there}, not {here}: leave it out, or train anew")
    return asked, out


def _require_masks(config: TrainConfig, front_end: FrontEnd) -> None:
    if config.input == "waveform":
        return
    bands, frames = front_end.shape(config.input)
    names = ("n_mels", "n_frames") if config.input == "mel" else ("the bands of stft", "the frames of stft")
    limits = {"spec_freq_mask": (names[0], bands), "spec_time_mask": (names[1], frames)}
    for name, (what, limit) in limits.items():
        if (width := getattr(config, name)) >= limit:
            raise UsageError(f"{name} must be less than {what} ({limit}), got {width}")


def _training_source(config: TrainConfig, cache: Cache, split: Split, reporter: Reporter) -> FragmentSource:
    """The training part, where it is asked for with its fragments altered."""
    source = part_source(cache, config.input, split, "train", config.fragments)
    if not config.alters_fragments:
        return source

    def on_fragment(done: int, of: int) -> None:
        if done == 1:
            reporter.note(f"{of} training fragments are altered and kept in {altered_folder(cache)} for later runs")
        reporter.fragments_altered(done, of)

    source.alter(altered_fragments(cache, source.rows, config.altered_tempo, config.altered_pitch, on_fragment))
    reporter.finished()
    return source


def _create(run: Path, config: TrainConfig, data: dict[str, str]) -> None:
    if (run / "config.json").exists():  # another process was first
        raise _exists(run)
    values = config.model_dump(mode="json")
    write_json(run / "config.json", {"format_version": RUN_FORMAT_VERSION, "data": data, **values})


def _reopen(run: Path, data: dict[str, str]) -> None:
    """Refuse to go on with other data than the run was begun with, and remove what a kill has left half done."""
    if other := other_data(read_json(run / "config.json").get("data", {}), data):
        raise GenrekitError(
            f"{run} was begun with another cache, with other {', '.join(other)}: resume with that cache, or train anew"
        )
    remove_torn(run)
    remove_torn(run / "plots")
    for half in run.glob(".best.*"):
        shutil.rmtree(half, ignore_errors=True)


@contextmanager
def _resumable(run: Path, cache: Path, reporter: Reporter) -> Iterator[None]:
    """Say how to go on if the block is stopped: an epoch's randomness is its own, so the last whole one will do."""
    try:
        yield
    except BaseException as error:
        begun = (run / "last.safetensors").exists()
        if begun or not isinstance(error, Exception):
            reporter.finished()
            reporter.resumable(str(run), str(cache), begun=begun)
        raise


def _tracker(tracking: Tracking, run: Path, config: TrainConfig, reporter: Reporter) -> Tracker:
    return open_tracker(
        tracking,
        run_name=run.name,
        config=config.model_dump(mode="json"),
        folder=run,
        on_warning=reporter.warning,
    )


def _build(config: TrainConfig, cache: Cache, device: torch.device, reporter: Reporter) -> tuple[Model, Footprint]:
    """Make the model, and warn of what it takes more than there is, before it is made."""
    front_end = cache.config.front_end
    with torch.device("meta"):
        empty = build_model(config, front_end, len(cache.genres))
    footprint = measure(empty, config, front_end.shape(config.input), device)
    if config.arch not in CLASSICAL:
        _warn_of(footprint, config, device, reporter)
    return build_model(config, front_end, len(cache.genres)), footprint


def _warn_of(footprint: Footprint, config: TrainConfig, device: torch.device, reporter: Reporter) -> None:
    free = free_memory(device)
    if free is None or footprint.memory <= free:
        return
    of_batch = footprint.batch > footprint.checkpoint
    remedy = f"a batch_size below {config.batch_size}" if of_batch else "fewer or narrower layers"
    reporter.warning(
        f"the training needs about {size_text(footprint.memory)} of memory, {size_text(free)} are free: choose {remedy}"
    )


def _room_for_data(device: torch.device, footprint: Footprint) -> float:
    """Bytes on a device that fragments may take: half of what the training itself leaves."""
    return ((free_memory(device) or 0) - footprint.memory) / 2


def _plan(
    run: Path,
    config: TrainConfig,
    footprint: Footprint,
    data: TrainingBatches,
    split: Split,
    device: torch.device,
    tracker: Tracker,
) -> TrainPlan:
    return TrainPlan(
        run=str(run),
        arch=config.arch,
        input=config.input,
        parameters=footprint.parameters,
        parameter_bytes=footprint.gradients,
        size=None if config.arch in CLASSICAL else TrainSize(footprint.checkpoint, footprint.memory),
        epochs=config.epochs,
        patience=config.patience,
        device=device.type,
        precision=choose_precision(config.precision, device),
        split=split.name + config.validated_on,
        training_tracks=len(split.ids("train")),
        training_fragments=data.n_training,
        validation_tracks=len(split.ids("validation")),
        validation_fragments=data.n_validation,
        tracking=tracker.mode,
        tracking_reason=tracker.reason,
    )


@contextmanager
def _watched(tracker: Tracker, reporter: Reporter) -> Iterator[None]:
    """Fit within the block: what is shown of it ends with it, and the tracker hears if it is stopped."""
    try:
        yield
    except BaseException:
        tracker.abandon()
        raise
    finally:
        reporter.finished()


def _fit(
    model: nn.Module,
    data: TrainingBatches,
    config: TrainConfig,
    device: torch.device,
    run: Path,
    tracker: Tracker,
    reporter: Reporter,
    *,
    resume: bool,
) -> FitResult:
    history: list[Epoch] = []

    def on_resume(epochs: Sequence[Epoch]) -> None:
        history.extend(epochs)
        write_history(run / HISTORY, history)

    def on_epoch(epoch: Epoch, best: bool) -> None:
        history.append(epoch)
        write_history(run / HISTORY, history)
        tracker.log_epoch(epoch)
        reporter.epoch(epoch, best=best and config.monitor != "last")

    checkpoint = run / "last.safetensors"
    return fit(
        model,
        data,
        config,
        device=device,
        on_epoch=on_epoch,
        on_step=reporter.step,
        on_resume=on_resume,
        saving=reporter.saving,
        checkpoint=checkpoint,
        resume=resume and checkpoint.exists(),
    )


def _fit_classical(
    model: Classifier,
    cache: Cache,
    split: Split,
    config: TrainConfig,
    run: Path,
    tracker: Tracker,
    reporter: Reporter,
) -> FitResult:
    statistics = original_statistics(cache, reporter.statistics_done)
    originals = np.flatnonzero(cache.variant == 0)

    def part(name: str) -> Part:
        source = part_source(cache, "mel", split, name, config.fragments)
        places = np.searchsorted(originals, source.rows)
        return Part(statistics[places], source.targets(source.rows).numpy(), source.tracks(source.rows).numpy())

    fitted = fit_classical(model, part("train"), part("validation"), config, cache.genres)
    write_history(run / HISTORY, fitted.history)
    for epoch in fitted.history:
        tracker.log_epoch(epoch)
        reporter.epoch(epoch, best=epoch.epoch == fitted.best_epoch)
    return fitted


def _answers(fitted: FitResult, tracks: Sequence[SplitTrack], clusters: Mapping[int, str]) -> Answers:
    """Name the tracks that were answered, and say what to resample."""
    indices, _, _ = fitted.predictions.per_track()
    track_ids = tuple(tracks[index].id for index in indices)
    return Answers(
        track_ids=track_ids,
        clusters=tuple(clusters[index] for index in indices.tolist()),
        right=fitted.right,
        loss=fitted.loss,
        steps_per_epoch=fitted.steps_per_epoch,
        best_epoch=fitted.best_epoch,
        resampled=what_to_resample(tracks, track_ids),
        training=fitted.training,
        dead_channels=fitted.dead_channels,
    )


def _of_last(fitted: FitResult) -> ValidationFigures:
    last = fitted.history[-1]
    return ValidationFigures(last.validation_loss, last.validation_fragment_accuracy, last.validation_track_accuracy)


def _draw(run: Path, fitted: FitResult, scores: Scores, genres: tuple[str, ...]) -> None:
    from genrekit.evaluation.plots import confusion_figure, learning_curves, save_png  # a second, which can wait

    save_png(learning_curves(fitted.history, fitted.best_epoch), run / "plots" / "learning_curves.png")
    figure = confusion_figure(scores.confusion.tolist(), genres, "validation, tracks, best epoch")
    save_png(figure, run / "plots" / "confusion.png")


def _metadata(
    config: TrainConfig, cache: Cache, split: Split, fitted: FitResult, scores: Scores, parameters: int
) -> BundleMetadata:
    digests = {track.id: track.digest for track in cache.tracks}
    return BundleMetadata.of(
        {
            "genrekit_version": __version__,
            "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
            "created": datetime.now().astimezone().isoformat(timespec="seconds"),
            "train": config.model_dump(),
            "prepare": cache.config.model_dump(),
            "genres": cache.genres,
            "split": split.policy,
            "split_seed": split.seed,
            "training": {track_id: digests[track_id] for track_id in split.ids("train")},
            "validation": {track_id: digests[track_id] for track_id in split.ids("validation")},
            "epochs": len(fitted.history),
            "best_epoch": fitted.best_epoch,
            "validation_figures": {
                "loss": fitted.predictions.loss,
                "fragment_accuracy": asdict(scores.fragment_accuracy),
                "track_accuracy": asdict(scores.track_accuracy),
            },
            "parameters": parameters,
            "history": [asdict(epoch) for epoch in fitted.history],
        }
    )
