"""The front end in torch: the same window, bands and constants as numpy's, for exported models and other devices.

A clip is taken for a whole track: its level and its loudest value are its own. Everything here can be exported.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from genrekit.audio.decode import RMS_LEVEL
from genrekit.audio.features import analysis_window, mel_filters
from genrekit.audio.transform import FULL_SCALE
from genrekit.config import STFT_HOP, STFT_N_FFT, Input, PrepareConfig


class Level(nn.Module):
    """Bring each clip to its level, as `normalize_waveform` brings a track; silence stays silence.

    Shapes: [B, n_samples] to the same.
    """

    def __init__(self, config: PrepareConfig) -> None:
        super().__init__()
        self.normalization = config.front_end.normalization

    def forward(self, waveform: Tensor) -> Tensor:
        """Normalize a batch."""
        if self.normalization == "none":
            return waveform.clamp(-1, 1)
        scaled = waveform / _or_one(waveform.abs().amax(dim=1, keepdim=True))
        if self.normalization == "peak":
            return scaled
        rms = scaled.square().mean(dim=1, keepdim=True).sqrt()
        return (scaled * (RMS_LEVEL / _or_one(rms))).clamp(-1, 1)


class Waveform(nn.Module):
    """Round to the 16 bits that a cache stores.

    Shapes: [B, n_samples] to the same.
    """

    def __init__(self, _: PrepareConfig) -> None:
        super().__init__()

    def forward(self, waveform: Tensor) -> Tensor:
        """Round a batch."""
        return (waveform * FULL_SCALE).round() / FULL_SCALE


class Mel(nn.Module):
    """The dB mel spectrogram in [0, 1], below the clip's loudest value.

    Shapes: [B, n_samples] to [B, n_mels, n_frames].
    """

    window: Tensor
    filters: Tensor

    def __init__(self, config: PrepareConfig) -> None:
        super().__init__()
        self.front_end, self.half_precision = config.front_end, config.mel_dtype == "float16"
        self.register_buffer("window", torch.from_numpy(analysis_window(config.front_end.n_fft)))
        self.register_buffer("filters", torch.from_numpy(mel_filters(config.front_end)).float())

    def forward(self, waveform: Tensor) -> Tensor:
        """Transform a batch."""
        top_db = self.front_end.top_db
        power = torch.matmul(self.filters, _power(waveform, self.window, self.front_end.hop_length))
        loudest = power.amax(dim=(1, 2), keepdim=True)
        floored = (power / _or_one(loudest)).clamp_min(10 ** (-top_db / 10))
        unit = (floored.log() * (10 / math.log(10) / top_db) + 1).clamp(0, 1)
        heard = torch.where(loudest > 0, unit, torch.zeros_like(unit))
        return heard.half().float() if self.half_precision else heard


class PowerStft(nn.Module):
    """The linear power spectrogram of the rounded waveform.

    Shapes: [B, n_samples] to [B, 201, 1 + n_samples // 200].
    """

    window: Tensor

    def __init__(self, config: PrepareConfig) -> None:
        super().__init__()
        self.rounded = Waveform(config)
        self.register_buffer("window", torch.from_numpy(analysis_window(STFT_N_FFT)))

    def forward(self, waveform: Tensor) -> Tensor:
        """Transform a batch."""
        return _power(self.rounded(waveform), self.window, STFT_HOP)


def _power(waveform: Tensor, window: Tensor, hop: int) -> Tensor:
    """Power spectra of centred windows, with reflection: [B, n_samples] to [B, bands, frames]."""
    half = len(window) // 2
    padded = functional.pad(waveform.unsqueeze(1), (half, half), mode="reflect").squeeze(1)
    spectrum = torch.stft(padded, len(window), hop, window=window, center=False, return_complex=True)
    return torch.view_as_real(spectrum).square().sum(dim=-1)


TRANSFORMS: dict[Input, Callable[[PrepareConfig], nn.Module]] = {"mel": Mel, "waveform": Waveform, "stft": PowerStft}
"""How each input comes from a clip at its level."""


def torch_front_end(config: PrepareConfig, kind: Input) -> nn.Module:
    """From clips [B, n_samples], mono at the front end's rate and of any level, to what a network reads."""
    return nn.Sequential(Level(config), TRANSFORMS[kind](config))


def _or_one(values: Tensor) -> Tensor:
    """Values to divide by: 1 in the place of 0."""
    return torch.where(values > 0, values, torch.ones_like(values))
