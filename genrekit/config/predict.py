"""The configuration of predictions from audio files."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from genrekit.config.base import Config


def _number_or_auto(value: object) -> object:
    try:
        return value if value == "auto" else float(value)  # type: ignore[arg-type] # TypeError is caught
    except (TypeError, ValueError):
        raise ValueError(f"min_confidence must be a number from 0 to 1, or auto, got {value!r}") from None


class PredictConfig(Config):
    """How fragments are cut from audio files, and when a prediction is unsure."""

    hop_seconds: float | None = Field(
        None, gt=0, le=600, description="Seconds between the starts of fragments; by default the length of a fragment."
    )
    min_confidence: Annotated[
        Annotated[float, Field(ge=0, le=1)] | Literal["auto"], BeforeValidator(_number_or_auto)
    ] = Field(
        0.0,
        description="Minimum probability of the predicted genre. Files below it are marked as unsure. auto uses the "
        "probability that 95 % of the validation tracks reach.",
    )
