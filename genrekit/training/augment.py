"""Augmentation of batches while training: masks, mixup, gain and noise.

The random numbers depend on the seed and the epoch alone. torchaudio draws the masks and is imported for them only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from genrekit.config import TrainConfig
from genrekit.models.torchaudio_import import load_torchaudio

_STREAM = 1
"""Part of the seed, so that these random numbers differ from those for the order of fragments and their variants."""


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
        """Set a range of bands and one of frames to the neutral value in each fragment (SpecAugment, Park et al. 2019).

        torch's CPU generator is seeded for the draw and put back; generators of other devices are not touched.
        """
        count, n_bands, n_frames = inputs.shape
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(self._random.integers(2**63)))
            bands = draw_visible(count, n_bands, self._config.spec_freq_mask)
            frames = draw_visible(count, n_frames, self._config.spec_time_mask)
        visible = bands.to(inputs.device)[:, :, None] * frames.to(inputs.device)[:, None, :]
        return torch.where(visible.bool(), inputs, self._neutral)


def draw_visible(count: int, length: int, max_width: int) -> Tensor:
    """Draw `count` rows of ones with one masked range of zeros each, 0 to `max_width` wide.

    The numbers come from torch's CPU generator. `mask_along_axis_iid` draws widths below its parameter and never masks
    the last element, so it gets a parameter and a row that are longer by one.
    Shapes: float32 [count, length].
    Errors: GenrekitError if torchaudio cannot be loaded.
    """
    ones = torch.ones(count, 1, length + 1)
    masked = load_torchaudio().functional.mask_along_axis_iid(ones, max_width + 1, mask_value=0.0, axis=2)
    return masked[:, 0, :length]
