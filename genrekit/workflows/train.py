"""train: one model is fitted to the training part, and its best epoch on the validation part becomes a bundle."""

from __future__ import annotations

import csv
import io
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genrekit import __version__
from genrekit.config import TrainConfig
from genrekit.dataset.batches import FragmentSource, TrainingBatches
from genrekit.dataset.cache import Cache, open_cache
from genrekit.dataset.splits import Split, open_split
from genrekit.errors import GenrekitError, UsageError
from genrekit.evaluation.plots import confusion_figure, learning_curves, save_png
from genrekit.evaluation.statistics import track_intervals
from genrekit.files import read_json, reason, write_json, write_text
from genrekit.models import build_model, count_parameters
from genrekit.models.best import keep_best
from genrekit.models.bundle import BundleMetadata, save_bundle
from genrekit.records import Epoch, TrainResult, ValidationFigures, to_json
from genrekit.training.loop import FitResult, fit
from genrekit.training.tracking import open_tracker
from genrekit.workflows.reporter import Reporter, TrainPlan

RUN_FORMAT_VERSION = 1

_QUIET = Reporter()


@dataclass(frozen=True)
class Tracking:
    """How a training is tracked; the key is kept out of every text."""

    mode: str = "off"
    project: str = "genrekit"
    key: str | None = field(default=None, repr=False)


def train(
    cache_path: Path,
    values: Mapping[str, Any],
    *,
    out: Path | None = None,
    runs: Path = Path("runs"),
    resume: bool = False,
    best_models: Path | None = None,
    tracking: Tracking = Tracking(),
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
    config, run = _resumed(out, values) if resume else _new(values, out, runs)
    cache = open_cache(cache_path)
    split = open_split(cache, config.split, config.split_seed, strict=strict)
    for note in split.notes:
        reporter.note(note)
    device = choose_device(config.device)
    training, validation = split.ids("train"), split.ids("validation")
    data = TrainingBatches(
        FragmentSource(cache, config.input, training),
        FragmentSource(cache, config.input, validation),
        batch_size=config.batch_size,
        seed=config.seed,
    )
    model = build_model(config, cache.config.front_end, len(cache.genres))
    model.standardize.set_statistics(*data.statistics())
    if not resume:
        _create(run, config)
    tracker = open_tracker(
        tracking.mode,
        project=tracking.project,
        run_name=run.name,
        config=config.model_dump(),
        folder=run,
        key=tracking.key,
        on_warning=reporter.warning,
    )
    reporter.training(_plan(run, config, model, data, split, str(device), tracker.mode))
    try:
        fitted = fit(
            model,
            data,
            config,
            device=device,
            on_epoch=on_epoch,
            on_step=reporter.step,
            checkpoint=run / "last.safetensors",
            resume=resume,
        )
    finally:
        reporter.finished()
