"""The features in torch are those in numpy."""

from typing import Any, get_args

import numpy as np
import pytest
import torch

from genrekit._types import FloatArray
from genrekit.audio.level import normalize_waveform
from genrekit.audio.transform import FULL_SCALE, quantized, unit_mels
from genrekit.config import Input, PrepareConfig
from genrekit.inference.front_end import TRANSFORMS, torch_front_end

RATE = 8_000


def config(mel_dtype: str = "float32", **front_end: Any) -> PrepareConfig:
    small = {"sample_rate": RATE, "duration_s": 0.5, "n_fft": 512, "hop_length": 256, "n_mels": 16}
    return PrepareConfig.of({"front_end": {**small, **front_end}, "mel_dtype": mel_dtype})


def clips(n_samples: int) -> FloatArray:
    """Music of several levels, a click above full scale, and silence."""
    time = np.arange(n_samples) / RATE
    chord = 0.3 * np.sin(2 * np.pi * 220 * time) + np.random.default_rng(0).uniform(-0.1, 0.1, n_samples)
    fading = np.sin(2 * np.pi * 1_000 * time) * np.geomspace(0.5, 1e-6, n_samples)
    click = 2.5 * (np.arange(n_samples) == 700)
    return np.stack([chord, 1e-3 * chord, 4 * chord, fading, click, 0 * chord]).astype(np.float32)


def test_every_input_has_a_transform() -> None:
    assert set(TRANSFORMS) == set(get_args(Input))


@pytest.mark.parametrize("normalization", ["peak", "rms", "none"])
@pytest.mark.parametrize("n_fft", [512, 500, 301])
@pytest.mark.parametrize("fmax", [None, 3_000.0])
def test_mels_are_those_of_numpy(normalization: str, n_fft: int, fmax: float | None) -> None:
    prepared = config(normalization=normalization, n_fft=n_fft, fmax=fmax)
    batch = clips(prepared.front_end.n_samples)
    expected = [unit_mels([normalize_waveform(clip, normalization)], prepared.front_end)[0] for clip in batch]
    computed = torch_front_end(prepared, "mel")(torch.from_numpy(batch)).numpy()
    assert computed.shape == (len(batch), *prepared.front_end.shape("mel"))
    np.testing.assert_allclose(computed, np.stack(expected), atol=2e-4)
    assert np.abs(computed - np.stack(expected)).mean() < 1e-6


@pytest.mark.parametrize("normalization", ["peak", "rms", "none"])
def test_waveforms_are_those_of_numpy(normalization: str) -> None:
    prepared = config(normalization=normalization)
    batch = clips(prepared.front_end.n_samples)
    expected = [quantized(normalize_waveform(clip, normalization)) / np.float32(FULL_SCALE) for clip in batch]
    computed = torch_front_end(prepared, "waveform")(torch.from_numpy(batch)).numpy()
    np.testing.assert_allclose(computed, np.stack(expected), atol=1.01 / FULL_SCALE)
    assert np.mean(computed != np.stack(expected).astype(np.float32)) < 0.02


def test_mels_are_rounded_as_the_cache_stores_them() -> None:
    batch = torch.from_numpy(clips(4_000))
    exact, stored = (torch_front_end(config(dtype), "mel")(batch) for dtype in ("float32", "float16"))
    assert torch.equal(stored, exact.half().float())
    assert not torch.equal(stored, exact)


def test_a_louder_clip_gives_the_same() -> None:
    batch = torch.from_numpy(clips(4_000)[:3])
    first, quiet, loud = torch_front_end(config(), "mel")(batch)
    torch.testing.assert_close(quiet, first, atol=1e-5, rtol=0)
    torch.testing.assert_close(loud, first, atol=1e-5, rtol=0)
