"""From the cache to batches: fragments are gathered straight from the mapped file, one batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from genrekit.audio.transform import FULL_SCALE
from genrekit.config import Input
from genrekit.dataset.cache import Cache

_EVALUATION_BATCH = 64
_STATISTICS_BLOCK = 256


class FragmentSource:
    """The fragments of some tracks, read from the cache in batches and in the cache's order.

    Errors: IncompatibleCacheError where the cache does not hold the input that is asked for.
    """

    def __init__(self, cache: Cache, kind: Input, track_ids: Sequence[str]) -> None:
        self.cache, self.kind = cache, kind
        self._values = cache.tensor(kind)
        self.rows = cache.original_rows(track_ids)

    @property
    def track(self) -> npt.NDArray[np.int32]:
        """Index into the cache's tracks, for each fragment."""
        return self.cache.track[self.rows]

    def inputs(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """Gather rows as a model reads them: float32 [B, n_mels, n_frames] in [0, 1] or [B, n_samples] in [-1, 1]."""
        values = torch.from_numpy(self._values[rows]).to(torch.float32)
        return values if self.kind == "mel" else values.div_(FULL_SCALE)

    def targets(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """Genre index of each row, int64 [B]."""
        return torch.from_numpy(self.cache.genre[rows].astype(np.int64))

    def batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield inputs, genre indices [B] and track indices [B] of all original fragments."""
        for start in range(0, len(self.rows), _EVALUATION_BATCH):
            rows = self.rows[start : start + _EVALUATION_BATCH]
            yield self.inputs(rows), self.targets(rows), torch.from_numpy(self.cache.track[rows].astype(np.int64))


class TrainingBatches:
    """What one training reads: shuffled fragments of the training part, and the validation part in order.

    An epoch visits each training fragment once; each visit draws one of its variants. Order and variants depend on
    the seed and the epoch's number alone. A last batch of one fragment is joined to the one before it, because batch
    normalization has no variance of one.
    """

    def __init__(self, training: FragmentSource, validation: FragmentSource, *, batch_size: int, seed: int) -> None:
        self.genres = training.cache.genres
        self._training, self._validation = training, validation
        self._batch_size, self._seed = batch_size, seed

    @property
    def n_training(self) -> int:
        """Training fragments, originals only."""
        return len(self._training.rows)

    @property
    def n_validation(self) -> int:
        """Validation fragments."""
        return len(self._validation.rows)

    @cached_property
    def _edges(self) -> list[int]:
        edges = [*range(0, self.n_training, self._batch_size), self.n_training]
        if len(edges) > 2 and edges[-1] - edges[-2] == 1:
            del edges[-2]
        return edges

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return len(self._edges) - 1

    def train_batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and genre indices of the epoch's batches."""
        generator = np.random.default_rng((self._seed, epoch))
        rows = generator.permutation(self._training.rows)
        rows += generator.integers(len(self._training.cache.variants), size=len(rows))
        for start, end in zip(self._edges[:-1], self._edges[1:], strict=True):
            batch = rows[start:end]
            yield self._training.inputs(batch), self._training.targets(batch)

    def validation_batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield inputs, genre indices and track indices of the validation part's original fragments."""
        return self._validation.batches()

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the training part's originals.

        Shapes: [n_mels, 1] each, per mel band, or [1] each for waveforms.
        """
        source = self._training
        axes = (0, 2) if source.kind == "mel" else (0, 1)
        total = square = np.zeros(1)
        count = 0
        for start in range(0, len(source.rows), _STATISTICS_BLOCK):
            values = source.inputs(source.rows[start : start + _STATISTICS_BLOCK]).numpy()
            total = total + values.sum(axes, dtype=np.float64)
            square = square + np.square(values).sum(axes, dtype=np.float64)
            count += values.shape[0] * values.shape[-1]
        mean = total / count
        deviation = np.sqrt(np.maximum(square / count - mean**2, 0))
        shape = (-1, 1) if source.kind == "mel" else (1,)
        return _tensor(mean, shape), _tensor(deviation, shape)


def _tensor(values: npt.NDArray[np.float64], shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(values.reshape(shape).astype(np.float32))
