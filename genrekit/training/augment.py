"""Augment batches in training: masks, mixup, gain and noise.

The random numbers depend only on the seed and the epoch. torchaudio draws the masks, and is imported only for them.
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
"""Added to the seed, so that these random numbers differ from those for the order and variants of fragments."""


@dataclass(frozen=True)
class MixedBatch:
    """Inputs and their genres. If fragments are mixed, each input has two genres.

    `share`, at least a half, is the share of the genre in `targets`; the rest belongs to the genre in `others`.
    Shapes: inputs [B, ...], targets [B], others [B].
    """

    inputs: Tensor
    targets: Tensor
    others: Tensor | None = None
    share: float = 1.0

    def loss(self, of: Callable[[Tensor], Tensor]) -> Tensor:
        """Compute a loss of genre indices, weighted by the shares of mixed fragments."""
        if self.others is None:
            return of(self.targets)
        return self.share * of(self.targets) + (1 - self.share) * of(self.others)


class BatchAugmentation:
    """Augments the batches of one epoch, in their order, as configured.

    `neutral` [bands, 1] is the value of each masked band. It is the mean of the training set, which the model's
    standardization turns into 0.
    """

    def __init__(self, config: TrainConfig, neutral: Tensor, epoch: int) -> None:
        self._config, self._neutral = config, neutral
        self._random = np.random.default_rng((config.seed, epoch, _STREAM))

    def __call__(self, inputs: Tensor, targets: Tensor) -> MixedBatch:
        """Augment a batch. Masks come last, so that masked areas have neither noise nor parts of other fragments."""
        if self._config.gain_db:
            inputs = self._amplified(inputs)
        batch = self._mixed(inputs, targets) if self._config.mixup else MixedBatch(inputs, targets)
        if self._config.noise_std:
            batch = replace(batch, inputs=self._noisy(batch.inputs))
        if not (self._config.spec_freq_mask or self._config.spec_time_mask):
            return batch
        return replace(batch, inputs=self._masked(batch.inputs))

    def _amplified(self, inputs: Tensor) -> Tensor:
        """Multiply each waveform by a random gain. Peaks may exceed 1, because clipping would distort them."""
        gain_db = self._random.uniform(-self._config.gain_db, self._config.gain_db, len(inputs))
        factor = torch.from_numpy((10 ** (gain_db / 20)).astype(np.float32)).to(inputs.device)
        return inputs * factor[:, None]

    def _noisy(self, inputs: Tensor) -> Tensor:
        """Add white Gaussian noise. Values may leave their range, because clipping would shift their mean."""
        noise = self._random.standard_normal(tuple(inputs.shape), dtype=np.float32)
        return inputs + torch.from_numpy(noise).mul_(self._config.noise_std).to(inputs.device)

    def _mixed(self, inputs: Tensor, targets: Tensor) -> MixedBatch:
        """Mix each fragment with another one of the batch (Zhang et al. 2018), all with the same share.

        Beta(alpha, alpha) is symmetric, so a share below a half is replaced by one above it with exchanged fragments.
        """
        share = float(self._random.beta(self._config.mixup, self._config.mixup))
        order = torch.from_numpy(self._random.permutation(len(inputs))).to(inputs.device)
        mixed = share * inputs + (1 - share) * inputs[order]
        if share < 0.5:
            return MixedBatch(mixed, targets[order], targets, 1 - share)
        return MixedBatch(mixed, targets, targets[order], share)

    def _masked(self, inputs: Tensor) -> Tensor:
        """Set a range of bands and one of frames to the neutral value in each fragment (SpecAugment, Park et al. 2019).

        torch's CPU generator is seeded for the draw and restored. Generators of other devices do not change.
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
