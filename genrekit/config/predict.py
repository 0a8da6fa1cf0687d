"""The configuration of predictions from audio files."""

from __future__ import annotations

from pydantic import Field

from genrekit.config.base import Config


class PredictConfig(Config):
    """How fragments are cut from audio files, and when a prediction counts as unsure."""

    hop_seconds: float | None = Field(
        None, gt=0, le=600, description="Seconds from one fragment to the next; by default a fragment's length."
    )
    min_confidence: float = Field(
        0.0, ge=0, le=1, description="Least probability of the likeliest genre: a file below it is unsure."
    )
