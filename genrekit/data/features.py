"""What the cache of features needs of a pretrained network. This module imports no library."""

from __future__ import annotations

from typing import Protocol

from genrekit._types import FloatArray


class Features(Protocol):
    """The part of a feature extractor that computes the features."""

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

    def compute(self, fragments: FloatArray, sample_rate: int) -> FloatArray:
        """Compute features: float32 [B, n_samples] at `sample_rate` to float32 [B, dimension].

        The waveforms must be normalized, as in the cache: features depend on the level.
        """
        ...
