"""Training data small enough for a test: eight fragments of noise of two genres, two fragments per track."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from genrekit.config import FeatureConfig, Input, TrainConfig, architecture
from genrekit.data.loader import Select
from genrekit.models import build_model
from genrekit.models.cel import Cel
from genrekit.models.mlp import Mlp

torch.set_num_threads(1)  # tensors this small gain nothing from more

FRONT_END = FeatureConfig(sample_rate=1_000, duration_s=0.512, n_fft=64, hop_length=32, n_mels=16)
"""Fragments of [16, 17], [512] or, as power spectrograms, [201, 3]."""


def tiny_config(**values: Any) -> TrainConfig:
    """A configuration for `TinyData`: few and narrow layers, a constant learning rate and no augmentation."""
    arch = values.get("arch", "cel")
    if not architecture(arch).trained_by_gradient:
        return TrainConfig.of({"device": "cpu", **values})
    blocks = (4,) if values.get("input") == "stft" else (4, 8)
    layers = {"center": False, "downsample": (1, 1), "pool": "flatten"}
    small = {"channels": blocks, **layers} if arch.startswith("cel") else {"hidden": (16, 8)}
    plain = {"sched": "none", "batch_size": 4, "epochs": 3, "monitor": "loss", "mixup": 0.0, "device": "cpu"}
    return TrainConfig.of({**plain, **small, **values})


def tiny_model(config: TrainConfig) -> nn.Module:
    """An untrained model for two genres."""
    return build_model(config, FRONT_END, 2)


def tiny_network(config: TrainConfig) -> Cel | Mlp:
    """An untrained network for two genres."""
    model = tiny_model(config)
    assert isinstance(model, (Cel, Mlp))
    return model


@dataclass
class TinyData:
    """Training data that validates on the fragments that it trains on."""

    kind: Input = "mel"
    n_fragments: int = 8
    batch_size: int = 4
    seed: int = 0
    inputs: Tensor = field(init=False)
    targets: Tensor = field(init=False)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(1)
        self.inputs = torch.rand(self.n_fragments, *FRONT_END.shape(self.kind), generator=generator)
        self.targets = torch.arange(self.n_fragments) // 2 % 2

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.n_fragments // self.batch_size)

    @property
    def track_ids(self) -> list[str]:
        return [f"track-{number}" for number in range(-(-self.n_fragments // 2))]

    @property
    def genre_counts(self) -> Tensor:
        return self.targets.bincount(minlength=2)

    @property
    def example(self) -> Tensor:
        return self.inputs[:2]

    def train_batches(self, epoch: int, select: Select | None = None) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(1_000 * self.seed + epoch)
        for batch in torch.randperm(self.n_fragments, generator=generator).split(self.batch_size):
            rows = batch if select is None else batch[torch.from_numpy(select(len(batch)))]
            yield self.inputs[rows], self.targets[rows], rows // 2

    def training_batches_in_order(self, first: int = 0, step: int = 1) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        tracks = torch.arange(self.n_fragments) // 2
        batches = zip(self.inputs.split(3), self.targets.split(3), tracks.split(3), strict=True)
        yield from islice(batches, first, None, step)

    def validation_batches(self, first: int = 0, step: int = 1) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        tracks = torch.arange(self.n_fragments) // 2
        batches = zip(self.inputs.split(3), self.targets.split(3), tracks.split(3), strict=True)
        yield from islice(batches, first, None, step)
