"""CPU time of the pretrained features: without constant channels, against all channels of the published network.

Usage: python benchmarks/musicnn.py FOLDER [--rows NAME,...] [--repeats N] [--quick]

FOLDER is a folder of genre folders with WAV files, such as GTZAN. The input is six fragments of 5 s. The peer is the
same network with as many channels per layer as published, most of them with kernels of zeros, as plain convolutions.
Both compute the spectrogram in the same way. Outputs that differ by more than 1e-4 (relative to 1 or to the value) are
reported. CPU time is that of the process, with one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import numpy as np
import soundfile
import torch
from measuring import FRAGMENT_S, Bench, Row, Sample, run_table
from torch import nn

from genrekit._types import FloatArray
from genrekit.models.musicnn import (
    FRONT,
    N_FRONT,
    FrontLayer,
    LogMel,
    MiddleLayer,
    Musicnn,
    MusicnnExtractor,
    load_musicnn,
)

FRAGMENTS = 6
PUBLISHED_CHANNELS = (204, 204, 51, 51, 51)


class Published(Musicnn):
    """The network with as many channels as published: the missing ones have kernels of zeros."""

    def __init__(self) -> None:
        super().__init__()
        pruned = load_musicnn().state_dict()
        live: list[int] = []
        for number, ((count, frames, bands), channels) in enumerate(zip(FRONT, PUBLISHED_CHANNELS, strict=True)):
            start = sum(PUBLISHED_CHANNELS[:number])
            live += range(start, start + count)
            self.front[number] = FrontLayer(channels, frames, bands)
        n_inputs = sum(PUBLISHED_CHANNELS) + 1
        self.middle[0] = MiddleLayer(n_inputs)
        published = self.state_dict()
        for name, value in pruned.items():
            if name == "middle.0.convolution.weight":
                published[name].zero_()[:, [*live, n_inputs - 1]] = value
            elif value.shape == published[name].shape:
                published[name].copy_(value)
            else:
                published[name].zero_()[: len(value)] = value
        kept, moved = self.pooled.long(), torch.tensor(live)
        self.pooled = torch.where(kept < N_FRONT, moved[kept.clamp_max(N_FRONT - 1)], kept - N_FRONT + n_inputs - 1)


@cache
def published() -> nn.Module:
    """The network with all channels, made once."""
    with torch.no_grad():
        return Published().eval().requires_grad_(False)


def fragments(bench: Bench) -> tuple[FloatArray, int]:
    """Six fragments of the first tracks, float32 [6, n_samples], and their rate."""
    pieces: list[FloatArray] = []
    for path in sorted(bench.tracks(FRAGMENTS).rglob("*.wav")):
        waveform, rate = soundfile.read(path, dtype="float32", always_2d=True)
        n_samples = int(FRAGMENT_S * rate)
        mono = waveform[:, 0] / max(float(np.abs(waveform[:, 0]).max()), 1e-9)
        pieces += [mono[start : start + n_samples] for start in range(0, len(mono) - n_samples + 1, n_samples)]
    return np.resize(np.stack(pieces[:FRAGMENTS]), (FRAGMENTS, n_samples)), rate


def cpu_seconds(compute: Callable[[], object]) -> float:
    """CPU time of a computation, after one that warms up."""
    compute()
    started = time.process_time()
    compute()
    return time.process_time() - started


def features(bench: Bench) -> Sample:
    """CPU time of spectrogram and network, and whether both networks agree."""
    waveforms, rate = fragments(bench)
    extractor = MusicnnExtractor()
    peer = nn.Sequential(LogMel(rate), published())
    with torch.inference_mode():
        batch = torch.from_numpy(waveforms)
        ours, theirs = torch.from_numpy(extractor.compute(waveforms, rate)), peer(batch)
        difference = float(((ours - theirs).abs() / theirs.abs().clamp_min(1)).max())
        theirs_s = cpu_seconds(lambda: peer(batch))
    ours_s = cpu_seconds(lambda: extractor.compute(waveforms, rate))
    return Sample(ours_s, theirs_s, f"outputs differ by {difference:.1g}" if difference > 1e-4 else "")


def track(bench: Bench) -> Sample:
    """CPU time of a track's features; 0.5 s is allowed."""
    waveforms, rate = fragments(bench)
    extractor = MusicnnExtractor()
    return Sample(cpu_seconds(lambda: extractor.compute(waveforms, rate)), 0.5)


ROWS = [
    Row("features", "six fragments against the network with all channels", "s", "at least", 4, features),
    Row("track", "six fragments, a track of 30 s, against the time that is allowed", "s", "at most", 1, track),
]

if __name__ == "__main__":
    run_table(str(__doc__), ROWS)
