"""What a model hears of audio that is in no cache: fragments made as its own cache had them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from genrekit.audio.decode import Decoded, normalize_waveform
from genrekit.audio.fragments import cut, fragment_starts
from genrekit.audio.transform import quantized, unit_mels
from genrekit.config import FrontEnd, Input, PrepareConfig
from genrekit.dataset.batches import as_read
from genrekit.records import FloatArray

_BATCH = 64


def fragments_of(
    decoded: Decoded, front_end: FrontEnd, fragments: Literal["all", "first"] | int
) -> tuple[tuple[int, ...], list[FloatArray]]:
    """Starts of a track's fragments, in samples, and their waveforms, float32 [n_samples] in [-1, 1]."""
    waveform = normalize_waveform(decoded.waveform, front_end.normalization)
    starts = fragment_starts(len(waveform), front_end.n_samples, fragments)
    return starts, [cut(waveform, start, front_end.n_samples) for start in starts]


def model_inputs(fragments: Sequence[FloatArray], prepare: PrepareConfig, kind: Input) -> Tensor:
    """A track's fragments, float32 [n_samples] each, as a model reads them, with the digits that a cache keeps.

    See `as_read` for their shapes.
    """
    if kind == "mel":
        return as_read(kind, unit_mels(fragments, prepare.front_end).astype(prepare.mel_dtype))
    return as_read(kind, np.stack([quantized(fragment) for fragment in fragments]))


def answer(model: nn.Module, inputs: Tensor, device: torch.device) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Probabilities of the genres for each of some inputs, [F, n_genres]."""
    with torch.inference_mode():
        logits = [model(batch.to(device)).cpu() for batch in inputs.split(_BATCH)]
    return torch.cat(logits).double().softmax(dim=1).numpy()
