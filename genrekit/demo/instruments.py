"""Pitched instruments: their timbres, and a player that makes notes from wave tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from genrekit._types import FloatArray

Range = tuple[float, float]


@dataclass(frozen=True)
class Instrument:
    """A pitched timbre. Each track draws a value from every range.

    Partial k has amplitude k ** -rolloff, times `even` if k is even. A note rises in `attack_s`, falls by 1/e in
    `decay_s`, and its upper partials fall by 1/e in `damping_s`. `vibrato` is the depth of the vibrato and `bend` the
    initial pitch below the note, both in semitones. `drive` is the gain before saturation.
    """

    rolloff: Range
    even: Range
    attack_s: Range
    decay_s: Range
    damping_s: Range
    vibrato: Range = (0.0, 0.0)
    bend: Range = (0.0, 0.0)
    drive: Range = (0.0, 0.0)


INSTRUMENTS: dict[str, Instrument] = {
    "piano": Instrument((1.2, 1.8), (0.7, 1.0), (0.002, 0.006), (0.4, 1.0), (0.15, 0.4)),
    "organ": Instrument((0.9, 1.6), (0.3, 1.0), (0.005, 0.02), (4.0, 9.0), (4.0, 9.0), (0.0, 0.15)),
    "acoustic": Instrument((0.9, 1.5), (0.6, 1.0), (0.002, 0.005), (0.25, 0.7), (0.06, 0.2)),
    "electric": Instrument(
        (0.9, 1.5), (0.6, 1.0), (0.003, 0.008), (0.5, 1.5), (0.2, 0.6), (0.0, 0.1), (0.0, 0.5), (0.5, 3.0)
    ),
    "distorted": Instrument(
        (0.7, 1.3), (0.6, 1.0), (0.003, 0.008), (1.0, 3.0), (0.5, 2.0), (0.0, 0.1), (0.0, 0.3), (3.0, 12.0)
    ),
    "strings": Instrument((0.9, 1.5), (0.7, 1.0), (0.06, 0.15), (3.0, 9.0), (3.0, 9.0), (0.15, 0.4)),
    "brass": Instrument((0.8, 1.4), (0.8, 1.0), (0.02, 0.05), (0.8, 3.0), (0.4, 2.0), (0.05, 0.3), (0.0, 0.5)),
    "reed": Instrument((0.9, 1.5), (0.2, 0.9), (0.02, 0.05), (1.0, 4.0), (1.0, 4.0), (0.1, 0.4), (0.0, 1.0)),
    "voice": Instrument((1.0, 1.6), (0.6, 1.0), (0.03, 0.06), (1.0, 4.0), (1.0, 4.0), (0.1, 0.4), (0.0, 1.5)),
    "synth": Instrument((0.8, 1.6), (0.0, 1.0), (0.004, 0.03), (0.3, 4.0), (0.1, 2.0)),
    "low": Instrument((1.2, 2.0), (0.5, 1.0), (0.004, 0.01), (0.3, 1.2), (0.1, 0.4)),
    "sub": Instrument((2.0, 3.0), (0.2, 1.0), (0.005, 0.02), (0.8, 2.5), (0.2, 1.0), (0.0, 0.0), (0.0, 2.0)),
}


class Player:
    """An instrument of one track. It reads a wave table at the frequency of each note."""

    TABLE = 2048

    def __init__(self, instrument: Instrument, rng: np.random.Generator, rate: int) -> None:
        self.rate = rate
        self.rolloff = rng.uniform(*instrument.rolloff)
        self.even = rng.uniform(*instrument.even)
        self.attack_s = rng.uniform(*instrument.attack_s)
        self.decay_s = rng.uniform(*instrument.decay_s)
        self.damping_s = rng.uniform(*instrument.damping_s)
        self.vibrato = rng.uniform(*instrument.vibrato)
        self.vibrato_hz = rng.uniform(4.5, 6.5)
        self.bend = rng.uniform(*instrument.bend)
        self.drive = rng.uniform(*instrument.drive)
        self.offsets = rng.uniform(0, 1, 64)
        self.notes: dict[tuple[int, int], FloatArray] = {}

    def note(self, pitch: int, length_s: float) -> FloatArray:
        """Return a note of a MIDI pitch, float32. Lengths are rounded to 20 ms, so most notes are computed once."""
        key = (pitch, max(2, round(length_s * 50)))
        if key not in self.notes:
            self.notes[key] = self._make(pitch, key[1] / 50)
        return self.notes[key]

    def amplify(self, part: FloatArray) -> FloatArray:
        """Saturate a whole part, so that the notes of a chord are distorted together."""
        rms = float(np.sqrt(np.mean(np.square(part))))
        return part if self.drive == 0 or rms == 0 else np.tanh(np.float32(self.drive / rms) * part)

    def _make(self, pitch: int, length_s: float) -> FloatArray:
        hz = 440 * 2 ** ((pitch - 69) / 12)
        release_s = 0.03
        t = time_axis(length_s + release_s, self.rate)
        sway = self.vibrato * 0.058 / (2 * np.pi * self.vibrato_hz)
        slide_s = 0.05
        phase = t - sway * np.cos(2 * np.pi * self.vibrato_hz * t) * np.minimum(t / 0.3, 1)
        phase += self.bend * 0.058 * slide_s * np.exp(-t / slide_s)
        index = (hz * self.TABLE * (phase + 1)).astype(np.int64) % self.TABLE
        dull, bright = self._tables(hz)
        wave = dull[index] + (bright - dull)[index] * np.exp(-t / self.damping_s)
        envelope = np.minimum(t / self.attack_s, 1) * np.exp(-t / self.decay_s)
        envelope *= np.minimum((length_s + release_s - t) / release_s, 1)
        return np.asarray(wave * envelope, np.float32)

    def _tables(self, hz: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return one period without and with the upper partials, all below 0.45 times the sample rate."""
        k = np.arange(1, max(2, min(64, int(0.45 * self.rate / hz))))
        amplitude = k**-self.rolloff * np.where(k % 2 == 0, self.even, 1)
        spectrum = np.zeros((2, self.TABLE // 2 + 1), np.complex128)
        spectrum[:, k] = amplitude * np.exp(2j * np.pi * self.offsets[k - 1])
        spectrum[0, k] *= k**-1.5
        dull, bright = fft.irfft(spectrum, self.TABLE) * self.TABLE / 2
        return dull, bright


def time_axis(duration_s: float, rate: int) -> FloatArray:
    """Return the time of each sample in seconds."""
    return np.arange(int(duration_s * rate), dtype=np.float32) / np.float32(rate)
