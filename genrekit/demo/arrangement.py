"""Arrange one track of a genre: what each instrument plays, and when."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from genrekit._types import FloatArray
from genrekit.demo.drums import Kit
from genrekit.demo.instruments import INSTRUMENTS, Player
from genrekit.demo.mixing import master, mix_parts, pump
from genrekit.demo.styles import BEATS_PER_BAR, GenreStyle


class Arrangement:
    """One track: its random tempo, key and progression, and the instruments that play it."""

    def __init__(self, style: GenreStyle, rng: np.random.Generator, sample_rate: int, n_samples: int) -> None:
        self.style = style
        self.rng = rng
        self.rate = sample_rate
        self.n_samples = n_samples
        self.step_s = 60.0 / rng.uniform(*style.tempo) / style.steps
        self.swing = rng.uniform(*style.swing)
        self.bar_steps = BEATS_PER_BAR * style.steps
        # A track begins anywhere in its bar, so that the position in a fragment carries no information.
        self.first_step = int(rng.integers(self.bar_steps))
        self.n_steps = int(n_samples / sample_rate / self.step_s) + 2
        self.key = int(rng.integers(12))
        self.progression = style.progressions[rng.integers(len(style.progressions))]

    def record(self) -> FloatArray:
        """Play all parts, mix them and master the mix: float32 [n_samples]."""
        style, rng, rate = self.style, self.rng, self.rate
        parts = [
            (self._drums(), style.drums_db),
            (self._bass(), style.bass_db),
            (self._chords(), style.chords_db),
            (self._lead(), style.lead_db),
        ]
        mix = mix_parts(parts, rng)
        mix = pump(mix, style, rng, rate, self.step_s * style.steps, self.first_step / style.steps)
        return master(mix, style, rng, rate)

    def _steps(self, pattern: str) -> Iterator[tuple[int, float, str]]:
        """Yield the steps of a repeated pattern that are not rests: index, time in seconds, character."""
        for step in range(self.n_steps):
            symbol = pattern[(self.first_step + step) % len(pattern)]
            if symbol != ".":
                late = self.swing * ((self.first_step + step) % 2) + self.rng.normal(0, 0.02)
                yield step, max(0.0, (step + late) * self.step_s), symbol

    def _chord(self, step: int) -> tuple[int, tuple[int, ...]]:
        root, tones = self.progression[(self.first_step + step) // self.bar_steps % len(self.progression)]
        return (self.key + root) % 12, tones

    def _add(self, part: FloatArray, time_s: float, sound: FloatArray, gain: float) -> None:
        start = int(time_s * self.rate)
        if start < self.n_samples:
            end = min(self.n_samples, start + len(sound))
            part[start:end] += np.float32(gain) * sound[: end - start]

    def _drums(self) -> FloatArray:
        style, rng = self.style, self.rng
        part = np.zeros(self.n_samples, np.float32)
        groove = style.grooves[rng.integers(len(style.grooves))]
        kit = Kit(rng, self.rate)
        levels = rng.uniform(-8, 0, 3)
        if rng.random() < style.drumless:
            return part
        loudness = {"X": 1.2, "x": 1.0, "-": 0.35, "o": 1.0}
        for pattern, level, (short, ringing) in zip(
            (groove.kick, groove.snare, groove.hat), levels, (kit.kick, kit.snare, kit.hat), strict=True
        ):
            for _, time_s, symbol in self._steps(pattern):
                gain = 10 ** (level / 20) * loudness[symbol] * rng.uniform(0.8, 1.1)
                self._add(part, time_s, ringing if symbol == "o" else short, gain)
        return part

    def _bass(self) -> FloatArray:
        style, rng = self.style, self.rng
        player = Player(INSTRUMENTS[_pick(rng, style.bass_instruments)], rng, self.rate)
        gate = rng.uniform(*style.bass_gate)
        octave = 28 + int(rng.integers(0, 8))
        part = np.zeros(self.n_samples, np.float32)
        played = list(self._steps(_pick(rng, style.bass)))
        for (step, time_s, symbol), length in zip(played, _lengths(played), strict=True):
            root, tones = self._chord(step)
            if symbol == "w":
                interval = int(rng.choice(tones)) + int(rng.integers(-1, 2))
            else:
                interval = {"1": 0, "3": tones[1], "5": 7, "8": 12}[symbol]
            pitch = octave + (root - octave) % 12 + interval
            note = player.note(pitch, gate * length * self.step_s)
            self._add(part, time_s, note, rng.uniform(0.8, 1.0))
        return player.amplify(part)

    def _chords(self) -> FloatArray:
        style, rng = self.style, self.rng
        player = Player(INSTRUMENTS[_pick(rng, style.chord_instruments)], rng, self.rate)
        gate = rng.uniform(*style.chord_gate)
        octave = 45 + int(rng.integers(0, 12))
        part = np.zeros(self.n_samples, np.float32)
        played = list(self._steps(_pick(rng, style.chords)))
        for count, ((step, time_s, symbol), length) in enumerate(zip(played, _lengths(played), strict=True)):
            root, tones = self._chord(step)
            sounding = tones if symbol == "x" else (tones[count % len(tones)],)
            for tone in sounding:
                note = player.note(octave + (root - octave) % 12 + tone, gate * length * self.step_s)
                self._add(part, time_s, note, rng.uniform(0.8, 1.0))
        return player.amplify(part)

    def _lead(self) -> FloatArray:
        style, rng = self.style, self.rng
        player = Player(INSTRUMENTS[_pick(rng, style.lead_instruments)], rng, self.rate)
        gate = rng.uniform(*style.lead_gate)
        octave = 57 + int(rng.integers(0, 12))
        on_beat, between = style.melody
        chance = np.where((self.first_step + np.arange(self.n_steps)) % style.steps == 0, on_beat, between)
        pattern = "".join("x" if hit else "." for hit in rng.random(self.n_steps) < chance)
        part = np.zeros(self.n_samples, np.float32)
        pattern = pattern[-self.first_step :] + pattern[: -self.first_step]
        played = list(self._steps(pattern))
        degree = int(rng.integers(len(style.scale)))
        for (_, time_s, _), length in zip(played, _lengths(played), strict=True):
            degree = int(np.clip(degree + rng.integers(-2, 3), -3, len(style.scale) + 3))
            octaves, step = divmod(degree, len(style.scale))
            pitch = octave + self.key + 12 * octaves + style.scale[step]
            note = player.note(pitch, gate * length * self.step_s)
            self._add(part, time_s, note, rng.uniform(0.7, 1.0))
        return player.amplify(part)


def _pick(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[rng.integers(len(choices))]


def _lengths(played: list[tuple[int, float, str]]) -> list[int]:
    """Return the steps from each note to the next one; the last note lasts a beat."""
    steps = [step for step, _, _ in played]
    return [later - step for step, later in zip(steps, [*steps[1:], steps[-1] + 4] if steps else [], strict=True)]
