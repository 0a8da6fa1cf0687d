"""train: one model is fitted to the training part, and its best epoch on the validation part becomes a bundle."""

from __future__ import annotations

import csv
import io
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genrekit import __version__
from genrekit.config import TrainConfig
from genrekit.dataset.batches import FragmentSource, TrainingBatches
from genrekit.dataset.cache import Cache, open_cache
from genrekit.dataset.splits import Split, artist_clusters, open_split, split_tracks
from genrekit.errors import GenrekitError, UsageError
from genrekit.evaluation.plots import confusion_figure, learning_curves, save_png
from genrekit.evaluation.scores import Scores, score
from genrekit.files import write_json, write_text
from genrekit.models import Model, build_model, count_parameters
from genrekit.models.best import keep_best
from genrekit.models.bundle import BundleMetadata, save_bundle
from genrekit.records import AnyPath, Epoch, TrainResult, ValidationFigures, to_json
from genrekit.training.devices import choose_device
from genrekit.training.loop import FitResult, fit
from genrekit.training.tracking import Tracker, open_tracker, require_mode
from genrekit.workflows.reporter import Reporter, TrainPlan
from genrekit.workflows.runs import read_config

RUN_FORMAT_VERSION = 1

_QUIET = Reporter()


@dataclass(frozen=True)
class Tracking:
    """How a training is tracked; the key is kept out of every text."""

    mode: str = "off"
    project: str = "genrekit"
    key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        require_mode(self.mode)


NO_TRACKING = Tracking()


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
    named = None if out is None else Path(out)
    config, run = _resumed(values, named) if resume else _new(values, named, Path(runs))
    cache = open_cache(Path(cache_path))
    split = open_split(cache, config.split, config.split_seed, strict=strict)
    data = TrainingBatches(
        FragmentSource(cache, config.input, split.ids("train")),
        FragmentSource(cache, config.input, split.ids("validation")),
        batch_size=config.batch_size,
        seed=config.seed,
    )
    device = choose_device(config.device)
    model = build_model(config, cache.config.front_end, len(cache.genres))
    model.standardize.set_statistics(*data.statistics())
    for note in split.notes:
        reporter.note(note)
    if not resume:
        _create(run, config)
    tracker = _tracker(tracking, run, config, reporter)
    reporter.training(_plan(run, config, model, data, split, device.type, tracker.mode))
    fitted = _fit(model, data, config, device, run, tracker, reporter, resume=resume)
    scores = score(fitted.predictions, _clusters(cache))
    save_bundle(run / "best", model, _metadata(config, cache, split, fitted, scores, count_parameters(model)))
    _draw(run, fitted, scores, cache.genres)
    result = TrainResult(
        run=run,
        bundle=run / "best",
        epochs=len(fitted.history),
        best_epoch=fitted.best_epoch,
        parameters=count_parameters(model),
        seconds=time.monotonic() - started,
        split=split.name,
        validation=ValidationFigures(
            fitted.predictions.loss, fitted.predictions.fragment_accuracy, fitted.predictions.track_accuracy
        ),
        kept=None if best_models is None else keep_best(run / "best", Path(best_models)),
    )
    write_json(run / "result.json", {"format_version": RUN_FORMAT_VERSION, **to_json(result)})
    _, truth, called = fitted.predictions.per_track()
    tracker.finish(
        summary={"best_epoch": fitted.best_epoch, **asdict(result.validation)},
        truth=truth.tolist(),
        predicted=called.tolist(),
        genres=cache.genres,
        history=fitted.history,
    )
    return result


def _new(values: Mapping[str, Any], out: Path | None, runs: Path) -> tuple[TrainConfig, Path]:
    config = TrainConfig.of(values)
    if out is not None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise GenrekitError(f"{out} exists already: choose another name for the run, or resume it")
        return config, out
    stem = f"{datetime.now():%Y%m%d-%H%M%S}-{config.arch}-{config.input}-{config.opt}-{config.sched}"
    names = (runs / (f"{stem}-{number}" if number > 1 else stem) for number in range(1, 1_000_000))
    return config, next(path for path in names if not path.exists())


def _resumed(values: Mapping[str, Any], out: Path | None) -> tuple[TrainConfig, Path]:
    if out is None:
        raise UsageError("the folder of the run to resume must be named")
    stored = read_config(out / "config.json")
    if (out / "result.json").exists():
        raise GenrekitError(f"{out} is finished: there is nothing to resume")
    config = TrainConfig.of(stored)
    asked = TrainConfig.of({**stored, **values})
    for key in values:
        there, here = getattr(config, key), getattr(asked, key)
        if there != here:
            raise UsageError(f"{out} was begun with {key} {there}, not {here}: leave it out, or train anew")
    return config, out


def _create(run: Path, config: TrainConfig) -> None:
    run.mkdir(parents=True, exist_ok=True)
    write_json(run / "config.json", {"format_version": RUN_FORMAT_VERSION, **config.model_dump(mode="json")})


def _tracker(tracking: Tracking, run: Path, config: TrainConfig, reporter: Reporter) -> Tracker:
    return open_tracker(
        tracking.mode,
        project=tracking.project,
        run_name=run.name,
        config=config.model_dump(mode="json"),
        folder=run,
        key=tracking.key,
        on_warning=reporter.warning,
    )


def _plan(
    run: Path, config: TrainConfig, model: Model, data: TrainingBatches, split: Split, device: str, tracking: str
) -> TrainPlan:
    parameters = count_parameters(model)
    return TrainPlan(
        run=str(run),
        arch=config.arch,
        input=config.input,
        parameters=parameters,
        parameter_bytes=sum(p.numel() * p.element_size() for p in model.parameters()),
        epochs=config.epochs,
        patience=config.patience,
        device=device,
        split=split.name,
        training_tracks=len(split.ids("train")),
        training_fragments=data.n_training,
        validation_tracks=len(split.ids("validation")),
        validation_fragments=data.n_validation,
        tracking=tracking,
    )


def _fit(
    model: Model,
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

    def on_epoch(epoch: Epoch, best: bool) -> None:
        history.append(epoch)
        _append_history(run / "history.csv", epoch)
        tracker.log_epoch(epoch)
        reporter.epoch(epoch, best=best)

    checkpoint = run / "last.safetensors"
    try:
        return fit(
            model,
            data,
            config,
            device=device,
            on_epoch=on_epoch,
            on_step=reporter.step,
            checkpoint=checkpoint,
            resume=resume and checkpoint.exists(),
        )
    except BaseException:
        tracker.abandon()
        if checkpoint.exists():
            reporter.finished()
            reporter.resumable(str(run))
        raise
    finally:
        reporter.finished()


def _append_history(path: Path, epoch: Epoch) -> None:
    """Add an epoch's row; one that an interrupted training wrote but did not keep is replaced."""
    names = [column.name for column in fields(Epoch)]
    rows: list[dict[str, Any]] = []
    if path.exists():
        with open(path, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if int(row["epoch"]) < epoch.epoch]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows([*rows, asdict(epoch)])
    write_text(path, text.getvalue())


def _clusters(cache: Cache) -> dict[int, str]:
    tracks = split_tracks(cache)
    names = artist_clusters(tracks)
    return {index: names[track.id] for index, track in enumerate(tracks)}


def _draw(run: Path, fitted: FitResult, scores: Scores, genres: tuple[str, ...]) -> None:
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
        }
    )
