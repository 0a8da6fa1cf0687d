"""What a bundle says of an audio file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genrekit._types import AnyPath, FloatArray
from genrekit.config import PredictConfig
from genrekit.errors import BundleError, UsageError
from genrekit.inference.streaming import hear
from genrekit.models import device_of
from genrekit.models.bundle import Bundle


@dataclass(frozen=True)
class FragmentPrediction:
    """The likeliest genre of one fragment."""

    start_s: float
    genre: str
    probability: float


@dataclass(frozen=True)
class FilePrediction:
    """The likeliest genre of a file: mean probabilities over its fragments, and each fragment's own.

    `confident` says whether the genre's probability reaches what was asked for; `tagged` is the file into whose
    metadata the genre was written.
    """

    path: Path
    genre: str
    probabilities: dict[str, float]
    fragments: tuple[FragmentPrediction, ...]
    duration_s: float = 0.0
    confident: bool = True
    tagged: Path | None = None

    @property
    def probability(self) -> float:
        """The likeliest genre's."""
        return self.probabilities[self.genre]

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """Genres with their probabilities, the likeliest first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])


_DEFAULTS = PredictConfig()
_NO_WAITING = nullcontext()


def probabilities(bundle: Bundle, inputs: FloatArray) -> list[list[float]]:
    """Probabilities of the genres for each of some fragments; the model may be on any device.

    They are plain numbers, [F, n_genres]: a small array kept of each batch would keep the batch's large block of memory
    from being used again.
    Shapes: float32 [F, *shape], as `hear` gives them.
    """
    device = device_of(bundle.model)
    with torch.inference_mode():
        logits = bundle.model(torch.from_numpy(inputs).to(device)).cpu()
    return logits.double().softmax(dim=1).tolist()


def predict_file(
    bundle: Bundle,
    path: AnyPath,
    config: PredictConfig = _DEFAULTS,
    *,
    turn: AbstractContextManager[Any] = _NO_WAITING,
    on_block: Callable[[], None] | None = None,
) -> FilePrediction:
    """Name the genre of a file by the mean probabilities over its fragments; the model may be on any device.

    `turn` is held while the model computes; `on_block` is called with each block of the file, and may raise to stop.
    Errors: UnreadableAudioError with the reason, UsageError where fragments would leave gaps, BundleError for a model
    that answers no numbers.
    """
    front_end, genres = bundle.metadata.prepare.front_end, bundle.metadata.genres
    hop = (
        front_end.n_samples if config.hop_seconds is None else max(1, round(config.hop_seconds * front_end.sample_rate))
    )
    if hop > front_end.n_samples:
        raise UsageError(
            f"hop_seconds must be at most the length of this model's fragments ({front_end.duration_s:g} s), "
            f"got {config.hop_seconds:g}"
        )
    heard = hear(Path(path), bundle.metadata.prepare, bundle.metadata.train.input, hop, on_block)
    starts: list[int] = []
    found: list[list[float]] = []
    for some, inputs in heard.batches:
        with turn:
            found += probabilities(bundle, inputs)
        starts += some
    every = np.array(found)
    if not np.isfinite(every).all():
        raise BundleError(f"{bundle.path} gives no probabilities for {path}: its weights are out of all measure")
    mean = every.mean(axis=0)
    return FilePrediction(
        path=Path(path),
        genre=genres[int(mean.argmax())],
        probabilities=dict(zip(genres, mean.tolist(), strict=True)),
        fragments=tuple(
            FragmentPrediction(start / front_end.sample_rate, genres[int(row.argmax())], float(row.max()))
            for start, row in zip(starts, every, strict=True)
        ),
        duration_s=heard.duration_s,
        confident=bool(mean.max() >= config.min_confidence),
    )
