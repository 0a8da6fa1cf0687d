"""The demo collection: short synthetic tracks of ten genres, made of a drum kit, a bass, chords and a melody.

Each genre is a row of a literal table. Rows differ most in what happens in time (grooves, tempo, harmony, how notes
begin and end) and overlap on purpose in what a mean spectrum sees (instruments, levels, equalization, noise floor):
a model has to listen to tell the genres apart, and no model can tell all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import fft, signal

from genrekit._types import FloatArray
from genrekit.audio.encode import write_wav
from genrekit.errors import unknown_name

Range = tuple[float, float]
BEATS_PER_BAR = 4


@dataclass(frozen=True)
class Instrument:
    """A pitched timbre; each track draws its own value from every range.

    Partial k has amplitude k ** -rolloff, times `even` for even k. Notes start with `attack_s`, fall by 1/e in
    `decay_s` and lose their upper partials by 1/e in `damping_s`; pitch sways by `vibrato` semitones and arrives from
    `bend` semitones below. `drive` is the gain before saturation.
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

MAJOR, MINOR = (0, 4, 7), (0, 3, 7)
POWER, DOMINANT = (0, 7, 12), (0, 4, 7, 10)
MAJOR_7, MINOR_7 = (0, 4, 7, 11), (0, 3, 7, 10)
Progression = tuple[tuple[int, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Groove:
    """What the drum kit plays in one bar, a character a step: "X" loud, "x" plain, "-" soft, "o" ringing, "." rest."""

    kick: str
    snare: str
    hat: str


@dataclass(frozen=True)
class GenreStyle:
    """What the tracks of one genre draw from.

    Bars have four beats of `steps` steps. Bass patterns name chord tones ("1", "3", "5", "8", "w": any, walking), chord
    patterns are strokes ("x"), or single tones in turn ("a"). Tempo is in beats per minute, `swing` the share of
    a step by which every second one is late, lengths (`*_gate`) are shares of the time to the next note, `melody` is
    the chance of a note (on a beat, between beats), levels are in dB, `tilt_db` per octave, `noise_db` below the music.
    """

    tempo: Range
    steps: int
    grooves: tuple[Groove, ...]
    bass: tuple[str, ...]
    chords: tuple[str, ...]
    progressions: tuple[Progression, ...]
    bass_instruments: tuple[str, ...]
    chord_instruments: tuple[str, ...]
    lead_instruments: tuple[str, ...]
    scale: tuple[int, ...]
    melody: tuple[float, float]
    bass_gate: Range = (0.6, 1.0)
    chord_gate: Range = (0.6, 1.0)
    lead_gate: Range = (0.6, 1.0)
    swing: Range = (0.0, 0.05)
    drumless: float = 0.05
    pumping: Range = (0.0, 0.0)
    drums_db: Range = (-10.0, 2.0)
    bass_db: Range = (-10.0, 0.0)
    chords_db: Range = (-10.0, 0.0)
    lead_db: Range = (-12.0, 0.0)
    tilt_db: Range = (-2.5, 2.0)
    noise_db: Range = (-55.0, -28.0)
    reverb_s: Range = (0.1, 1.0)


PENTATONIC, BLUE = (0, 2, 4, 7, 9), (0, 3, 5, 6, 7, 10)
DIATONIC, NATURAL_MINOR, DORIAN = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10)

STYLES: dict[str, GenreStyle] = {
    "blues": GenreStyle(
        tempo=(70, 115),
        steps=3,
        grooves=(
            Groove("x.....x.....", "...X.....X..", "x.xx.xx.xx.x"),
            Groove("x....xx....x", "...X.....X..", "x..x..x..x.."),
            Groove("x.....x..x..", "...X..-..X.-", "x-xx-xx-xx-x"),
        ),
        bass=("1..1.15..5.5", "1.13.35.5w.w", "1..3..5..w.."),
        chords=("x.xx.xx.xx.x", "..x..x..x..x", "x....x......"),
        progressions=(
            ((0, DOMINANT), (0, DOMINANT), (5, DOMINANT), (0, DOMINANT)),
            ((7, DOMINANT), (5, DOMINANT), (0, DOMINANT), (7, DOMINANT)),
            ((0, DOMINANT), (5, DOMINANT), (0, DOMINANT), (0, DOMINANT)),
        ),
        bass_instruments=("low",),
        chord_instruments=("electric", "piano", "organ", "acoustic"),
        lead_instruments=("electric", "voice", "reed"),
        scale=BLUE,
        melody=(0.55, 0.3),
        chord_gate=(0.3, 0.8),
    ),
    "classical": GenreStyle(
        tempo=(55, 120),
        steps=4,
        grooves=(Groove("x...............", "................", "................"),),
        bass=("1...............", "1.......5.......", "1...5...3...5..."),
        chords=("a.a.a.a.a.a.a.a.", "aaaaaaaaaaaaaaaa", "x...............", "x.......x......."),
        progressions=(
            ((0, MAJOR), (5, MAJOR), (7, MAJOR), (0, MAJOR)),
            ((0, MINOR), (8, MAJOR), (5, MINOR), (7, MAJOR)),
            ((0, MAJOR), (9, MINOR), (2, MINOR), (7, MAJOR)),
        ),
        bass_instruments=("strings", "piano", "low"),
        chord_instruments=("strings", "piano", "acoustic", "organ"),
        lead_instruments=("strings", "reed", "piano", "brass"),
        scale=DIATONIC,
        melody=(0.6, 0.2),
        lead_gate=(0.9, 1.1),
        chord_gate=(0.8, 1.1),
        drumless=0.9,
    ),
    "country": GenreStyle(
        tempo=(85, 135),
        steps=4,
        grooves=(
            Groove("x.......x.......", "....X.......X...", "x...x...x...x..."),
            Groove("x.......x.......", "--x---x---x---x-", "................"),
            Groove("x.....x.x.......", "....X.......X...", "x.x.x.x.x.x.x.x."),
        ),
        bass=("1.......5.......", "1.......5.....3.", "1...5...1...5..."),
        chords=("....x.......x...", "..x.x.x...x.x.x.", "aaaaaaaaaaaaaaaa", "....x.xx....x.xx"),
        progressions=(
            ((0, MAJOR), (5, MAJOR), (0, MAJOR), (7, MAJOR)),
            ((0, MAJOR), (0, MAJOR), (5, MAJOR), (7, MAJOR)),
        ),
        bass_instruments=("low",),
        chord_instruments=("acoustic", "acoustic", "electric", "piano"),
        lead_instruments=("voice", "acoustic", "strings", "electric"),
        scale=PENTATONIC,
        melody=(0.5, 0.2),
        chord_gate=(0.5, 0.9),
        drumless=0.15,
    ),
    "disco": GenreStyle(
        tempo=(108, 130),
        steps=4,
        grooves=(
            Groove("x...x...x...x...", "....X.......X...", "..o...o...o...o."),
            Groove("x...x...x...x...", "....X.......X...", "x-o-x-o-x-o-x-o-"),
            Groove("x...x...x...x...", "....X.......X.-.", "xxoxxxoxxxoxxxox"),
        ),
        bass=("1.8.1.8.1.8.1.8.", "..8...8...8...8.", "1.8.1.8.1.853.8."),
        chords=("x...............", "x.xxx.xxx.xxx.xx", "..x...x...x..x.x"),
        progressions=(
            ((0, MINOR_7), (5, MINOR_7), (0, MINOR_7), (7, MINOR_7)),
            ((0, MINOR), (10, MAJOR), (8, MAJOR), (7, MAJOR)),
        ),
        bass_instruments=("low", "synth"),
        chord_instruments=("strings", "electric", "piano", "synth"),
        lead_instruments=("voice", "strings", "brass"),
        scale=NATURAL_MINOR,
        melody=(0.45, 0.25),
    ),
    "hiphop": GenreStyle(
        tempo=(78, 104),
        steps=4,
        grooves=(
            Groove("x.....x...x.....", "....X.......X...", "x.x.x.x.x.x.x.x."),
            Groove("x..x......x..x..", "....X.......X..-", "x-x-x-x-x-x-x-x-"),
            Groove("x.x....x..x.....", "....X.......X...", "x.x.xxx.x.x.x.xx"),
        ),
        bass=("1.....1...1.....", "1..........1....", "1.......3.5....."),
        chords=("x...............", "x.....x.........", "a...a.a...a.a..."),
        progressions=(
            ((0, MINOR_7), (0, MINOR_7)),
            ((0, MINOR), (8, MAJOR)),
            ((0, MINOR_7), (5, MINOR_7)),
        ),
        bass_instruments=("sub", "low"),
        chord_instruments=("piano", "synth", "strings", "organ"),
        lead_instruments=("voice",),
        scale=(0, 3),
        melody=(0.8, 0.6),
        lead_gate=(0.3, 0.6),
        swing=(0.1, 0.35),
    ),
    "jazz": GenreStyle(
        tempo=(110, 190),
        steps=3,
        grooves=(
            Groove("x...........", "............", "x..x.xx..x.x"),
            Groove("............", "...-.....-..", "x..x.xx..x.x"),
            Groove("x.....-.....", "-....-...-..", "x..x.xx..x.x"),
        ),
        bass=("1..w..w..w..", "1..w..5..w..", "w..w.ww..w.."),
        chords=("x....x......", "...x.....x..", "..x.....x..."),
        progressions=(
            ((2, MINOR_7), (7, DOMINANT), (0, MAJOR_7), (0, MAJOR_7)),
            ((0, MAJOR_7), (9, MINOR_7), (2, MINOR_7), (7, DOMINANT)),
            ((0, DOMINANT), (5, DOMINANT), (0, DOMINANT), (0, DOMINANT)),
        ),
        bass_instruments=("low",),
        chord_instruments=("piano", "electric", "organ"),
        lead_instruments=("reed", "brass", "piano", "electric"),
        scale=DORIAN,
        melody=(0.7, 0.5),
        chord_gate=(0.2, 0.6),
        drumless=0.1,
    ),
    "metal": GenreStyle(
        tempo=(120, 190),
        steps=4,
        grooves=(
            Groove("xxxxxxxxxxxxxxxx", "....X.......X...", "x...x...x...x..."),
            Groove("x.xxx.xxx.xxx.xx", "....X.......X...", "x...x...x...x..."),
            Groove("x.x.x.x.x.x.x.x.", "..X...X...X...X.", "x.x.x.x.x.x.x.x."),
        ),
        bass=("1111111111111111", "1.111.111.111.11", "1.1.1.1.1.1.1.1."),
        chords=("xxxxxxxxxxxxxxxx", "x.xxx.xxx.xxx.xx", "x.x.xxxxx.x.xxxx"),
        progressions=(
            ((0, POWER), (1, POWER), (0, POWER), (6, POWER)),
            ((0, POWER), (8, POWER), (10, POWER), (0, POWER)),
        ),
        bass_instruments=("low",),
        chord_instruments=("distorted",),
        lead_instruments=("distorted", "voice"),
        scale=NATURAL_MINOR,
        melody=(0.5, 0.35),
        chord_gate=(0.4, 0.8),
    ),
    "pop": GenreStyle(
        tempo=(95, 130),
        steps=4,
        grooves=(
            Groove("x...x...x...x...", "....X.......X...", "x.x.x.x.x.x.x.x."),
            Groove("x.......x.x.....", "....X.......X...", "x-x-x-x-x-x-x-x-"),
            Groove("x.....x.x.......", "....X.......X...", "x.x.x.x.x.x.x.o."),
        ),
        bass=("1.1.1.1.1.1.1.1.", "1.....1.1.......", "1..1..1.1..1..1."),
        chords=("x...............", "x..x..x.x..x..x.", "a.a.a.a.a.a.a.a."),
        progressions=(
            ((0, MAJOR), (7, MAJOR), (9, MINOR), (5, MAJOR)),
            ((9, MINOR), (5, MAJOR), (0, MAJOR), (7, MAJOR)),
        ),
        bass_instruments=("synth", "low", "sub"),
        chord_instruments=("synth", "piano", "electric", "acoustic"),
        lead_instruments=("voice", "voice", "synth"),
        scale=PENTATONIC,
        melody=(0.65, 0.35),
        pumping=(0.0, 0.6),
    ),
    "reggae": GenreStyle(
        tempo=(66, 95),
        steps=4,
        grooves=(
            Groove("........x.......", "........X.......", "x.x.x.x.x.x.x.x."),
            Groove("x...x...x...x...", "........X.......", "x.x.x.x.x.x.x.x."),
            Groove("........x.......", "........X.....-.", "x.xxx.xxx.xxx.xx"),
        ),
        bass=("1..1..5.....3.1.", "....1.1.3.5.....", "1.....3.5..5...."),
        chords=("....x.......x...", "..x...x...x...x.", "....xx......xx.."),
        progressions=(
            ((0, MINOR), (5, MINOR)),
            ((0, MAJOR), (5, MAJOR), (7, MAJOR), (5, MAJOR)),
            ((0, MAJOR), (2, MINOR)),
        ),
        bass_instruments=("sub", "low"),
        chord_instruments=("electric", "organ", "piano", "acoustic"),
        lead_instruments=("voice", "organ", "brass"),
        scale=PENTATONIC,
        melody=(0.35, 0.25),
        chord_gate=(0.1, 0.25),
    ),
    "rock": GenreStyle(
        tempo=(95, 150),
        steps=4,
        grooves=(
            Groove("x.......x.x.....", "....X.......X...", "x.x.x.x.x.x.x.x."),
            Groove("x.x.....x.x.....", "....X.......X...", "o.o.o.o.o.o.o.o."),
            Groove("x.....x.x.......", "....X.......X.-.", "x...x...x...x..."),
        ),
        bass=("1.1.1.1.1.1.1.1.", "1.......1.1.....", "1.1.1.1.5.5.3.3."),
        chords=("x.......x.....x.", "x.x.x.x.x.x.x.x.", "x..x..x...x.x..."),
        progressions=(
            ((0, POWER), (10, POWER), (5, POWER), (0, POWER)),
            ((0, MAJOR), (5, MAJOR), (7, MAJOR), (5, MAJOR)),
            ((9, MINOR), (5, MAJOR), (0, MAJOR), (7, MAJOR)),
        ),
        bass_instruments=("low",),
        chord_instruments=("distorted", "electric", "electric"),
        lead_instruments=("voice", "electric", "distorted"),
        scale=PENTATONIC,
        melody=(0.5, 0.3),
    ),
}
"""The genres of the demo collection, under GTZAN's names."""

GENRES = tuple(STYLES)


def synthesize_track(genre: str, index: int, seed: int, sample_rate: int, duration_s: float) -> FloatArray:
    """Make one track: float32 [n_samples] within [-1, 1], the same for the same arguments.

    Errors: UsageError for a genre that is not among `GENRES`.
    """
    if genre not in STYLES:
        raise unknown_name("genre", genre, GENRES)
    rng = np.random.default_rng([seed, GENRES.index(genre), index])
    return _Session(STYLES[genre], rng, sample_rate, round(duration_s * sample_rate)).record()


def write_collection(
    root: Path,
    *,
    tracks_per_genre: int,
    duration_s: float,
    sample_rate: int,
    seed: int,
    genres: Sequence[str] = GENRES,
    on_track: Callable[[int, int], None] | None = None,
) -> None:
    """Write a folder of tracks per genre as 16-bit mono WAV: `blues/demo-blues-000.wav` and so on.

    A track does not depend on how many are written, or of which genres; it lasts `duration_s` seconds at
    `sample_rate` Hz. `on_track` is told (tracks written, tracks in all).
    Errors: UsageError for a genre that is not among `GENRES`.
    """
    total = tracks_per_genre * len(genres)
    for done, (genre, index) in enumerate(((g, i) for g in genres for i in range(tracks_per_genre)), start=1):
        waveform = synthesize_track(genre, index, seed, sample_rate, duration_s)
        write_wav(root / genre / f"demo-{genre}-{index:03d}.wav", waveform, sample_rate)
        if on_track is not None:
            on_track(done, total)


class _Session:
    """One track in the making: what it drew from its style, and the studio that plays it."""

    def __init__(self, style: GenreStyle, rng: np.random.Generator, sample_rate: int, n_samples: int) -> None:
        self.style = style
        self.rng = rng
        self.rate = sample_rate
        self.n_samples = n_samples
        self.step_s = 60.0 / rng.uniform(*style.tempo) / style.steps
        self.swing = rng.uniform(*style.swing)
        self.bar_steps = BEATS_PER_BAR * style.steps
        # A track begins anywhere in its bar, so that nothing can be read off the position in a fragment.
        self.first_step = int(rng.integers(self.bar_steps))
        self.n_steps = int(n_samples / sample_rate / self.step_s) + 2
        self.key = int(rng.integers(12))
        self.progression = style.progressions[rng.integers(len(style.progressions))]

    def record(self) -> FloatArray:
        """Play all parts and mix them."""
        style, rng = self.style, self.rng
        parts = [
            (self._drums(), style.drums_db),
            (self._bass(), style.bass_db),
            (self._chords(), style.chords_db),
            (self._lead(), style.lead_db),
        ]
        mix = np.zeros(self.n_samples, np.float32)
        for part, level_db in parts:
            gain = 10 ** (rng.uniform(*level_db) / 20)
            rms = float(np.sqrt(np.mean(np.square(part))))
            if rms > 0:
                mix += np.float32(gain / rms) * part
        return self._master(mix)

    def _steps(self, pattern: str) -> Iterator[tuple[int, float, str]]:
        """Sounding steps of a repeated pattern: index of the step, its time in seconds, its character."""
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
        kit = _Kit(rng, self.rate)
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
        player = _Player(INSTRUMENTS[_pick(rng, style.bass_instruments)], rng, self.rate)
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
        player = _Player(INSTRUMENTS[_pick(rng, style.chord_instruments)], rng, self.rate)
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
        player = _Player(INSTRUMENTS[_pick(rng, style.lead_instruments)], rng, self.rate)
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
            turns, place = divmod(degree, len(style.scale))
            pitch = octave + self.key + 12 * turns + style.scale[place]
            note = player.note(pitch, gate * length * self.step_s)
            self._add(part, time_s, note, rng.uniform(0.7, 1.0))
        return player.amplify(part)

    def _master(self, mix: FloatArray) -> FloatArray:
        """Pumping, room and equalization in one convolution, the noise floor, and a peak between -6 and -0.5 dBFS."""
        style, rng, rate = self.style, self.rng, self.rate
        depth = rng.uniform(*style.pumping)
        if depth > 0:
            beat = np.arange(self.n_samples, dtype=np.float32) / np.float32(rate * self.step_s * style.steps)
            beat += np.float32(self.first_step / style.steps)
            mix = mix * (1 - np.float32(depth) * (1 - beat % 1) ** 2)
        room_s = rng.uniform(*style.reverb_s)
        tail = rng.standard_normal(round(room_s * rate), np.float32)
        tail *= np.exp(np.linspace(0, -6.9, len(tail), dtype=np.float32))
        wet = 10 ** (rng.uniform(-25, -8) / 20)
        response = np.float32(wet) * tail / np.sqrt(np.sum(np.square(tail)))
        response[0] += 1
        n_fft = fft.next_fast_len(self.n_samples + len(response) - 1, real=True)
        spectrum = fft.rfft(mix, n_fft) * fft.rfft(response, n_fft) * self._equalizer(n_fft)
        mix = fft.irfft(spectrum, n_fft)[: self.n_samples]
        floor = 10 ** (rng.uniform(*style.noise_db) / 20) * float(np.sqrt(np.mean(np.square(mix))))
        mix += np.float32(floor) * rng.standard_normal(self.n_samples, np.float32)
        peak = 10 ** (rng.uniform(-6, -0.5) / 20)
        loudest = float(np.max(np.abs(mix)))
        # A track that ends before its first note is silent.
        return (mix * np.float32(peak / loudest if loudest > 0 else 0)).astype(np.float32)

    def _equalizer(self, n_fft: int) -> FloatArray:
        """Gain per frequency bin: a tilt, and bumps and dips an octave or so wide."""
        octaves = np.log2(np.maximum(fft.rfftfreq(n_fft, 1 / self.rate), 20) / 1000).astype(np.float32)
        knots = np.arange(-6, 6)
        gains_db = self.rng.normal(0, 3, len(knots)) + self.rng.uniform(*self.style.tilt_db) * knots
        return np.asarray(10 ** (np.interp(octaves, knots, gains_db) / 20), np.float32)


class _Kit:
    """Drum sounds of one track, each as (short, ringing)."""

    def __init__(self, rng: np.random.Generator, rate: int) -> None:
        self.kick = self._twice(lambda decay_s: _kick(rng, rate, decay_s), rng.uniform(0.06, 0.2), 2)
        self.snare = self._twice(lambda decay_s: _snare(rng, rate, decay_s), rng.uniform(0.04, 0.12), 2)
        self.hat = self._twice(lambda decay_s: _hat(rng, rate, decay_s), rng.uniform(0.015, 0.06), 4)

    @staticmethod
    def _twice(make: Callable[[float], FloatArray], decay_s: float, ratio: float) -> tuple[FloatArray, FloatArray]:
        return make(decay_s), make(ratio * decay_s)


def _kick(rng: np.random.Generator, rate: int, decay_s: float) -> FloatArray:
    t = _time(5 * decay_s, rate)
    low, drop, fall_s = rng.uniform(42, 65), rng.uniform(80, 250), rng.uniform(0.01, 0.04)
    phase = low * t + drop * fall_s * (1 - np.exp(-t / fall_s))
    click = rng.uniform(0, 0.5) * rng.standard_normal(len(t), np.float32) * np.exp(-t / 0.004)
    return np.asarray(np.sin(2 * np.pi * phase) * np.exp(-t / decay_s) + click, np.float32)


def _snare(rng: np.random.Generator, rate: int, decay_s: float) -> FloatArray:
    t = _time(5 * decay_s, rate)
    body = np.sin(2 * np.pi * rng.uniform(160, 260) * t) * np.exp(-t / (0.6 * decay_s))
    rattle = _noise(rng, rate, len(t), rng.uniform(500, 2500)) * np.exp(-t / decay_s)
    return np.asarray(rng.uniform(0.2, 1.0) * body + rattle, np.float32)


def _hat(rng: np.random.Generator, rate: int, decay_s: float) -> FloatArray:
    t = _time(5 * decay_s, rate)
    return np.asarray(_noise(rng, rate, len(t), rng.uniform(3000, 6000)) * np.exp(-t / decay_s), np.float32)


def _noise(rng: np.random.Generator, rate: int, n_samples: int, above_hz: float) -> FloatArray:
    b, a = signal.butter(2, min(above_hz, 0.4 * rate), "highpass", fs=rate)
    filtered = signal.lfilter(b, a, rng.standard_normal(n_samples))
    return np.asarray(filtered, np.float32)


class _Player:
    """One instrument as a track plays it: a wave table per pitch, read at the speed of the note."""

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
        """A note of a MIDI pitch; lengths are rounded to 20 ms, so that most notes are made once."""
        key = (pitch, max(2, round(length_s * 50)))
        if key not in self.notes:
            self.notes[key] = self._make(pitch, key[1] / 50)
        return self.notes[key]

    def amplify(self, part: FloatArray) -> FloatArray:
        """Saturate a whole part, so that the notes of a chord distort together."""
        rms = float(np.sqrt(np.mean(np.square(part))))
        return part if self.drive == 0 or rms == 0 else np.tanh(np.float32(self.drive / rms) * part)

    def _make(self, pitch: int, length_s: float) -> FloatArray:
        hz = 440 * 2 ** ((pitch - 69) / 12)
        release_s = 0.03
        t = _time(length_s + release_s, self.rate)
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
        """One period without and with the upper partials, all below 0.45 of the sample rate."""
        k = np.arange(1, max(2, min(64, int(0.45 * self.rate / hz))))
        amplitude = k**-self.rolloff * np.where(k % 2 == 0, self.even, 1)
        spectrum = np.zeros((2, self.TABLE // 2 + 1), np.complex128)
        spectrum[:, k] = amplitude * np.exp(2j * np.pi * self.offsets[k - 1])
        spectrum[0, k] *= k**-1.5
        dull, bright = fft.irfft(spectrum, self.TABLE) * self.TABLE / 2
        return dull, bright


def _time(duration_s: float, rate: int) -> FloatArray:
    return np.arange(int(duration_s * rate), dtype=np.float32) / np.float32(rate)


def _pick(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[rng.integers(len(choices))]


def _lengths(played: list[tuple[int, float, str]]) -> list[int]:
    """Steps from each note to the next one; the last lasts a beat."""
    steps = [step for step, _, _ in played]
    return [later - step for step, later in zip(steps, [*steps[1:], steps[-1] + 4] if steps else [], strict=True)]
