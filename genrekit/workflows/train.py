"""Train one model from a cache and save the best epoch as a bundle. The modules train_*.py have the steps."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Unpack

from genrekit._types import AnyPath
from genrekit.config import TrainConfig, TrainOptions
from genrekit.data.cache.reader import open_cache
from genrekit.errors import UsageError
from genrekit.io.files import write_json
from genrekit.io.json_values import to_json
from genrekit.metrics.epochs import TrainingFigures, ValidationFigures
from genrekit.models import count_parameters
from genrekit.models.leaderboard import keep_best, require_best_folder
from genrekit.training.footprint import enough_memory
from genrekit.training.loop import FitResult
from genrekit.training.tracking import NO_TRACKING, Tracker, Tracking
from genrekit.workflows.reporter import Reporter
from genrekit.workflows.runs import RUN_FORMAT_VERSION
from genrekit.workflows.train_fit import fit_model, start_tracking
from genrekit.workflows.train_folder import locked_folder, new_run, resume_hint, resumed_run
from genrekit.workflows.train_output import save_output
from genrekit.workflows.train_run import TrainRun, set_up_run, training_plan


@dataclass(frozen=True)
class TrainResult:
    """The result of `train`.

    `validation` has the figures of the best epoch, `last` those of the last one. `training` has the figures of the
    "best" and the "last" epoch on the training set. `monitor` is the figure that selects the best epoch; None for a
    classical model, which has one epoch. `dead_channels` is the share of channels and hidden units that no validation
    fragment activates after the last epoch; None for a model that has none. `kept` is the copy in `best_models`.
    """

    run: Path
    bundle: Path
    epochs: int
    best_epoch: int
    parameters: int
    seconds: float
    split: str
    validation: ValidationFigures
    kept: Path | None = None
    last: ValidationFigures | None = None
    training: dict[str, TrainingFigures] | None = None
    dead_channels: float | None = None
    monitor: str | None = None


_QUIET = Reporter()


@enough_memory()
def train(
    cache: AnyPath,
    config: TrainConfig | Mapping[str, Any] | None = None,
    *,
    out: AnyPath | None = None,
    runs: AnyPath = "runs",
    resume: bool = False,
    best_models: AnyPath | None = None,
    tracking: Tracking = NO_TRACKING,
    strict: bool = False,
    reporter: Reporter = _QUIET,
    **options: Unpack[TrainOptions],
) -> TrainResult:
    """Train one model from a cache.

    The configuration is a `TrainConfig`, a mapping of its fields, or keyword arguments such as `arch="cel3"`. Keyword
    arguments override a mapping. A field that is not given has its default, or with `resume` the value of the
    interrupted run. The run is written to `out`, by default to a new folder in `runs`. With `best_models`, the bundle
    is copied there if it is among the five best of its split.
    Errors: UsageError for an invalid value, GenrekitError if the run cannot be trained.
    """
    started = time.monotonic()
    if best_models is not None:
        require_best_folder(Path(best_models))
    named = None if out is None else Path(out)
    values = _values(config, options)
    configured, folder = resumed_run(values, named) if resume else new_run(values, named, Path(runs))
    run = set_up_run(open_cache(Path(cache)), configured, folder, strict=strict, reporter=reporter)
    with locked_folder(run, resume=resume):
        with resume_hint(run):
            tracker = start_tracking(run, tracking)
            reporter.training(training_plan(run, tracker))
            fitted = fit_model(run, tracker, resume=resume)
            save_output(run, fitted)
        seconds = time.monotonic() - started
        kept = None if best_models is None else keep_best(run.bundle, Path(best_models))
        result = _result(run, fitted, seconds, kept)
        write_json(folder / "result.json", {"format_version": RUN_FORMAT_VERSION, **to_json(result)})
        _finish_tracking(tracker, run, fitted, result)
    return result


def _values(config: TrainConfig | Mapping[str, Any] | None, options: TrainOptions) -> dict[str, Any]:
    """Combine the ways to give a configuration.

    Errors: UsageError for a `TrainConfig` and keyword arguments, because a `TrainConfig` has a value for every field.
    """
    if not isinstance(config, TrainConfig):
        return {**(config or {}), **options}
    if options:
        raise UsageError(f"a TrainConfig has all values: leave out {', '.join(options)}, or pass all as keywords")
    return config.model_dump()


def _result(run: TrainRun, fitted: FitResult, seconds: float, kept: Path | None) -> TrainResult:
    best, last = fitted.predictions, fitted.history[-1]
    return TrainResult(
        run=run.folder,
        bundle=run.bundle,
        epochs=len(fitted.history),
        best_epoch=fitted.best_epoch,
        parameters=count_parameters(run.model),
        seconds=seconds,
        split=run.split_name,
        validation=ValidationFigures(best.loss, best.fragment_accuracy, best.track_accuracy),
        kept=kept,
        last=ValidationFigures(last.validation_loss, last.validation_fragment_accuracy, last.validation_track_accuracy),
        training=fitted.training,
        dead_channels=fitted.dead_channels,
        monitor=run.config.monitor if run.is_network else None,
    )


def _finish_tracking(tracker: Tracker, run: TrainRun, fitted: FitResult, result: TrainResult) -> None:
    _, truth, predicted = fitted.predictions.per_track()
    tracker.finish(
        summary={"best_epoch": fitted.best_epoch, **asdict(result.validation)},
        truth=truth.tolist(),
        predicted=predicted.tolist(),
        genres=run.cache.genres,
        history=fitted.history,
        bundle=result.bundle,
    )
