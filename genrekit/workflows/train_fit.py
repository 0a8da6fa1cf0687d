"""Fit the model of a training run, with its history and its tracker kept up to date after each epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genrekit._types import FloatArray
from genrekit.data.descriptor_cache import original_statistics
from genrekit.data.loader import subset_source
from genrekit.metrics.epochs import Epoch
from genrekit.models.classical import Classifier
from genrekit.training.classical import Subset, fit_classical
from genrekit.training.loop import FitResult, fit
from genrekit.training.tracking import Tracker, Tracking, open_tracker
from genrekit.workflows.runs import HISTORY, write_history
from genrekit.workflows.train_run import TrainRun


def start_tracking(run: TrainRun, tracking: Tracking) -> Tracker:
    """Open the tracker of a run.

    Errors: GenrekitError for mode online if no key is found.
    """
    return open_tracker(
        tracking,
        run_name=run.folder.name,
        config=run.config.model_dump(mode="json"),
        folder=run.folder,
        on_warning=run.reporter.warning,
    )


def fit_model(run: TrainRun, tracker: Tracker, *, resume: bool) -> FitResult:
    """Train a network or fit a classical model. If this is stopped or fails, the tracked run ends as failed.

    Errors: GenrekitError if the loss is not finite.
    """
    try:
        return _fit_network(run, tracker, resume=resume) if run.is_network else _fit_classical(run, tracker)
    except BaseException:
        tracker.abandon()
        raise
    finally:
        run.reporter.finished()


def _fit_network(run: TrainRun, tracker: Tracker, *, resume: bool) -> FitResult:
    history: list[Epoch] = []

    def add_to_history(epochs: Sequence[Epoch]) -> None:
        history.extend(epochs)
        write_history(run.folder / HISTORY, history)

    def on_epoch(epoch: Epoch, best: bool) -> None:
        add_to_history([epoch])
        tracker.log_epoch(epoch)
        run.reporter.epoch(epoch, best=best and run.config.monitor != "last")

    with run.reporter.finishing_steps():
        return fit(
            run.model,
            run.data,
            run.config,
            device=run.device,
            on_epoch=on_epoch,
            on_step=run.reporter.step,
            on_resume=add_to_history,
            saving=run.reporter.saving,
            checkpoint=run.checkpoint,
            resume=resume and run.checkpoint.exists(),
        )


def _fit_classical(run: TrainRun, tracker: Tracker) -> FitResult:
    assert isinstance(run.model, Classifier)
    statistics = original_statistics(run.cache, run.reporter.statistics_done)
    training, validation = (_subset(run, name, statistics) for name in ("train", "validation"))
    fitted = fit_classical(run.model, training, validation, run.config, run.cache.genres)
    write_history(run.folder / HISTORY, fitted.history)
    for epoch in fitted.history:
        tracker.log_epoch(epoch)
        run.reporter.epoch(epoch, best=epoch.epoch == fitted.best_epoch)
    return fitted


def _subset(run: TrainRun, name: str, statistics: FloatArray) -> Subset:
    """Select the training or the validation set from the statistics of all original fragments."""
    source = subset_source(run.cache, "mel", run.split, name, run.config.fragments)
    indices = np.searchsorted(np.flatnonzero(run.cache.variant == 0), source.rows)
    return Subset(statistics[indices], source.targets(source.rows).numpy(), source.tracks(source.rows).numpy())
