"""The features as torch modules, for exported models.

For a clip that is a whole track, they give the values of the numpy features. torchaudio computes the spectrograms and
decibels. The mel bands are those of `genrekit.audio.features`: torchaudio's differ for an odd n_fft or sample rate,
because it places the last bin at sample_rate // 2. All modules can be exported.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from genrekit.audio.features import mel_filters
from genrekit.audio.level import RMS_LEVEL
from genrekit.audio.transform import FULL_SCALE
from genrekit.config import STFT_HOP, STFT_N_FFT, Input, PrepareConfig
from genrekit.models.torchaudio_import import load_torchaudio


class Level(nn.Module):
    """Normalize each clip as `normalize_waveform` normalizes a track; silence stays silence.

    Shapes: [B, n_samples] to [B, n_samples].
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
    """Round to 16 bits, as a cache does.

    Shapes: [B, n_samples] to [B, n_samples].
    """

    def __init__(self, _: PrepareConfig) -> None:
        super().__init__()

    def forward(self, waveform: Tensor) -> Tensor:
        """Round a batch."""
        return (waveform * FULL_SCALE).round() / FULL_SCALE


class Mel(nn.Module):
    """Compute mel spectrograms in dB relative to the clip's loudest value, scaled to [0, 1].

    Shapes: [B, n_samples] to [B, n_mels, n_frames].
    """

    filters: Tensor

    def __init__(self, config: PrepareConfig) -> None:
        super().__init__()
        self.front_end, self.half_precision = config.front_end, config.mel_dtype == "float16"
        self.spectrogram = power_spectrogram(config.front_end.n_fft, config.front_end.hop_length)
        self.decibels = load_torchaudio().functional.amplitude_to_DB
        self.register_buffer("filters", torch.from_numpy(mel_filters(config.front_end)).float())

    def forward(self, waveform: Tensor) -> Tensor:
        """Compute the features of a batch."""
        top_db = self.front_end.top_db
        power = torch.matmul(self.filters, self.spectrogram(waveform))
        loudest = power.amax(dim=(1, 2), keepdim=True)
        relative, floor = power / _or_one(loudest), 10 ** (-top_db / 10)
        decibels = self.decibels(relative, multiplier=10.0, amin=floor, db_multiplier=0.0)
        unit = (decibels / top_db + 1).clamp(0, 1)
        mel = torch.where(loudest > 0, unit, torch.zeros_like(unit))
        return mel.half().float() if self.half_precision else mel


class PowerStft(nn.Module):
    """Compute linear power spectrograms of the rounded waveforms.

    Shapes: [B, n_samples] to [B, 201, 1 + n_samples // 200].
    """

    def __init__(self, config: PrepareConfig) -> None:
        super().__init__()
        self.rounded = Waveform(config)
        self.spectrogram = power_spectrogram(STFT_N_FFT, STFT_HOP)

    def forward(self, waveform: Tensor) -> Tensor:
        """Compute the features of a batch."""
        return self.spectrogram(self.rounded(waveform))


def power_spectrogram(n_fft: int, hop_length: int) -> nn.Module:
    """Make torchaudio's power spectrogram: periodic Hann window, frames centred with reflection at the edges.

    Shapes: [B, n_samples] to [B, n_fft // 2 + 1, 1 + n_samples // hop_length].
    Errors: GenrekitError if torchaudio cannot be loaded.
    """
    return load_torchaudio().transforms.Spectrogram(
        n_fft=n_fft,
        win_length=n_fft,
        hop_length=hop_length,
        window_fn=torch.hann_window,
        wkwargs={"periodic": True},
        power=2.0,
        normalized=False,
        center=True,
        pad_mode="reflect",
        onesided=True,
    )


TRANSFORMS: dict[Input, Callable[[PrepareConfig], nn.Module]] = {"mel": Mel, "waveform": Waveform, "stft": PowerStft}
"""The module that computes each input from normalized clips."""


def torch_front_end(config: PrepareConfig, kind: Input) -> nn.Module:
    """Return a module that computes the input of a network from mono clips at the sample rate of the features.

    Shapes: [B, n_samples] to [B, *shape].
    Errors: GenrekitError if the input is a spectrogram and torchaudio cannot be loaded.
    """
    return nn.Sequential(Level(config), TRANSFORMS[kind](config))


def _or_one(values: Tensor) -> Tensor:
    """Replace 0 by 1, for divisors."""
    return torch.where(values > 0, values, torch.ones_like(values))
