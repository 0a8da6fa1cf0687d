"""Features from MSD_musicnn, the music tagging network of Pons and Serra (2019), with its published weights.

Pons, Serra: musicnn: Pre-trained convolutional neural networks for music audio tagging, ISMIR 2019 late-breaking demo,
arXiv:1909.06654. It was trained on the Million Song Dataset to predict 50 tags. The weights (ISC license, see
musicnn.LICENSE.md) are converted by tools/convert_musicnn.py.

Weight decay has driven most kernels of the published network to zero (497 of the 561 filters of its front layers, for
example), so that their outputs do not depend on the input. These channels are left out here and their constant
contribution is kept: the outputs agree with those of the published network, at less than a tenth of the cost.
"""

from __future__ import annotations

import hashlib
import math
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from genrekit._types import FloatArray
from genrekit.errors import GenrekitError
from genrekit.io.tensors import DAMAGES, read_tensors
from genrekit.models.torchaudio_import import load_torchaudio

WEIGHTS = Path(__file__).with_name("musicnn.safetensors")
FORMAT_VERSION = 1

SAMPLE_RATE, N_FFT, HOP_LENGTH, N_MELS = 16_000, 512, 256, 96

N_TAGS, N_PENULTIMATE, N_MIDDLE = 50, 200, 64

FRONT = ((23, 7, 38), (14, 7, 67), (3, 128, 1), (7, 64, 1), (17, 32, 1))
"""Channels, frames and bands of the front layers: two for timbre, then three for rhythm."""

N_FRONT = sum(channels for channels, _, _ in FRONT)
N_POOLED = N_FRONT + 20 + 64 + 64
DIMENSION = N_TAGS + N_PENULTIMATE + 3 * N_POOLED

_COMPUTATION = 1
"""Part of the digest: raise it if a change of the code below changes the features."""

_BATCH = 12
"""Fragments per call of the network: more need more memory and are not faster."""

_LARGEST_KERNEL = 1 << 22
"""Limit for the coefficients of the resampling filter, one set per phase: 16 MB. Common rates need under 1 MB."""

_EPS = 1e-3


class LogMel(nn.Module):
    """Resampling to 16 kHz, then the log mel spectrogram that the network was trained on.

    Periodic Hann window, frames centred with reflection at the edges, power spectrum, 96 Slaney bands of equal area
    from 0 to 8 kHz, then log10(10000 m + 1). The published code rounds m to float16 first, where loud bands overflow;
    this module computes in float32.
    Shapes: [B, n_samples] at `sample_rate` to [B, 1 + n // 256, 96] with n samples at 16 kHz.
    Errors: GenrekitError if torchaudio cannot be loaded, or if a filter for this sample rate would be too large.
    """

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        transforms = load_torchaudio().transforms
        self.resample: nn.Module = nn.Identity()
        if sample_rate != SAMPLE_RATE:
            _require_common_factor(sample_rate)
            self.resample = transforms.Resample(
                sample_rate,
                SAMPLE_RATE,
                resampling_method="sinc_interp_hann",
                lowpass_filter_width=6,
                rolloff=0.99,
            )
        self.mel = transforms.MelSpectrogram(
            sample_rate=SAMPLE_RATE,
            n_fft=N_FFT,
            win_length=N_FFT,
            hop_length=HOP_LENGTH,
            f_min=0.0,
            f_max=SAMPLE_RATE / 2,
            n_mels=N_MELS,
            window_fn=torch.hann_window,
            wkwargs={"periodic": True},
            power=2.0,
            normalized=False,
            center=True,
            pad_mode="reflect",
            norm="slaney",
            mel_scale="slaney",
        )

    def forward(self, waveform: Tensor) -> Tensor:
        """Transform a batch."""
        mel = self.mel(self.resample(waveform))
        return (10_000 * mel + 1).log10().transpose(1, 2)


def _require_common_factor(sample_rate: int) -> None:
    common = math.gcd(sample_rate, SAMPLE_RATE)
    if (sample_rate // common) * (SAMPLE_RATE // common) > _LARGEST_KERNEL:
        raise GenrekitError(
            f"cannot resample from {sample_rate} Hz to {SAMPLE_RATE} Hz: the rates have no large common factor; "
            "use a common rate, such as 22050"
        )


class FrontLayer(nn.Module):
    """Convolution over time and frequency, ReLU, batch normalization, and the maximum over frequency.

    The input is padded with zeros in time so that the number of frames stays the same; for an even kernel, one more at
    the end.
    Shapes: [B, 1, n_frames, N_MELS] to [B, channels, n_frames].
    """

    def __init__(self, channels: int, frames: int, bands: int) -> None:
        super().__init__()
        self.padding = ((frames - 1) // 2, frames // 2)
        self.convolution = nn.Conv2d(1, channels, (frames, bands))
        self.norm = nn.BatchNorm2d(channels, _EPS)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute a batch."""
        padded = functional.pad(inputs, (0, 0, *self.padding))
        return self.norm(self.convolution(padded).relu()).amax(dim=3)


class MiddleLayer(nn.Module):
    """Convolution over time, ReLU and batch normalization.

    Shapes: [B, inputs, n_frames] to [B, N_MIDDLE, n_frames].
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(inputs, N_MIDDLE, kernel_size=7, padding=3)
        self.norm = nn.BatchNorm1d(N_MIDDLE, _EPS)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute a batch."""
        return self.norm(self.convolution(inputs).relu())


class Musicnn(nn.Module):
    """The network without its constant channels.

    Shapes: log mel spectrograms [B, n_frames, N_MELS] to [B, DIMENSION]: logits of the tags (50), penultimate layer
    (200), and mean, maximum and standard deviation over time of the convolutional features (212 each). The
    published code has no deviation. It is added because it makes genres easier to separate.
    """

    pooled: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.input_norm = nn.BatchNorm2d(1, _EPS)
        self.front = nn.ModuleList(FrontLayer(*shape) for shape in FRONT)
        # One more input is 1 in every frame. It contributes what the constant channels of the front would.
        self.middle = nn.ModuleList(MiddleLayer(inputs) for inputs in (N_FRONT + 1, N_MIDDLE, N_MIDDLE))
        self.register_buffer("pooled", torch.zeros(N_POOLED, dtype=torch.int32))
        self.pool_norm = nn.BatchNorm1d(2 * N_POOLED, _EPS)
        self.dense = nn.Linear(2 * N_POOLED, N_PENULTIMATE)
        self.dense_norm = nn.BatchNorm1d(N_PENULTIMATE, _EPS)
        self.tags = nn.Linear(N_PENULTIMATE, N_TAGS)

    def forward(self, mels: Tensor) -> Tensor:
        """Compute a batch."""
        normalized = self.input_norm(mels[:, None])
        front = torch.cat([layer(normalized) for layer in self.front], dim=1)
        first = self.middle[0](torch.cat([front, torch.ones_like(front[:, :1])], dim=1))
        second = self.middle[1](first) + first
        third = self.middle[2](second) + second
        channels = torch.cat([front, first, second, third], dim=1).index_select(1, self.pooled)
        maximum, mean = channels.amax(dim=2), channels.mean(dim=2)
        penultimate = self.dense_norm(self.dense(self.pool_norm(torch.cat([maximum, mean], dim=1))).relu())
        deviation = channels.std(dim=2, correction=0)
        return torch.cat([self.tags(penultimate), penultimate, mean, maximum, deviation], dim=1)


def load_musicnn(path: Path = WEIGHTS) -> Musicnn:
    """Load the network with its weights, in evaluation mode and without gradients.

    Errors: GenrekitError if the file is missing, damaged, or of another format version.
    """
    with torch.random.fork_rng(devices=[]):  # torch draws initial weights, which are replaced
        model = Musicnn()
    try:
        _, tensors = read_tensors(
            path, "pt", version=FORMAT_VERSION, what="musicnn weights in", remedy="reinstall genrekit"
        )
        model.load_state_dict(tensors)
    except DAMAGES as error:
        raise _unreadable(path, str(error)) from error
    except RuntimeError as error:  # its message has a line per tensor
        raise _unreadable(path, "its tensors do not fit the network") from error
    return model.eval().requires_grad_(False)


def _unreadable(path: Path, reason: str) -> GenrekitError:
    return GenrekitError(f"cannot read the weights of musicnn from {path} ({reason}): reinstall genrekit")


class MusicnnExtractor:
    """A `FeatureExtractor`: 886 features per fragment from MSD_musicnn.

    Fragments of 5 s have 313 frames. The network averages over time, so other durations work too.

    >>> extractor = MusicnnExtractor()
    >>> extractor.compute(np.zeros((2, 22_050), np.float32), 22_050).shape == (2, extractor.dimension)
    True
    """

    name = "musicnn"
    outside_data = "MSD_musicnn (Pons and Serra, 2019), trained on the Million Song Dataset"
    dimension = DIMENSION
    sample_rate = SAMPLE_RATE

    def __init__(self) -> None:
        self._front_ends: dict[int, LogMel] = {}

    @cached_property
    def digest(self) -> str:
        """Identifies weights and computation."""
        return f"{_COMPUTATION}-{hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:16]}"

    @cached_property
    def network(self) -> Musicnn:
        """The network with its weights."""
        return load_musicnn()

    def compute(self, fragments: FloatArray, sample_rate: int) -> FloatArray:
        """Compute features: float32 [B, n_samples] at `sample_rate` to float32 [B, 886].

        Fragments must be cut from a waveform that is normalized per track, as in the cache: the spectrogram is
        compressed by log10(10000 m + 1), so features depend on the level.
        Errors: those of `LogMel`; GenrekitError if the fragments are too short or the weights cannot be read.
        """
        seconds = fragments.shape[1] / sample_rate
        if seconds * SAMPLE_RATE <= N_FFT:
            raise GenrekitError(
                f"fragments must last more than {N_FFT / SAMPLE_RATE:g} s for musicnn, got {seconds:g} s: prepare a "
                "cache with a larger --duration-s"
            )
        module = self.module(sample_rate)
        features = np.empty((len(fragments), DIMENSION), np.float32)
        with torch.inference_mode():
            for start in range(0, len(fragments), _BATCH):
                batch = torch.from_numpy(np.ascontiguousarray(fragments[start : start + _BATCH], np.float32))
                features[start : start + _BATCH] = module(batch).numpy()
        return features

    def module(self, sample_rate: int) -> nn.Module:
        """Return the computation as a module, [B, n_samples] at `sample_rate` to [B, 886].

        Errors: those of `compute`.
        """
        if sample_rate not in self._front_ends:
            self._front_ends[sample_rate] = LogMel(sample_rate)
        return nn.Sequential(self._front_ends[sample_rate], self.network).eval()
