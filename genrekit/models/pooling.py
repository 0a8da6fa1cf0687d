"""Pooling over time: from the frames of a convolutional network to one vector for each fragment."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Mean(nn.Module):
    """The mean over the last axis. Shapes: [B, C, H, T] to [B, C, H]."""

    def forward(self, frames: Tensor) -> Tensor:
        """Average the frames."""
        return frames.mean(dim=-1)


class MeanMax(nn.Module):
    """The mean and the maximum over the last axis. Shapes: [B, C, H, T] to [B, 2 C, H]."""

    def forward(self, frames: Tensor) -> Tensor:
        """Average the frames, and take their maximum."""
        return torch.cat((frames.mean(dim=-1), frames.amax(dim=-1)), dim=1)


class Attention(nn.Module):
    """A mean over the last axis with learned weights (Okabe et al. 2018).

    A linear layer scores each frame, and a softmax turns the scores into weights. At first all weights are equal.
    Shapes: [B, C, H, T] to [B, C H].
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.score = nn.Linear(n_features, 1, bias=False)
        nn.init.zeros_(self.score.weight)

    def forward(self, frames: Tensor) -> Tensor:
        """Average the frames by their weights."""
        vectors = frames.flatten(1, 2).movedim(-1, 1)
        weights = self.score(vectors).softmax(dim=1)
        return (weights * vectors).sum(dim=1)


POOLS: dict[str, tuple[Callable[[int], nn.Module], int]] = {
    "mean": (lambda _: Mean(), 1),
    "mean-max": (lambda _: MeanMax(), 2),
    "attention": (Attention, 1),
}
"""Makes a layer for frames of a number of features, and the number of its outputs for each feature."""


def make_pool(name: str, n_features: int, n_frames: int) -> tuple[nn.Module, int]:
    """Return the layer of that name for frames of [C, H] features, and the number of its outputs.

    `flatten` keeps all frames.

    >>> make_pool("flatten", 64, 6)[1], make_pool("mean-max", 64, 6)[1]
    (384, 128)
    """
    if name == "flatten":
        return nn.Identity(), n_features * n_frames
    make, outputs = POOLS[name]
    return make(n_features), n_features * outputs
