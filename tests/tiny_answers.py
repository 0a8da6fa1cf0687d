"""Stored predictions of made-up runs, whose accuracy and loss are known."""

from __future__ import annotations

import numpy as np

from genrekit.metrics.epochs import EpochFigures
from genrekit.training.validation_log import Answers


def answers(
    accuracy: float,
    *,
    seed: int = 0,
    tracks: int = 60,
    epochs: int = 4,
    steps: int = 10,
    best: int | None = None,
    training: float = 0.9,
    dead: float | None = 0.0,
    prefix: str = "track",
) -> Answers:
    """Return predictions of which a share is correct, the same in each epoch except for a few. Losses correspond."""
    generator = np.random.default_rng([seed, round(1_000 * accuracy), tracks])
    right = generator.random((1, tracks)) < accuracy
    right = right ^ (generator.random((epochs, tracks)) < 0.02)
    ids = tuple(f"{prefix} {number:03d}" for number in range(tracks))
    figures = EpochFigures(loss=0.3, fragment_accuracy=training, track_accuracy=training)
    return Answers(
        track_ids=ids,
        clusters=ids,
        right=right,
        loss=np.where(right, 0.5, 2.0).astype(np.float32),
        steps_per_epoch=steps,
        best_epoch=epochs if best is None else best,
        resampled="tracks",
        training={"best": figures, "last": figures},
        dead_channels=dead,
    )
