"""Set up a training run: read the split, make the batches, select the device and build the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from genrekit.config import FeatureConfig, TrainConfig
from genrekit.config.features import DESCRIPTORS, features_label
from genrekit.data.cache.reader import Cache
from genrekit.data.loader import FragmentSource, TrainingBatches, subset_source
from genrekit.data.perturbed_cache import altered_folder, altered_fragments
from genrekit.data.splits.folds import trained_split
from genrekit.data.splits.split import Split
from genrekit.errors import GenrekitError, UsageError
from genrekit.io.files import size_text
from genrekit.models import build_model
from genrekit.models.cel import most_blocks
from genrekit.models.extractors import extractor_of
from genrekit.models.feature_extractor import FeatureExtractor
from genrekit.models.musicnn import MusicnnExtractor
from genrekit.models.network_file import NetworkFile
from genrekit.models.standardize import standardize_layers
from genrekit.models.torchaudio_import import load_torchaudio
from genrekit.training.checkpoint import CHECKPOINT
from genrekit.training.devices import choose_device, choose_precision
from genrekit.training.footprint import Footprint, free_memory, measure, measure_weights
from genrekit.training.ranks import ALONE, Ranks
from genrekit.training.tracking import Tracker
from genrekit.workflows.reporter import Reporter, TrainPlan, TrainSize

LARGEST_CARRIED = 64_000_000
"""Most bytes of a network for features that a bundle carries."""


@dataclass(frozen=True)
class TrainRun:
    """Everything that the steps of a training run need. `footprint` is the estimated memory.

    `recipe` is the name of the recipe that the configuration started from, `tracking` the mode of its tracker. `ranks`
    are the processes that train it, of which only the first writes files.
    """

    folder: Path
    config: TrainConfig
    cache: Cache
    split: Split
    data: TrainingBatches
    device: torch.device
    model: nn.Module
    footprint: Footprint
    reporter: Reporter
    recipe: str | None = None
    tracking: str | None = None
    ranks: Ranks = ALONE

    @property
    def is_network(self) -> bool:
        """Whether the model is trained in epochs. A classical model is fitted once."""
        return self.config.architecture.trained_by_gradient

    @property
    def split_name(self) -> str:
        """The name of the split in results, with the fold that validates."""
        return self.split.name + self.config.validated_on

    @property
    def bundle(self) -> Path:
        """Where the model of the best epoch is saved."""
        return self.folder / "best"

    @property
    def checkpoint(self) -> Path:
        """Where the state is saved after each epoch."""
        return self.folder / CHECKPOINT


def with_fitting_channels(
    values: Mapping[str, Any], cache: Cache, config: TrainConfig, reporter: Reporter
) -> TrainConfig:
    """Leave out default blocks that the fragments of a cache have no room for, unless `values` sets the channels."""
    if not config.architecture.halving or values.get("channels") is not None:
        return config
    shape, default = cache.config.front_end.shape(config.input), config.block_channels
    most = most_blocks(shape, config.downsample or (1, 1))
    if not 0 < most < len(default):
        return config
    used = ",".join(map(str, default[:most]))
    reporter.note(
        f"{config.arch} has the channels {used} here: each block halves a fragment, so only {most} of the default "
        f"{len(default)} blocks fit"
    )
    return config.model_copy(update={"channels": default[:most]})


def set_up_run(cache: Cache, config: TrainConfig, folder: Path, *, strict: bool, reporter: Reporter) -> TrainRun:
    """Set up a run without writing to its folder.

    Errors: UsageError if a mask is too wide, GenrekitError if the cache and the configuration do not fit together.
    """
    _check_masks(config, cache.config.front_end)
    split = trained_split(cache, config, strict=strict)
    data = TrainingBatches(
        _training_source(cache, config, split, reporter),
        subset_source(cache, config.input, split, "validation", config.fragments),
        batch_size=config.batch_size,
        seed=config.seed,
        random_start=config.random_start,
    )
    device = choose_device(config.device if config.architecture.trained_by_gradient else "cpu")
    extractor = _extractor(cache, config)
    model, footprint = _build_and_measure(cache, config, extractor, device, reporter)
    if config.standardize and (layers := standardize_layers(model)):
        mean, deviation = data.statistics()
        for layer in layers:
            layer.set_statistics(mean, deviation)
    if device.type == "cuda":
        data.live_on(device, _room_for_data(device, footprint))
    for note in split.notes:
        reporter.note(note)
    return TrainRun(folder, config, cache, split, data, device, model, footprint, reporter)


def training_plan(run: TrainRun, tracker: Tracker) -> TrainPlan:
    """Describe what is about to be trained."""
    return TrainPlan(
        run=str(run.folder),
        arch=run.config.arch,
        input=run.config.input if run.config.features == DESCRIPTORS else features_label(run.config.features),
        parameters=run.footprint.parameters,
        parameter_bytes=run.footprint.gradients,
        size=TrainSize(run.footprint.checkpoint, run.footprint.memory) if run.is_network else None,
        epochs=run.config.epochs,
        patience=run.config.patience,
        device=run.device.type,
        precision=choose_precision(run.config.precision, run.device),
        split=run.split_name,
        training_tracks=len(run.split.ids("train")),
        training_fragments=run.data.n_training,
        validation_tracks=len(run.split.ids("validation")),
        validation_fragments=run.data.n_validation,
        tracking=tracker.mode,
        tracking_reason=tracker.reason,
    )


def _check_masks(config: TrainConfig, front_end: FeatureConfig) -> None:
    """Refuse a mask that can hide a whole spectrogram, and load torchaudio early if masks need it."""
    if config.input == "waveform":
        return
    bands, frames = front_end.shape(config.input)
    names = ("n_mels", "n_frames") if config.input == "mel" else ("the bands of stft", "the frames of stft")
    limits = {"spec_freq_mask": (names[0], bands), "spec_time_mask": (names[1], frames)}
    for field, (name, limit) in limits.items():
        if (width := getattr(config, field)) >= limit:
            raise UsageError(f"{field} must be less than {name} ({limit}), got {width}")
    if config.spec_freq_mask or config.spec_time_mask:
        load_torchaudio()  # if it fails to load, the command stops before it writes a run


def _training_source(cache: Cache, config: TrainConfig, split: Split, reporter: Reporter) -> FragmentSource:
    """The fragments of the training set, altered in tempo and pitch if the configuration says so."""
    source = subset_source(cache, config.input, split, "train", config.fragments)
    if not config.alters_fragments:
        return source

    def on_fragment(done: int, of: int) -> None:
        if done == 1:
            reporter.note(f"{of} training fragments are altered and kept in {altered_folder(cache)} for later runs")
        reporter.fragments_altered(done, of)

    source.alter(altered_fragments(cache, source.rows, config.altered_tempo, config.altered_pitch, on_fragment))
    reporter.finished()
    return source


def _extractor(cache: Cache, config: TrainConfig) -> FeatureExtractor | None:
    """Return the pretrained network that computes the features of a classical model; None if there is none.

    Errors: GenrekitError if the waveforms of the cache are not normalized, because musicnn's features depend on the
    level, or if the network cannot be used.
    """
    extractor = extractor_of(config)
    if isinstance(extractor, MusicnnExtractor) and cache.config.front_end.normalization == "none":
        raise GenrekitError(
            f"{cache.path} has normalization none, but features of musicnn depend on the level: prepare a cache with "
            "--normalization peak or rms"
        )
    if extractor is None:
        return None
    front_end = cache.config.front_end
    trial = np.random.default_rng(0).uniform(-0.5, 0.5, (1, front_end.n_samples)).astype(np.float32)
    extractor.compute(trial, front_end.sample_rate)  # if it fails, the command stops before it writes a run
    if config.carry_network and isinstance(extractor, NetworkFile) and len(extractor.content) > LARGEST_CARRIED:
        raise GenrekitError(
            f"{config.features} has {size_text(len(extractor.content))}, a bundle carries at most "
            f"{size_text(LARGEST_CARRIED)}: leave out --carry-network"
        )
    return extractor


def _build_and_measure(
    cache: Cache,
    config: TrainConfig,
    extractor: FeatureExtractor | None,
    device: torch.device,
    reporter: Reporter,
) -> tuple[nn.Module, Footprint]:
    """Build the model on a device and estimate the memory of its training; warn if it is not free.

    A model on the meta device takes no memory, so its weights are measured before the model itself is built.
    """
    features, n_genres = cache.config.front_end, len(cache.genres)
    with torch.device("meta"):
        weights = measure_weights(build_model(config, features, n_genres, extractor), config, device)
    free = free_memory(device)
    fits = _warn_if_memory_is_short(weights, config, free, reporter)
    model = build_model(config, features, n_genres, extractor).to(device)
    footprint = measure(model, config, features.shape(config.input), device)
    if fits:
        _warn_if_memory_is_short(footprint, config, free, reporter)
    return model, footprint


def _warn_if_memory_is_short(footprint: Footprint, config: TrainConfig, free: int | None, reporter: Reporter) -> bool:
    """Warn if less memory is free than training needs, and return whether it is enough."""
    if free is None or footprint.memory <= free or not config.architecture.trained_by_gradient:
        return True
    mostly_batch = footprint.batch > footprint.checkpoint
    remedy = f"a batch_size below {config.batch_size}" if mostly_batch else "fewer or narrower layers"
    reporter.warning(
        f"training needs about {size_text(footprint.memory)} of memory, only {size_text(free)} is free: choose {remedy}"
    )
    return False


def _room_for_data(device: torch.device, footprint: Footprint) -> float:
    """Bytes on a device that fragments may take: half of the memory that training leaves free."""
    return ((free_memory(device) or 0) - footprint.memory) / 2
