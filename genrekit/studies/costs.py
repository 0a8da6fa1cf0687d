"""Estimate the time, memory and disk space of runs before they start."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import lru_cache

import torch

from genrekit.config import PrepareConfig, TrainConfig, fields_with
from genrekit.data.cache.reader import Cache
from genrekit.data.loader import subset_source
from genrekit.data.splits.folds import TrainedSplits
from genrekit.data.splits.split import Split
from genrekit.errors import GenrekitError
from genrekit.io.files import size_text
from genrekit.studies.plan import Experiment, distinct
from genrekit.training.devices import choose_device
from genrekit.training.footprint import Footprint, free_memory, measure, model_to_measure
from genrekit.training.runtime_estimate import Pace
from genrekit.workflows.reporter import Reporter
from genrekit.workflows.runs import HISTORY, read_history

_CHECKPOINTS = 2
"""A run keeps its last checkpoint and the one before it."""

_WITHOUT_COST = {
    name: TrainConfig.model_fields[name].get_default(call_default_factory=True)
    for name in fields_with(TrainConfig, lambda option: not option.affects_cost)
}
"""Defaults of the fields that change neither the time nor the memory of a training step."""


def warn_of_size(experiments: Sequence[Experiment], cache: Cache, workers: int | None, reporter: Reporter) -> None:
    """Warn if the missing runs need more memory than is free; the need is an estimate. See `shortages`.

    Errors: GenrekitError if they need more disk space than is free.
    """
    memory, disk = shortages(distinct([item for item in experiments if item.missing]), cache, workers)
    if memory:
        reporter.warning(memory)
    if disk:
        raise GenrekitError(disk)


def shortages(missing: Sequence[Experiment], cache: Cache, workers: int | None) -> tuple[str, str]:
    """Return a message about missing memory and one about missing disk space; "" if there is enough.

    `workers` is the number of runs at a time on this machine; None if they run on other hosts, whose memory and devices
    are not known.
    """
    networks = [item for item in missing if item.config.architecture.trained_by_gradient]
    if not networks:
        return "", ""
    configs = [
        item.config if workers is not None else item.config.model_copy(update={"device": "cpu"}) for item in networks
    ]
    sizes = [footprint(config, cache.config, len(cache.genres)) for config in configs]
    largest = sorted((size.memory for size in sizes), reverse=True)[:workers]
    free, memory = free_memory(choose_device(configs[0].device)), ""
    if workers is not None and free is not None and sum(largest) > free:
        runs = "a run needs" if len(largest) == 1 else f"{len(largest)} runs at once need"
        remedy = "leave out the largest configurations" if largest[0] > free else "use fewer workers"
        memory = f"{runs} about {size_text(sum(largest))} of memory, {size_text(free)} are free; {remedy}"
    needed, run = sum(map(disk_space, sizes)), networks[0].run
    folder = next(path for path in (run, *run.parents) if path.exists())
    room, disk = shutil.disk_usage(folder).free, ""
    if needed > room:
        disk = (
            f"the missing runs need {size_text(needed)} of disk space, {size_text(room)} are free in {folder}; make "
            "space, or use fewer seeds"
        )
    return memory, disk


def run_seconds(
    config: TrainConfig, experiments: Sequence[Experiment], splits: TrainedSplits, pace: Pace
) -> float | None:
    """Estimate the seconds of a run: the mean over finished ones of its configuration, else by the pace of small steps.

    None for a classical model without a finished run.
    """
    runs = [item.run for item in experiments if item.finished]
    finished = [sum(epoch.seconds for epoch in read_history(run / HISTORY)) for run in runs]
    if finished:
        return sum(finished) / len(finished)
    if not config.architecture.trained_by_gradient:
        return None
    counts = _fragments(splits.cache, splits.of(config), config)
    steps = -(-counts["train"] // config.batch_size)
    step = _step_seconds(config, splits.cache.config, len(splits.cache.genres), pace)
    forward = step / config.batch_size / 3  # a step costs about three forward passes
    return config.epochs * (steps * step + counts["validation"] * forward)


def _step_seconds(config: TrainConfig, prepared: PrepareConfig, n_genres: int, pace: Pace) -> float:
    model = _meta_model(_measured(config), prepared, n_genres)
    return pace.step_seconds(model, prepared.front_end.shape(config.input), config.batch_size)


def _fragments(cache: Cache, split: Split, config: TrainConfig) -> dict[str, int]:
    subsets = ("train", "validation")
    return {subset: len(subset_source(cache, config.input, split, subset, config.fragments).rows) for subset in subsets}


def footprint(config: TrainConfig, prepared: PrepareConfig, n_genres: int) -> Footprint:
    """Estimate the memory and the file sizes of a run."""
    return _measured_footprint(_measured(config), prepared, n_genres, choose_device(config.device))


@lru_cache(maxsize=1_000)
def _measured_footprint(config: TrainConfig, prepared: PrepareConfig, n_genres: int, device: torch.device) -> Footprint:
    model = _meta_model(config, prepared, n_genres)
    return measure(model, config, prepared.front_end.shape(config.input), device)


def _measured(config: TrainConfig) -> TrainConfig:
    """Reset the fields that do not change the cost of a step, so that many runs share one cached measurement."""
    return config.model_copy(update=_WITHOUT_COST)


@lru_cache(maxsize=1_000)
def _meta_model(config: TrainConfig, prepared: PrepareConfig, n_genres: int) -> torch.nn.Module:
    return model_to_measure(config, prepared.front_end, n_genres)


def disk_space(size: Footprint) -> int:
    """Return the bytes of a run on disk: checkpoints, the bundle, and its copy among the best models."""
    return _CHECKPOINTS * size.checkpoint + 2 * size.weights
