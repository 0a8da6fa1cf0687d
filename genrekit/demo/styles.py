"""The styles of the genres, as a table.

Genres differ most in time: grooves, tempo, harmony, how notes begin and end. They overlap on purpose in what a mean
spectrum shows: instruments, levels, equalization, noise floor. So a model must use the temporal structure, and no model
can be perfect.
"""

from __future__ import annotations

from dataclasses import dataclass

from genrekit.demo.instruments import Range

BEATS_PER_BAR = 4

MAJOR, MINOR = (0, 4, 7), (0, 3, 7)
POWER, DOMINANT = (0, 7, 12), (0, 4, 7, 10)
MAJOR_7, MINOR_7 = (0, 4, 7, 11), (0, 3, 7, 10)
Progression = tuple[tuple[int, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Groove:
    """The drum patterns of one bar, one character per step: "X" loud, "x" normal, "-" soft, "o" ringing, "." rest."""

    kick: str
    snare: str
    hat: str


@dataclass(frozen=True)
class GenreStyle:
    """The choices and ranges from which the tracks of one genre are drawn.

    Bars have four beats of `steps` steps. Bass patterns name chord tones: "1", "3", "5", "8", or "w" (walking: any
    tone). Chord patterns have strokes ("x") or single tones in turn ("a"). `tempo` is in beats per minute. `swing` is
    the delay of every second step, as a share of a step. Gates are note lengths, as shares of the time to the next
    note. `melody` has the probabilities of a note on a beat and between beats. Levels are in dB, `tilt_db` in dB per
    octave, and `noise_db` is relative to the music.
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
"""The style of each genre. The names of the genres are GTZAN's."""
