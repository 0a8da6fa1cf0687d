"""Fit the model of a training run, with its history and its tracker kept up to date after each epoch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from genrekit._types import FloatArray
from genrekit.data.cache.reader import Cache
from genrekit.data.descriptor_cache import original_statistics
from genrekit.data.feature_cache import original_features
from genrekit.data.loader import FragmentSource, subset_source
from genrekit.metrics.epochs import Epoch
from genrekit.models.classical import Classifier
from genrekit.training.classical import Subset, fit_classical
from genrekit.training.loop import FitResult, fit
from genrekit.training.temperature import best_temperature, calibrated
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
        if isinstance(run.model, Classifier):
            return _fit_classical(run, run.model, tracker)
        return _fit_network(run, tracker, resume=resume)
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

    first = run.ranks.is_first
    with run.reporter.finishing_steps():
        fitted = fit(
            run.model,
            run.data,
            run.config,
            device=run.device,
            on_epoch=on_epoch if first else None,
            on_step=run.reporter.step if first else None,
            on_resume=add_to_history if first else None,
            saving=run.reporter.saving,
            checkpoint=run.checkpoint,
            resume=resume and run.checkpoint.exists(),
            ranks=run.ranks,
        )
    if not run.config.calibrate:
        return fitted
    temperature = best_temperature(fitted.predictions)
    return replace(fitted, predictions=calibrated(fitted.predictions, temperature), temperature=temperature)


def _fit_classical(run: TrainRun, model: Classifier, tracker: Tracker) -> FitResult:
    on_progress = run.reporter.statistics_done
    if model.extractor is None:
        features = original_statistics(run.cache, on_progress)
    else:
        features = original_features(run.cache, model.extractor, on_progress)
    training, validation = (_subset(run, name, features) for name in ("train", "validation"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)  # the class of scikit-learn's warnings
        fitted = fit_classical(model, training, validation, run.config, run.cache.genres)
    for text in dict.fromkeys(str(item.message).strip().partition("\n")[0] for item in caught):
        run.reporter.note(f"scikit-learn: {text}")
    write_history(run.folder / HISTORY, fitted.history)
    for epoch in fitted.history:
        tracker.log_epoch(epoch)
        run.reporter.epoch(epoch, best=epoch.epoch == fitted.best_epoch)
    return fitted


def _subset(run: TrainRun, name: str, features: FloatArray) -> Subset:
    """Select the training or the validation set from the features of all original fragments."""
    source = subset_source(run.cache, run.config.input, run.split, name, run.config.fragments)
    return fragment_subset(run.cache, source, features)


def fragment_subset(cache: Cache, source: FragmentSource, features: FloatArray) -> Subset:
    """Select the fragments of a source from the features of all original fragments of a cache."""
    indices = np.searchsorted(np.flatnonzero(cache.variant == 0), source.rows)
    return Subset(features[indices], source.targets(source.rows).numpy(), source.tracks(source.rows).numpy())
