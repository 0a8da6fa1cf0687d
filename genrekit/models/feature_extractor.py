"""The interface of pretrained networks that turn fragments into features for the fitted models."""

from __future__ import annotations

from typing import Protocol

from torch import nn

from genrekit._types import FloatArray


class FeatureExtractor(Protocol):
    """Compute one feature vector per fragment.

    The same fragments always give the same features: an extractor has fixed weights, and it neither trains nor keeps
    state between calls. Features are not standardized.
    """

    @property
    def name(self) -> str:
        """Short name, such as `musicnn`."""
        ...

    @property
    def digest(self) -> str:
        """Identifies weights and computation. Cached features are valid for one digest only."""
        ...

    @property
    def dimension(self) -> int:
        """Number of features per fragment."""
        ...

    @property
    def sample_rate(self) -> int:
        """Rate in Hz that the network was trained on. Other rates are resampled to it."""
        ...

    def compute(self, fragments: FloatArray, sample_rate: int) -> FloatArray:
        """Compute features: float32 [B, n_samples] at `sample_rate` to float32 [B, dimension].

        The waveforms must be normalized, as in the cache: features depend on the level.
        """
        ...

    def module(self, sample_rate: int) -> nn.Module:
        """Return the same computation as a module that `torch.onnx.export` accepts, in evaluation mode."""
        ...
