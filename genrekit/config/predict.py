"""The configuration of predictions from audio files."""

from __future__ import annotations

from pydantic import Field

from genrekit.config.base import Config


class PredictConfig(Config):
    """How fragments are cut from audio files, and when a prediction is unsure."""

    hop_seconds: float | None = Field(
        None, gt=0, le=600, description="Seconds between the starts of fragments; by default the length of a fragment."
    )
    min_confidence: float = Field(
        0.0, ge=0, le=1, description="Minimum probability of the predicted genre. Files below it are marked as unsure."
    )
