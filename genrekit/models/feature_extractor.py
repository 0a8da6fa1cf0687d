"""The interface of pretrained networks that turn fragments into features for the fitted models."""

from __future__ import annotations

from typing import Protocol

from torch import nn

from genrekit.data.features import Features


class FeatureExtractor(Features, Protocol):
    """Compute one feature vector per fragment.

    The same fragments always give the same features: an extractor has fixed weights, and it neither trains nor keeps
    state between calls. Features are not standardized.
    """

    @property
    def sample_rate(self) -> int:
        """Rate in Hz that the network was trained on. Other rates are resampled to it."""
        ...

    @property
    def outside_data(self) -> str:
        """The network and what it was trained on, in a few words, for reports."""
        ...

    def module(self, sample_rate: int) -> nn.Module:
        """Return the same computation as a module that `torch.onnx.export` accepts, in evaluation mode."""
        ...
