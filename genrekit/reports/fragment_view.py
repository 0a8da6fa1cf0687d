"""A fragment as it is shown. This module does not import matplotlib."""

from __future__ import annotations

from dataclasses import dataclass

from genrekit._types import FloatArray


@dataclass(frozen=True)
class FragmentView:
    """One variant of a fragment: its name, the augmentation that was drawn, and its inputs, if available.

    Shapes: waveform float32 [n_samples] in [-1, 1], mel float32 [n_mels, n_frames] in [0, 1].
    """

    variant: str
    drawn: str
    waveform: FloatArray | None
    mel: FloatArray | None
