"""Cut a track into fragments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import numpy as np

from genrekit._types import FloatArray
from genrekit.config import Padding


def fragment_starts(n_track: int, n_samples: int, fragments: Literal["all", "first"] | int) -> Sequence[int]:
    """Return the starts of a track's fragments, in samples.

    `all`: consecutive whole fragments. `first`: one. A number: that many, evenly spread from the start to the end of
    the track (one is in the middle). A track that is not longer than a fragment gives one.

    >>> [*fragment_starts(10, 3, "all")], fragment_starts(10, 3, 2), fragment_starts(2, 3, "all")
    ([0, 3, 6], (0, 7), (0,))
    """
    room = n_track - n_samples
    if room <= 0 or fragments == "first":
        return (0,)
    if fragments == "all":
        return range(0, room + 1, n_samples)
    if fragments == 1:
        return (room // 2,)
    return tuple(round(position) for position in np.linspace(0, room, fragments))


def cut(waveform: FloatArray, start: int, n_samples: int) -> FloatArray:
    """Cut `n_samples` from a waveform, and pad with zeros at the end if it is shorter."""
    piece = waveform[start : start + n_samples]
    return piece if len(piece) == n_samples else np.pad(piece, (0, n_samples - len(piece)))


def lengthened(waveform: FloatArray, n_samples: int, pad: Padding) -> FloatArray:
    """Repeat or mirror a waveform that is shorter than a fragment until it fills one.

    Longer waveforms do not change. Neither does any with `zero`, because `cut` pads with zeros.

    >>> short = np.array([1, 2, 3], np.float32)
    >>> lengthened(short, 7, "wrap"), lengthened(short, 7, "reflect"), lengthened(short, 7, "zero")
    (array([1., 2., 3., 1., 2., 3., 1.], dtype=float32), array([1., 2., 3., 2., 1., 2., 3.], dtype=float32), \
array([1., 2., 3.], dtype=float32))
    """
    if pad == "zero" or len(waveform) >= n_samples:
        return waveform
    if pad == "wrap":
        return np.resize(waveform, n_samples)
    return np.pad(waveform, (0, n_samples - len(waveform)), mode="reflect")


def starts_every(hop: int, n_track: int, n_samples: int) -> range:
    """Return the starts of a track's whole fragments, one every `hop` samples, but at least one.

    >>> [*starts_every(2, 10, 3)], [*starts_every(2, 2, 3)]
    ([0, 2, 4, 6], [0])
    """
    return range(0, max(n_track - n_samples, 0) + 1, hop)


def cut_blocks(blocks: Iterable[FloatArray], n_samples: int, starts: Sequence[int]) -> Iterator[tuple[int, FloatArray]]:
    """Cut fragments from a waveform in blocks, and pad the last ones with zeros if necessary.

    Yields the start and the samples of each fragment. Starts must be sorted. Blocks are read only as needed.

    >>> blocks = [np.arange(3, dtype=np.float32), np.arange(3, 6, dtype=np.float32)]
    >>> [(start, piece.tolist()) for start, piece in cut_blocks(blocks, 3, [0, 2])]
    [(0, [0.0, 1.0, 2.0]), (2, [2.0, 3.0, 4.0])]
    """
    remaining, buffer_start = iter(blocks), 0
    buffer = np.zeros(0, np.float32)
    for start in starts:
        while buffer_start + len(buffer) < start + n_samples and (block := next(remaining, None)) is not None:
            passed = min(start - buffer_start, len(buffer))
            rest, buffer_start = buffer[passed:], buffer_start + passed
            buffer = np.concatenate([rest, block]) if len(rest) else block
        yield start, cut(buffer, start - buffer_start, n_samples)
