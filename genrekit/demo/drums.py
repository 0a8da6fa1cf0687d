"""The drum kit of a track."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import signal

from genrekit._types import FloatArray
from genrekit.demo.instruments import time_axis


class Kit:
    """The drum sounds of one track, each as a pair: short, ringing."""

    def __init__(self, rng: np.random.Generator, rate: int) -> None:
        self.kick = self._twice(lambda decay_s: _kick(rng, rate, decay_s), rng.uniform(0.06, 0.2), 2)
        self.snare = self._twice(lambda decay_s: _snare(rng, rate, decay_s), rng.uniform(0.04, 0.12), 2)
        self.hat = self._twice(lambda decay_s: _hat(rng, rate, decay_s), rng.uniform(0.015, 0.06), 4)

    @staticmethod
    def _twice(make: Callable[[float], FloatArray], decay_s: float, ratio: float) -> tuple[FloatArray, FloatArray]:
        return make(decay_s), make(ratio * decay_s)


def _kick(rng: np.random.Generator, rate: int, decay_s: float) -> FloatArray:
    t = time_axis(5 * decay_s, rate)
    low, drop, fall_s = rng.uniform(42, 65), rng.uniform(80, 250), rng.uniform(0.01, 0.04)
    phase = low * t + drop * fall_s * (1 - np.exp(-t / fall_s))
    click = rng.uniform(0, 0.5) * rng.standard_normal(len(t), np.float32) * np.exp(-t / 0.004)
    return np.asarray(np.sin(2 * np.pi * phase) * np.exp(-t / decay_s) + click, np.float32)


def _snare(rng: np.random.Generator, rate: int, decay_s: float) -> FloatArray:
    t = time_axis(5 * decay_s, rate)
    body = np.sin(2 * np.pi * rng.uniform(160, 260) * t) * np.exp(-t / (0.6 * decay_s))
    rattle = _noise(rng, rate, len(t), rng.uniform(500, 2500)) * np.exp(-t / decay_s)
    return np.asarray(rng.uniform(0.2, 1.0) * body + rattle, np.float32)


def _hat(rng: np.random.Generator, rate: int, decay_s: float) -> FloatArray:
    t = time_axis(5 * decay_s, rate)
    return np.asarray(_noise(rng, rate, len(t), rng.uniform(3000, 6000)) * np.exp(-t / decay_s), np.float32)


def _noise(rng: np.random.Generator, rate: int, n_samples: int, above_hz: float) -> FloatArray:
    b, a = signal.butter(2, min(above_hz, 0.4 * rate), "highpass", fs=rate)
    filtered = signal.lfilter(b, a, rng.standard_normal(n_samples))
    return np.asarray(filtered, np.float32)
