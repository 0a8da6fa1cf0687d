"""Batches from the cache: each batch is read from the mapped file when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from genrekit.audio.features import power_stft
from genrekit.audio.transform import FULL_SCALE
from genrekit.config import STFT_N_FFT, Input
from genrekit.data.cache.reader import Cache
from genrekit.data.splits.assignment import fragment_validates
from genrekit.data.splits.split import SET_NAMES, Split
from genrekit.errors import IncompatibleCacheError, SplitError

_EVALUATION_BATCH = 16
"""Fragments per evaluation batch. Larger batches are not faster, and would need more memory than training."""

_STATISTICS_BLOCK = 64

Select = Callable[[int], npt.NDArray[np.int64]]
"""Called with the number of fragments of each batch; returns the positions of those to read, in this order."""

_STARTS = 2
"""Third part of the seed of random starts, which makes them independent of order, variants and augmentation."""


def as_read(kind: Input, stored: npt.NDArray[Any]) -> Tensor:
    """Convert stored rows to the input of a model. Waveforms, int16, are the rows for both waveform and stft.

    Shapes: float32 [B, n_mels, n_frames] in [0, 1], [B, n_samples] in [-1, 1], or [B, bands, frames] from 0.
    """
    values = _as_float(kind, torch.from_numpy(stored))
    return torch.from_numpy(power_stft(values.numpy())) if kind == "stft" else values


def _as_float(kind: Input, stored: Tensor) -> Tensor:
    values = stored.to(torch.float32)
    return values if kind == "mel" else values.div_(FULL_SCALE)


class FragmentSource:
    """The fragments of some tracks in the order of the cache, and their inputs in batches.

    Errors: IncompatibleCacheError if the cache does not have the input, or the waveforms from which it is computed.
    """

    def __init__(self, cache: Cache, kind: Input, track_ids: Sequence[str]) -> None:
        self.cache, self.kind = cache, kind
        self._values = cache.tensor("waveform" if kind == "stft" else kind)
        half, length = STFT_N_FFT // 2, cache.config.front_end.n_samples
        if kind == "stft" and length <= half:
            raise IncompatibleCacheError(
                f"{cache.path} has fragments of {length} samples, but stft needs more than {half}: prepare longer ones"
            )
        self.rows = cache.original_rows(track_ids)
        self._altered: npt.NDArray[np.int16] | None = None
        self._resident: Tensor | None = None

    @property
    def is_plain(self) -> bool:
        """Whether inputs are stored, and not computed from stored values."""
        return self.kind != "stft" and self._altered is None

    @property
    def resident_bytes(self) -> int:
        """Bytes of the fragments and their variants if they are copied to a device."""
        return len(self.rows) * len(self.cache.variants) * self._values[0].nbytes

    def live_on(self, device: torch.device) -> None:
        """Copy the fragments and their variants to a device, on which batches are then gathered.

        The source must be plain.
        """
        rows = (self.rows[:, None] + np.arange(len(self.cache.variants))).ravel()
        dtype = torch.from_numpy(self._values[:1].copy()).dtype
        resident = torch.empty((len(rows), *self._values.shape[1:]), dtype=dtype, device=device)
        for start in range(0, len(rows), _EVALUATION_BATCH):
            end = start + _EVALUATION_BATCH
            resident[start:end] = torch.from_numpy(self._values[rows[start:end]]).to(device)
        self._resident = resident

    def alter(self, waveforms: npt.NDArray[np.int16]) -> None:
        """Train on these waveforms, int16 [N, n_samples], instead of the N fragments and their variants."""
        self._altered = waveforms

    @property
    def track(self) -> npt.NDArray[np.int32]:
        """Index into the cache's tracks, for each fragment."""
        return self.cache.track[self.rows]

    def inputs(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """Return the inputs of rows; see `as_read` for their shapes."""
        if self._resident is None:
            return as_read(self.kind, self._values[rows])
        fragment = np.searchsorted(self.rows, rows, side="right") - 1
        index = torch.from_numpy(fragment * len(self.cache.variants) + rows - self.rows[fragment])
        return _as_float(self.kind, self._resident[index.to(self._resident.device)])

    def trained(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """Return the inputs of rows for training: as stored, or as altered."""
        if self._altered is None:
            return self.inputs(rows)
        return as_read(self.kind, self._altered[np.searchsorted(self.rows, rows, side="right") - 1])

    def windows(self, rows: npt.NDArray[np.int64], offsets: npt.NDArray[np.int64]) -> Tensor:
        """Return waveforms that start `offsets` samples after the start of rows, and end in the next fragments.

        Shape: float32 [B, n_samples]. An offset of 0 reads only its row.
        """
        length, after = self._values.shape[1], rows + len(self.cache.variants)
        values = np.empty((len(rows), length), self._values.dtype)
        for value, row, following, offset in zip(values, rows, after, offsets, strict=True):
            value[: length - offset] = self._values[row, offset:]
            if offset:
                value[length - offset :] = self._values[following, :offset]
        return as_read("waveform", values)

    @cached_property
    def continued(self) -> npt.NDArray[np.bool_]:
        """For each fragment, whether the next one is in the same track and starts where it ends."""
        rate, length = self.cache.config.front_end.sample_rate, self.cache.config.front_end.n_samples
        start = np.rint(self.cache.start_s[self.rows] * rate).astype(np.int64)
        return np.append((np.diff(self.track) == 0) & (np.diff(start) == length), False)

    def targets(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """Genre index of each row, int64 [B]."""
        return torch.from_numpy(self.cache.genre[rows].astype(np.int64))

    def tracks(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """Track index of each row, int64 [B]."""
        return torch.from_numpy(self.cache.track[rows].astype(np.int64))

    def batches(self, first: int = 0, step: int = 1) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield inputs, genre indices [B] and track indices [B] of every `step`-th batch of original fragments."""
        for start in range(first * _EVALUATION_BATCH, len(self.rows), step * _EVALUATION_BATCH):
            rows = self.rows[start : start + _EVALUATION_BATCH]
            yield self.inputs(rows), self.targets(rows), self.tracks(rows)


def subset_source(cache: Cache, kind: Input, split: Split, subset: str, fragments: str = "all") -> FragmentSource:
    """Return the fragments of a split's subset: `all`, or the `first` of each track.

    Errors: SplitError if a fragment split has no fragment in the subset.
    """
    source = FragmentSource(cache, kind, split.ids(subset))
    if fragments == "first":
        source.rows = source.rows[np.append(True, np.diff(source.track) != 0)]
    if split.policy == "fragment":
        ids = [track.id for track in cache.tracks]
        validates = [
            fragment_validates(split, ids[track], start)
            for track, start in zip(source.track.tolist(), cache.start_s[source.rows].tolist(), strict=True)
        ]
        source.rows = source.rows[np.array(validates, dtype=bool) == (subset == "validation")]
        if not len(source.rows):
            raise SplitError(f"the {SET_NAMES[subset]} of the fragment split is empty: choose fewer --folds, or none")
    return source


class TrainingBatches:
    """The batches of a training run: shuffled fragments of the training set, and the validation set in order.

    An epoch uses each training fragment once, in a random variant. With `random_start`, originals of waveforms start at
    a random sample of the fragment and continue in the next fragment; the last fragment of a track starts earlier
    instead. Order, variants and starts depend only on the seed and the number of the epoch. If the last batch would
    have one fragment, it is joined to the batch before, because batch normalization needs at least two.
    """

    def __init__(
        self,
        training: FragmentSource,
        validation: FragmentSource,
        *,
        batch_size: int,
        seed: int,
        random_start: bool = False,
    ) -> None:
        self.genres = training.cache.genres
        self._training, self._validation = training, validation
        self._batch_size, self._seed, self._random_start = batch_size, seed, random_start

    def live_on(self, device: torch.device, room: float) -> bool:
        """Copy both sets to a device if they are used as stored and need at most `room` bytes; return whether."""
        sources = (self._training, self._validation)
        plain = not self._random_start and all(source.is_plain for source in sources)
        if not plain or sum(source.resident_bytes for source in sources) > room:
            return False
        for source in sources:
            source.live_on(device)
        return True

    @property
    def n_training(self) -> int:
        """Number of training fragments, without variants."""
        return len(self._training.rows)

    @property
    def n_validation(self) -> int:
        """Number of validation fragments."""
        return len(self._validation.rows)

    @cached_property
    def _edges(self) -> list[int]:
        edges = [*range(0, self.n_training, self._batch_size), self.n_training]
        if len(edges) > 2 and edges[-1] - edges[-2] == 1:
            del edges[-2]
        return edges

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch."""
        return len(self._edges) - 1

    @cached_property
    def track_ids(self) -> list[str]:
        """Ids of the cache's tracks."""
        return [track.id for track in self._training.cache.tracks]

    @property
    def genre_counts(self) -> Tensor:
        """Number of training fragments of each genre, without variants, int64 [G]."""
        return self._training.targets(self._training.rows).bincount(minlength=len(self.genres))

    @property
    def example(self) -> Tensor:
        """The inputs of the first two training fragments, or of one if there is only one."""
        return self._training.trained(self._training.rows[:2])

    def train_batches(self, epoch: int, select: Select | None = None) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield inputs, genre indices and track indices of the batches of an epoch, or of the selected fragments."""
        generator = np.random.default_rng((self._seed, epoch))
        rows = generator.permutation(self._training.rows)
        rows += generator.integers(len(self._training.cache.variants), size=len(rows))
        read = self._starts(epoch) if self._random_start else self._as_stored
        for start, end in zip(self._edges[:-1], self._edges[1:], strict=True):
            batch, chosen = rows[start:end], np.arange(end - start) if select is None else select(end - start)
            yield read(batch, chosen), self._training.targets(batch[chosen]), self._training.tracks(batch[chosen])

    def _as_stored(self, batch: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64]) -> Tensor:
        return self._training.trained(batch[chosen])

    def _starts(self, epoch: int) -> Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64]], Tensor]:
        """Return a function that reads chosen rows of a batch with the random starts of an epoch."""
        source = self._training
        generator = np.random.default_rng((self._seed, epoch, _STARTS))
        length = source.cache.config.front_end.n_samples
        forward = source.continued
        backward = np.append(False, forward[:-1]) & ~forward

        def read(batch: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64]) -> Tensor:
            shift, rows = generator.integers(length, size=len(batch))[chosen], batch[chosen]
            fragment = np.searchsorted(source.rows, rows, side="right") - 1
            original = source.rows[fragment] == rows
            back = backward[fragment] & original & (shift > 0)
            first = np.where(back, rows - len(source.cache.variants), rows)
            offset = np.where(back, length - shift, np.where(forward[fragment] & original, shift, 0))
            return source.windows(first, offset)

        return read

    def training_batches_in_order(self, first: int = 0, step: int = 1) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield inputs, genre indices and track indices of every `step`-th batch of the training set's originals."""
        return self._training.batches(first, step)

    def validation_batches(self, first: int = 0, step: int = 1) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield inputs, genre indices and track indices of every `step`-th batch of the validation set's originals."""
        return self._validation.batches(first, step)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the training set's originals.

        Shapes: [bands, 1] each for mel and stft, [1] each for waveforms.
        """
        source = self._training
        axes = (0, 1) if source.kind == "waveform" else (0, 2)
        total = square = np.zeros(1)
        count = 0
        for start in range(0, len(source.rows), _STATISTICS_BLOCK):
            values = source.trained(source.rows[start : start + _STATISTICS_BLOCK]).numpy()
            total = total + values.sum(axes, dtype=np.float64)
            square = square + np.square(values).sum(axes, dtype=np.float64)
            count += values.shape[0] * values.shape[-1]
        mean = total / count
        deviation = np.sqrt(np.maximum(square / count - mean**2, 0))
        shape = (1,) if source.kind == "waveform" else (-1, 1)
        return _tensor(mean, shape), _tensor(deviation, shape)


def _tensor(values: npt.NDArray[np.float64], shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(values.reshape(shape).astype(np.float32))
