"""Train one model from a cache and save the best epoch as a bundle. The modules train_*.py have the steps."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Unpack

from genrekit._types import AnyPath
from genrekit.config import TrainConfig, TrainOptions
from genrekit.data.cache.reader import open_cache
from genrekit.errors import GenrekitError, UsageError
from genrekit.io.files import write_json
from genrekit.io.json_values import to_json
from genrekit.io.shown import ShownResult
from genrekit.metrics.epochs import EpochFigures
from genrekit.metrics.formatting import loss_text
from genrekit.models import count_parameters
from genrekit.models.leaderboard import keep_best, require_best_folder
from genrekit.training.footprint import enough_memory
from genrekit.training.loop import FitResult
from genrekit.training.ranks import ALONE, Ranks
from genrekit.training.tracking import NO_TRACKING, Tracker, Tracking
from genrekit.workflows.live_progress import with_progress
from genrekit.workflows.recipes import read_recipe, with_recipe
from genrekit.workflows.reporter import Reporter
from genrekit.workflows.run_records import RUN_FORMAT_VERSION
from genrekit.workflows.runs import RESULT
from genrekit.workflows.train_fit import fit_model, start_tracking
from genrekit.workflows.train_folder import claimed_folder, locked_folder, new_run, resume_hint, resumed_run
from genrekit.workflows.train_output import save_output
from genrekit.workflows.train_run import TrainRun, set_up_run, training_plan, with_fitting_channels


@dataclass(frozen=True, repr=False)
class TrainResult(ShownResult):
    """The result of `train`.

    `validation` has the figures of the best epoch, `last` those of the last one. `training` has the figures of the
    "best" and the "last" epoch on the training set. `monitor` is the figure that selects the best epoch; None for a
    classical model, which has one epoch. `dead_channels` is the share of channels and hidden units that no validation
    fragment activates after the last epoch; None for a model that has none. `kept` is the copy in `best_models`;
    there is none if the training has `diverged`. `notes` say how the split was chosen.
    """

    run: Path
    bundle: Path
    epochs: int
    best_epoch: int
    parameters: int
    seconds: float
    split: str
    validation: EpochFigures
    kept: Path | None = None
    last: EpochFigures | None = None
    training: dict[str, EpochFigures] | None = None
    dead_channels: float | None = None
    monitor: str | None = None
    notes: tuple[str, ...] = ()
    diverged: bool = False


DIVERGED = 10.0
"""Training has diverged if the best loss is more than this factor times the loss of a uniform guess."""

_QUIET = Reporter()


@with_progress
@enough_memory()
def train(
    cache: AnyPath,
    config: TrainConfig | Mapping[str, Any] | None = None,
    *,
    recipe: str | None = None,
    out: AnyPath | None = None,
    runs: AnyPath = "runs",
    resume: bool = False,
    best_models: AnyPath | None = None,
    tracking: Tracking = NO_TRACKING,
    strict: bool = False,
    reporter: Reporter = _QUIET,
    ranks: Ranks = ALONE,
    **options: Unpack[TrainOptions],
) -> TrainResult:
    """Train one model from a cache.

    The configuration is a `TrainConfig`, a mapping of its fields, or keyword arguments such as `arch="cel3"`. Keyword
    arguments override a mapping, and both override a `recipe`, such as "pretrained". A field that is not given has its
    default, or with `resume` the value of the interrupted run. The run is written to `out`, by default to a new folder
    in `runs`. With `best_models`, the bundle is copied there if it is among the five best of its split and has not
    diverged. If several processes train the model, they call this with their `ranks`; the first one writes the files.
    Errors: UsageError for an invalid value, GenrekitError if the run cannot be trained.
    """
    started = time.monotonic()
    if best_models is not None:
        require_best_folder(Path(best_models))
    named = None if out is None else Path(out)
    values = _values(config, options, recipe)
    if not ranks.is_first:
        reporter, tracking = _QUIET, NO_TRACKING
    run = _set_up(values, Path(cache), named, Path(runs), resume=resume, strict=strict, reporter=reporter, ranks=ranks)
    run = replace(run, recipe=recipe, tracking=tracking.mode)
    if not ranks.is_first:
        fitted = fit_model(run, start_tracking(run, tracking), resume=resume)
        return _result(run, fitted, time.monotonic() - started, None)
    with locked_folder(run, resume=resume):
        with resume_hint(run):
            tracker = start_tracking(run, tracking)
            reporter.training(training_plan(run, tracker))
            fitted = fit_model(run, tracker, resume=resume)
            save_output(run, fitted)
        seconds = time.monotonic() - started
        kept = None if best_models is None else _keep(run, fitted, Path(best_models))
        result = _result(run, fitted, seconds, kept)
        write_json(run.folder / RESULT, {"format_version": RUN_FORMAT_VERSION, **to_json(result)})
        _finish_tracking(tracker, run, fitted, result)
    return result


def _keep(run: TrainRun, fitted: FitResult, folder: Path) -> Path | None:
    """Copy the bundle to the best models, or warn that training has diverged.

    The run is finished, so it does not fail if this fails.
    """
    if _has_diverged(run, fitted):
        run.reporter.warning(
            f"training has diverged: its validation loss is {loss_text(fitted.predictions.loss)}, and that of a "
            f"uniform guess is {loss_text(_loss_of_a_guess(run))}; lower --lr ({run.config.learning_rate:g}). The "
            "model is not copied to the best models"
        )
        return None
    try:
        return keep_best(run.bundle, folder)
    except GenrekitError as error:
        run.reporter.warning(f"the model is only in {run.bundle}: {error}")
        return None


def _set_up(
    values: Mapping[str, Any],
    cache: Path,
    out: Path | None,
    runs: Path,
    *,
    resume: bool,
    strict: bool,
    reporter: Reporter,
    ranks: Ranks,
) -> TrainRun:
    """Set up a run in all ranks. Without `out`, the first one creates its folder."""
    config, folder = _begin(values, out, runs, resume=resume, ranks=ranks)
    opened = open_cache(cache)
    if not resume:
        config = with_fitting_channels(values, opened, config, reporter)
    with ranks.first_alone():  # it may write the split
        run = set_up_run(opened, config, folder, strict=strict, reporter=reporter)
    if out is None:
        folder = ranks.from_first(claimed_folder(folder) if ranks.is_first else None)
    return replace(run, folder=folder, ranks=ranks)


def _begin(
    values: Mapping[str, Any], out: Path | None, runs: Path, *, resume: bool, ranks: Ranks
) -> tuple[TrainConfig, Path]:
    """Return the configuration and the folder of the run, which the first rank chooses.

    Errors: GenrekitError if several ranks would fit a classical model.
    """
    chosen = None
    if ranks.is_first:
        chosen = resumed_run(values, out) if resume else new_run(values, out, runs)
    config, folder = ranks.from_first(chosen)
    if ranks.size > 1 and not config.architecture.trained_by_gradient:
        raise GenrekitError(f"{config.arch} is fitted by one process: train it without torchrun")
    return config, folder


def _has_diverged(run: TrainRun, fitted: FitResult) -> bool:
    """Whether even the best epoch of a network has a loss far above that of a uniform guess."""
    return run.is_network and fitted.predictions.loss > DIVERGED * _loss_of_a_guess(run)


def _loss_of_a_guess(run: TrainRun) -> float:
    """The cross-entropy in nats if all genres are equally probable."""
    return math.log(len(run.cache.genres))


def _values(
    config: TrainConfig | Mapping[str, Any] | None, options: TrainOptions, recipe: str | None
) -> dict[str, Any]:
    """Combine the ways to give a configuration.

    Errors: UsageError for an unknown recipe, and for a `TrainConfig` with a recipe or keyword arguments, because a
    `TrainConfig` has a value for every field; those of `with_network_settings`.
    """
    if not isinstance(config, TrainConfig):
        return with_recipe(recipe, {**(config or {}), **options})
    if recipe is not None:
        read_recipe(recipe)  # an unknown name is a clearer error
        raise UsageError(f"a TrainConfig has all values: leave out recipe, got {recipe}")
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
        validation=EpochFigures(best.loss, best.fragment_accuracy, best.track_accuracy),
        kept=kept,
        last=EpochFigures(last.validation_loss, last.validation_fragment_accuracy, last.validation_track_accuracy),
        training=fitted.training,
        dead_channels=fitted.dead_channels,
        monitor=run.config.monitor if run.is_network else None,
        notes=run.split.notes,
        diverged=_has_diverged(run, fitted),
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
