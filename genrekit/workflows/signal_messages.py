"""Messages about audio that is short, silent, unusual or damaged, for `prepare` and `predict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from genrekit.config import FeatureConfig, Padding
from genrekit.errors import counted, few, is_or_are

_FILLED: dict[Padding, str] = {"wrap": "repeated", "reflect": "mirrored", "zero": "padded with zeros"}


def padded(names: Sequence[str], noun: str, front_end: FeatureConfig) -> str:
    """Return the note about tracks that are shorter than a fragment.

    >>> padded(["a", "b"], "track", FeatureConfig())
    '2 tracks are shorter than a fragment (5 s) and were repeated: a, b'
    """
    return (
        f"{counted(len(names), noun)} {is_or_are(len(names))} shorter than a fragment ({front_end.duration_s:g} s) and "
        f"{'was' if len(names) == 1 else 'were'} {_FILLED[front_end.pad]}: {few(names)}"
    )


def silent_fragments(counts: Mapping[str, int], noun: str) -> str:
    """Return the note about silent fragments, by the name of their track.

    >>> silent_fragments({"a": 2, "b": 1}, "track")
    '3 silent fragments in 2 tracks were left out: a, b'
    """
    total = sum(counts.values())
    verb = "was" if total == 1 else "were"
    return f"{counted(total, 'silent fragment')} in {counted(len(counts), noun)} {verb} left out: {few([*counts])}"


def silent(names: Sequence[str]) -> str:
    """Return the warning about files in which nothing sounds.

    >>> silent(["a"])
    '1 file is silent and has no genre: a'
    """
    verb = "has" if len(names) == 1 else "have"
    return f"{counted(len(names), 'file')} {is_or_are(len(names))} silent and {verb} no genre: {few(names)}"


def cancelled(names: Sequence[str], noun: str) -> str:
    """Return the warning about tracks whose channels cancel.

    >>> cancelled(["a"], "track")
    'the channels of 1 track cancel, so only one channel was used: a'
    """
    return f"the channels of {counted(len(names), noun)} cancel, so only one channel was used: {few(names)}"


def unusual_bandwidth(bandwidths_hz: Mapping[str, float], noun: str, usual: str) -> str:
    """Return the warning about tracks whose bandwidth differs from the usual one.

    >>> unusual_bandwidth({"a": 3_900.0}, "track", "the median of 9.9 kHz")
    '1 track has a bandwidth that differs from the median of 9.9 kHz: a (3.9 kHz)'
    """
    verb = "has" if len(bandwidths_hz) == 1 else "have"
    names = [f"{name} ({khz(value)})" for name, value in bandwidths_hz.items()]
    return f"{counted(len(names), noun)} {verb} a bandwidth that differs from {usual}: {few(names)}"


def from_decoder(name: str, message: str) -> str:
    """Return the note about what a decoder library prints about a file.

    >>> from_decoder("a.mp3", "error: big_values too large!")
    'a.mp3: its decoder reports: error: big_values too large!'
    """
    return f"{name}: its decoder reports: {message}"


def khz(hertz: float) -> str:
    """Return a frequency in kHz.

    >>> khz(10_459)
    '10.5 kHz'
    """
    return f"{hertz / 1_000:.1f} kHz"
