"""Set up a training run: read the split, make the batches, select the device and build the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from genrekit.config import FeatureConfig, TrainConfig
from genrekit.data.cache.reader import Cache
from genrekit.data.loader import FragmentSource, TrainingBatches, subset_source
from genrekit.data.perturbed_cache import altered_folder, altered_fragments
from genrekit.data.splits.folds import trained_split
from genrekit.data.splits.split import Split
from genrekit.errors import UsageError
from genrekit.io.files import size_text
from genrekit.models import build_model
from genrekit.models.standardize import find_standardize
from genrekit.models.torchaudio_import import load_torchaudio
from genrekit.training.devices import choose_device, choose_precision
from genrekit.training.footprint import Footprint, free_memory, measure, measure_weights
from genrekit.training.tracking import Tracker
from genrekit.workflows.reporter import Reporter, TrainPlan, TrainSize


@dataclass(frozen=True)
class TrainRun:
    """Everything that the steps of a training run need. `footprint` is the estimated memory."""

    folder: Path
    config: TrainConfig
    cache: Cache
    split: Split
    data: TrainingBatches
    device: torch.device
    model: nn.Module
    footprint: Footprint
    reporter: Reporter

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
        return self.folder / "last.safetensors"


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
    model, footprint = _build_and_measure(cache, config, device, reporter)
    if config.standardize and (layer := find_standardize(model)) is not None:
        layer.set_statistics(*data.statistics())
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
        input=run.config.input,
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


def _build_and_measure(
    cache: Cache, config: TrainConfig, device: torch.device, reporter: Reporter
) -> tuple[nn.Module, Footprint]:
    """Build the model on a device and estimate the memory of its training; warn if it is not free.

    A model on the meta device takes no memory, so its weights are measured before the model itself is built.
    """
    features, n_genres = cache.config.front_end, len(cache.genres)
    with torch.device("meta"):
        weights = measure_weights(build_model(config, features, n_genres), config, device)
    free = free_memory(device)
    fits = _warn_if_memory_is_short(weights, config, free, reporter)
    model = build_model(config, features, n_genres).to(device)
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
