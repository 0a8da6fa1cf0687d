"""Augmentation of batches while training: masks, mixup, gain and noise, drawn from seed and epoch number alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from genrekit.config import TrainConfig

_STREAM = 1
"""Beside the seed and the epoch's number: these numbers are others than those of order and variants."""


@dataclass(frozen=True)
class MixedBatch:
    """Inputs, the genre of each fragment's larger part and, where two were mixed, that of the smaller one.

    Shapes: inputs as they were, targets [B], others [B]; `share` of each input, at least a half, is of `targets`.
    """

    inputs: Tensor
    targets: Tensor
    others: Tensor | None = None
    share: float = 1.0

    def loss(self, of: Callable[[Tensor], Tensor]) -> Tensor:
        """A loss `of` genre indices, in the shares of the mixed fragments."""
        if self.others is None:
            return of(self.targets)
        return self.share * of(self.targets) + (1 - self.share) * of(self.others)


class BatchAugmentation:
    """What a configuration asks for, on one epoch's batches in their order.

    `neutral` [bands, 1] is what a mask leaves of each band: the mean that the model's first layer makes 0, so that a
    masked area says nothing.
    """

    def __init__(self, config: TrainConfig, neutral: Tensor, epoch: int) -> None:
        self._config, self._neutral = config, neutral
        self._random = np.random.default_rng((config.seed, epoch, _STREAM))

    def __call__(self, inputs: Tensor, targets: Tensor) -> MixedBatch:
        """Augment a batch; masks come last, so that nothing is mixed into them and nothing sounds in them."""
        if self._config.gain_db:
            inputs = self._amplified(inputs)
        batch = self._mixed(inputs, targets) if self._config.mixup else MixedBatch(inputs, targets)
        if self._config.noise_std:
            batch = replace(batch, inputs=self._noisy(batch.inputs))
        if not (self._config.spec_freq_mask or self._config.spec_time_mask):
            return batch
        return replace(batch, inputs=self._masked(batch.inputs))

    def _amplified(self, inputs: Tensor) -> Tensor:
        """Multiply each waveform by a gain; peaks may pass 1, because clipping would distort them."""
        gain_db = self._random.uniform(-self._config.gain_db, self._config.gain_db, len(inputs))
        factor = torch.from_numpy((10 ** (gain_db / 20)).astype(np.float32)).to(inputs.device)
        return inputs * factor[:, None]

    def _noisy(self, inputs: Tensor) -> Tensor:
        """Add white Gaussian noise; values may leave their range, because clipping would shift their mean."""
        noise = self._random.standard_normal(tuple(inputs.shape), dtype=np.float32)
        return inputs + torch.from_numpy(noise).mul_(self._config.noise_std).to(inputs.device)

    def _mixed(self, inputs: Tensor, targets: Tensor) -> MixedBatch:
        """Mix each fragment with another of the batch (Zhang et al. 2018), one share for all.

        Beta(alpha, alpha) is symmetric: a share below a half is one above it with the fragments' parts exchanged.
        """
        share = float(self._random.beta(self._config.mixup, self._config.mixup))
        order = torch.from_numpy(self._random.permutation(len(inputs))).to(inputs.device)
        mixed = share * inputs + (1 - share) * inputs[order]
        if share < 0.5:
            return MixedBatch(mixed, targets[order], targets, 1 - share)
        return MixedBatch(mixed, targets, targets[order], share)

    def _masked(self, inputs: Tensor) -> Tensor:
        """Hide some neighbouring bands and some neighbouring frames of each fragment (Park et al. 2019)."""
        bands = self._runs(len(inputs), inputs.shape[1], self._config.spec_freq_mask)
        frames = self._runs(len(inputs), inputs.shape[2], self._config.spec_time_mask)
        hidden = bands.to(inputs.device)[:, :, None] | frames.to(inputs.device)[:, None, :]
        return torch.where(hidden, self._neutral, inputs)

    def _runs(self, count: int, length: int, widest: int) -> Tensor:
        """Draw a run of 0 to `widest` places for each of `count` rows, with every start alike; bool [count, length]."""
        width = self._random.integers(widest + 1, size=(count, 1))
        start = self._random.integers(length - width + 1)
        places = np.arange(length)
        return torch.from_numpy((places >= start) & (places < start + width))
