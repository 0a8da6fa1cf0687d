"""Augment batches in training: masks, mixup, gain and noise.

The random numbers depend only on the seed and the epoch. torchaudio draws the masks, and is imported only for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from genrekit.config import TrainConfig
from genrekit.models.ensemble import repeat_for
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

    def repeated_for(self, logits: Tensor) -> MixedBatch:
        """The batch with targets for the logits of an ensemble."""
        others = None if self.others is None else repeat_for(logits, self.others)
        return replace(self, targets=repeat_for(logits, self.targets), others=others)

    def loss(self, of: Callable[[Tensor], Tensor]) -> Tensor:
        """Compute a loss of genre indices, weighted by the shares of mixed fragments."""
        if self.others is None:
            return of(self.targets)
        return self.share * of(self.targets) + (1 - self.share) * of(self.others)


@dataclass(frozen=True)
class _Draw:
    """The random numbers for a batch of `count` fragments that are known before it is read.

    `own` are the fragments that are trained on; None for all. `gain_db` is the gain of each fragment, `share` the share
    of each in its mixture, and `order` the fragments that they are mixed with.
    """

    count: int
    own: slice | None
    gain_db: npt.NDArray[np.float64] | None
    share: float
    order: npt.NDArray[np.int64] | None

    @property
    def read(self) -> npt.NDArray[np.int64]:
        """The fragments that are read: all, or those of `own` and then those that they are mixed with."""
        positions = np.arange(self.count)
        if self.own is None or self.order is None:
            return positions[self.own or slice(None)]
        return np.append(positions[self.own], self.order[self.own])

    def pairs(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Divide what was read into the fragments of `own` and those that they are mixed with."""
        assert self.order is not None
        if self.own is None:
            return values, values[torch.from_numpy(self.order).to(values.device)]
        first, second = values.chunk(2)
        return first, second


class BatchAugmentation:
    """Augments the batches of one epoch, in their order, as configured.

    `neutral` [bands, 1] is the value of each masked band. It is the mean of the training set, which the model's
    standardization turns into 0.
    """

    def __init__(self, config: TrainConfig, neutral: Tensor, epoch: int) -> None:
        self._config, self._neutral = config, neutral
        self._random = np.random.default_rng((config.seed, epoch, _STREAM))
        self._drawn: _Draw | None = None

    def select(self, count: int, own: slice) -> npt.NDArray[np.int64]:
        """Return the fragments to read, of a batch of `count`, to augment those in `own`: these, and others to mix.

        Call the object next with these fragments. What it returns for `own` does not depend on the choice of `own`.
        """
        self._drawn = draw = self._draw(count, own)
        return draw.read

    def __call__(self, inputs: Tensor, targets: Tensor) -> MixedBatch:
        """Augment a batch, or the fragments that `select` returned.

        Masks come last, so that masked areas have neither noise nor parts of other fragments.
        """
        draw, self._drawn = self._drawn or self._draw(len(inputs), None), None
        if draw.gain_db is not None:
            inputs = _amplified(inputs, draw.gain_db[draw.read])
        batch = _mixed(inputs, targets, draw)
        if self._config.noise_std:
            batch = replace(batch, inputs=self._noisy(batch.inputs, draw))
        if not (self._config.spec_freq_mask or self._config.spec_time_mask):
            return batch
        return replace(batch, inputs=self._masked(batch.inputs, draw))

    def _draw(self, count: int, own: slice | None) -> _Draw:
        gain, mixup = self._config.gain_db, self._config.mixup
        gain_db = self._random.uniform(-gain, gain, count) if gain else None
        if not mixup:
            return _Draw(count, own, gain_db, 1.0, None)
        share = float(self._random.beta(mixup, mixup))
        return _Draw(count, own, gain_db, share, self._random.permutation(count))

    def _noisy(self, inputs: Tensor, draw: _Draw) -> Tensor:
        """Add white Gaussian noise. Values may leave their range, because clipping would shift their mean."""
        noise = self._random.standard_normal((draw.count, *inputs.shape[1:]), dtype=np.float32)[draw.own or slice(None)]
        return inputs + torch.from_numpy(noise).mul_(self._config.noise_std).to(inputs.device)

    def _masked(self, inputs: Tensor, draw: _Draw) -> Tensor:
        """Set a range of bands and one of frames to the neutral value in each fragment (SpecAugment, Park et al. 2019).

        torch's CPU generator is seeded for the draw and restored. Generators of other devices do not change.
        """
        n_bands, n_frames = inputs.shape[1:]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(self._random.integers(2**63)))
            bands = draw_visible(draw.count, n_bands, self._config.spec_freq_mask)
            frames = draw_visible(draw.count, n_frames, self._config.spec_time_mask)
        visible = bands.to(inputs.device)[:, :, None] * frames.to(inputs.device)[:, None, :]
        return torch.where(visible[draw.own or slice(None)].bool(), inputs, self._neutral)


def _amplified(inputs: Tensor, gain_db: npt.NDArray[np.float64]) -> Tensor:
    """Multiply each waveform by a gain. Peaks may exceed 1, because clipping would distort them."""
    factor = torch.from_numpy((10 ** (gain_db / 20)).astype(np.float32)).to(inputs.device)
    return inputs * factor[:, None]


def _mixed(inputs: Tensor, targets: Tensor, draw: _Draw) -> MixedBatch:
    """Mix each fragment with another one of the batch (Zhang et al. 2018), all with the same share.

    Beta(alpha, alpha) is symmetric, so a share below a half is replaced by one above it with exchanged fragments.
    """
    if draw.order is None:
        return MixedBatch(inputs, targets)
    (own, others), (own_targets, other_targets) = draw.pairs(inputs), draw.pairs(targets)
    mixed = draw.share * own + (1 - draw.share) * others
    if draw.share < 0.5:
        return MixedBatch(mixed, other_targets, own_targets, 1 - draw.share)
    return MixedBatch(mixed, own_targets, other_targets, draw.share)


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
