"""Compare the parts that librosa and torchaudio compute, or could compute, with the same parts written by hand.

Usage: python benchmarks/audio_libraries.py FOLDER [--rows NAME,...] [--repeats N] [--quick]

FOLDER is a folder of genre folders with WAV files, such as GTZAN; its tracks give the mel spectrograms. Prints one
table: what, ours, the peer's or the most that is allowed, their ratio (median of the repeats, and the range), the bar,
met or missed. A row counts as missed if the two results differ. Each figure is the least of several alternating
measurements with one thread, CPU time except for the rows `filters` and `import`, which start processes.

Where genrekit calls the library, the peer is the code by hand that it replaced. Where genrekit keeps its own code
(`filters`, `shape`), the peer is the library.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any
from unittest.mock import patch

import librosa
import numpy as np
import numpy.typing as npt
import torch
from batches import prepared
from measuring import Bench, Row, Sample, run_table, seconds
from torch import Tensor, nn
from torch.nn import functional

from genrekit._types import FloatArray
from genrekit.audio import mel_descriptors as mel_statistics
from genrekit.audio.features import analysis_window, mel_filters
from genrekit.config import PrepareConfig, TrainConfig
from genrekit.inference.front_end import Mel
from genrekit.training.augment import BatchAugmentation

OUR_FILTERS = """
from genrekit.audio.features import mel_filters
from genrekit.config import FeatureConfig
mel_filters(FeatureConfig())
"""

LIBROSA_FILTERS = """
import numpy as np
import librosa
librosa.filters.mel(sr=22_050, n_fft=2_048, n_mels=128, fmin=30.0, dtype=np.float64)
"""

DESCRIPTORS = """
import numpy as np
from genrekit.audio.mel_descriptors import mel_statistics
from genrekit.config import FeatureConfig
mel_statistics(np.ones((1, 128, 216), np.float32), FeatureConfig())
"""

IMPORT_ALLOWED_S = 5.0
"""The most that loading librosa may add to the first descriptors of a process."""


def compared(ours: Callable[[], object], peer: Callable[[], object], bench: Bench, fault: str = "") -> Sample:
    """Milliseconds of CPU time of two functions, the least of alternating calls."""
    taken: dict[Callable[[], object], list[float]] = {ours: [], peer: []}
    for _ in range(2 if bench.quick else 30):
        for work, times in taken.items():
            started = time.process_time()
            work()
            times.append(time.process_time() - started)
    return Sample(1_000 * min(taken[ours]), 1_000 * min(taken[peer]), fault)


def fresh(script: str, bench: Bench) -> float:
    """Seconds of a new Python process that runs a script, the least of several."""
    return min(seconds([sys.executable, "-c", script]) for _ in range(1 if bench.quick else 3))


def mels(bench: Bench) -> FloatArray:
    """Mel spectrograms of at most 64 fragments, float32 [N, 128, 216]."""
    return np.asarray(prepared(bench).tensor("mel")[:64], np.float32)


def filters(bench: Bench) -> Sample:
    """Start Python, import and compute the mel filter bank."""
    return Sample(fresh(OUR_FILTERS, bench), fresh(LIBROSA_FILTERS, bench))


class MelByHand(nn.Module):
    """The mel front end without torchaudio."""

    def __init__(self, config: PrepareConfig) -> None:
        super().__init__()
        self.front_end = config.front_end
        self.window = torch.from_numpy(analysis_window(config.front_end.n_fft))
        self.filters = torch.from_numpy(mel_filters(config.front_end)).float()

    def forward(self, waveform: Tensor) -> Tensor:
        """Transform [B, n_samples] to [B, n_mels, n_frames]."""
        half, top_db = len(self.window) // 2, self.front_end.top_db
        padded = functional.pad(waveform.unsqueeze(1), (half, half), mode="reflect").squeeze(1)
        hop = self.front_end.hop_length
        spectrum = torch.stft(padded, 2 * half, hop, window=self.window, center=False, return_complex=True)
        power = torch.matmul(self.filters, torch.view_as_real(spectrum).square().sum(dim=-1))
        floored = (power / power.amax(dim=(1, 2), keepdim=True)).clamp_min(10 ** (-top_db / 10))
        unit = (floored.log() * (10 / math.log(10) / top_db) + 1).clamp(0, 1)
        return unit.half().float()


def front_end(bench: Bench) -> Sample:
    """Transform eight waveforms with torchaudio's spectrogram and decibels, and by hand."""
    config, generator = PrepareConfig(), torch.Generator().manual_seed(0)
    clips = torch.rand(8, config.front_end.n_samples, generator=generator) - 0.5
    ours, peer = Mel(config), MelByHand(config)
    with torch.inference_mode():
        differ = float((ours(clips) - peer(clips)).abs().max()) > 1e-3
        return compared(partial(ours, clips), partial(peer, clips), bench, "results differ" if differ else "")


class MasksByHand(BatchAugmentation):
    """SpecAugment with ranges that numpy draws."""

    def _masked(self, inputs: Tensor, draw: Any) -> Tensor:  # noqa: ARG002 - all fragments are its own
        count, n_bands, n_frames = inputs.shape
        bands = self._ranges(count, n_bands, self._config.spec_freq_mask)
        frames = self._ranges(count, n_frames, self._config.spec_time_mask)
        return torch.where(bands[:, :, None] | frames[:, None, :], self._neutral, inputs)

    def _ranges(self, count: int, length: int, max_width: int) -> Tensor:
        width = self._random.integers(max_width + 1, size=(count, 1))
        start = self._random.integers(length - width + 1)
        index = np.arange(length)
        return torch.from_numpy((index >= start) & (index < start + width))


def masks(bench: Bench) -> Sample:
    """Mask a batch of 32 mel spectrograms with torchaudio, and by hand."""
    config = TrainConfig.of({"spec_freq_mask": 15, "spec_time_mask": 25})
    inputs = torch.rand(32, 128, 216, generator=torch.Generator().manual_seed(0))
    neutral, targets = torch.full((128, 1), 2.0), torch.zeros(32, dtype=torch.int64)
    ours, peer = (kind(config, neutral, 1) for kind in (BatchAugmentation, MasksByHand))
    ours_share, peer_share = (
        np.mean([float((augment(inputs, targets).inputs == 2).float().mean()) for _ in range(50)])
        for augment in (ours, peer)
    )
    fault = "" if abs(ours_share - peer_share) < 0.02 else "masked shares differ"
    return compared(partial(ours, inputs, targets), partial(peer, inputs, targets), bench, fault)


def mfcc_by_hand(decibels: FloatArray) -> FloatArray:
    """The first 20 coefficients of the orthonormal DCT-II over the bands."""
    n_bands = decibels.shape[1]
    basis = np.sqrt(2 / n_bands) * np.cos(np.pi * np.arange(20)[:, None] * (np.arange(n_bands) + 0.5) / n_bands)
    basis[0] /= np.sqrt(2)
    return np.matmul(basis.astype(np.float32), decibels)


def onset_strength_by_hand(decibels: FloatArray) -> FloatArray:
    """Mean rise over the bands from each frame to the next."""
    return np.maximum(np.diff(decibels, axis=2), 0).mean(axis=1)


def autocorrelation_by_hand(series: FloatArray, lags: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Normalized autocorrelation, interpolated between samples."""
    n = series.shape[1]
    centred = series.astype(np.float64) - series.mean(axis=1, keepdims=True)
    raw = np.fft.irfft(np.square(np.abs(np.fft.rfft(centred, 2 * n, axis=1))), 2 * n, axis=1)[:, :n]
    raw = np.concatenate([raw / np.maximum(raw[:, :1], 1e-9), np.zeros((len(raw), 2))], axis=1)
    below = np.minimum(lags.astype(np.int64), n)
    share = np.clip(lags - below, 0, 1)
    return raw[:, below] * (1 - share) + raw[:, below + 1] * share


def tonnetz_by_hand(classes: FloatArray) -> FloatArray:
    """Positions on the circles of fifths, minor thirds and major thirds."""
    circles = [(1.0, 7 / 6), (1.0, 3 / 2), (0.5, 2 / 3)]
    rows = [radius * wave(np.pi * turn * np.arange(12)) for radius, turn in circles for wave in (np.sin, np.cos)]
    return np.matmul(np.array(rows, dtype=np.float32), classes)


BY_HAND: dict[str, Callable[..., object]] = {
    "mfcc": mfcc_by_hand,
    "onset_strength": onset_strength_by_hand,
    "autocorrelation": autocorrelation_by_hand,
    "tonnetz": tonnetz_by_hand,
}


def statistics_by_hand(values: FloatArray) -> FloatArray:
    """All descriptors, with the parts by hand in place of librosa's."""
    with ExitStack() as stack:
        for name, function in BY_HAND.items():
            stack.enter_context(patch.object(mel_statistics, name, function))
        return mel_statistics.mel_statistics(values, PrepareConfig().front_end)


def descriptors(bench: Bench) -> Sample:
    """Compute the descriptors of 64 fragments, with librosa's parts and with those by hand."""
    values = mels(bench)
    ours = partial(mel_statistics.mel_statistics, values, PrepareConfig().front_end)
    peer = partial(statistics_by_hand, values)
    same = np.allclose(ours(), peer(), rtol=1e-4, atol=1e-3)
    return compared(ours, peer, bench, "" if same else "results differ")


def librosa_shape(decibels: FloatArray) -> FloatArray:
    """Centre, width and flatness of the spectrum and its level, as librosa computes them: mean and deviation."""
    power, position = librosa.db_to_power(decibels), np.linspace(0, 1, decibels.shape[1], dtype=np.float32)
    centre = librosa.feature.spectral_centroid(S=power, freq=position)
    width = librosa.feature.spectral_bandwidth(S=power, freq=position, centroid=centre)
    flatness = 10 * np.log10(librosa.feature.spectral_flatness(S=power, power=1.0))
    series = np.concatenate([centre, width, flatness, decibels.mean(axis=1, keepdims=True)], axis=1)
    return np.concatenate([series.mean(axis=2), series.std(axis=2)], axis=1)


def shape(bench: Bench) -> Sample:
    """Compute centre, width and flatness of the spectra of 64 fragments, ours and librosa's."""
    decibels = mels(bench) * np.float32(PrepareConfig().front_end.top_db)
    ours, peer = partial(mel_statistics._shape, decibels), partial(librosa_shape, decibels)
    same = np.allclose(ours(), peer(), rtol=1e-3, atol=1e-3)
    return compared(ours, peer, bench, "" if same else "results differ")


def loading(bench: Bench) -> Sample:
    """Seconds that loading librosa adds to the first descriptors of a process; five are allowed."""
    without = "import numpy, pydantic, genrekit.audio.mel_descriptors"
    return Sample(fresh(DESCRIPTORS, bench) - fresh(without, bench), IMPORT_ALLOWED_S)


ROWS = [
    Row("filters", "our mel filter bank in a new process against librosa's", "s", "at least", 3, filters),
    Row("front-end", "torch front end of 8 clips with torchaudio against by hand", "ms", "at most", 1.1, front_end),
    Row("masks", "masks of 32 mel fragments with torchaudio against by hand", "ms", "at most", 1.1, masks),
    Row("descriptors", "descriptors of 64 fragments with librosa against by hand", "ms", "at most", 1.2, descriptors),
    Row("shape", "our centre, width and flatness of spectra against librosa's", "ms", "at least", 2, shape),
    Row("import", "what loading librosa adds to a process's first descriptors", "s", "at most", 1, loading),
]

if __name__ == "__main__":
    torch.set_num_threads(1)
    run_table(str(__doc__), ROWS)
