"""A waveform that arrives in blocks and is read like an array, from its start to its end."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from genrekit._types import FloatArray
from genrekit.errors import UnreadableAudioError

CHANGED = "it changed while it was read"
"""The reason why a file is not used whose passes differ."""


class BlockWindow:
    """A waveform of `n_samples` in blocks, of which only the part that is still needed is in memory.

    Slices are those of the whole waveform. What lies before the position of the last `forget` cannot be read again.

    >>> window = BlockWindow([np.arange(3, dtype=np.float32), np.arange(3, 6, dtype=np.float32)], 6)
    >>> window.forget(1)
    >>> len(window), window[1:4].tolist(), window[5:9].tolist()
    (6, [1.0, 2.0, 3.0], [5.0])
    """

    def __init__(self, blocks: Iterable[FloatArray], n_samples: int) -> None:
        self._remaining, self._n_samples = iter(blocks), n_samples
        self._start = self._needed = 0
        self._buffer = np.zeros(0, np.float32)

    def __len__(self) -> int:
        return self._n_samples

    def __getitem__(self, part: slice) -> FloatArray:
        """Return the samples from `part.start` to `part.stop`, which may be after the end.

        Errors: UnreadableAudioError if there are fewer samples than expected.
        """
        first, end, _ = part.indices(self._n_samples)
        assert first >= self._needed, (first, self._needed)
        self._read_to(end)
        return self._buffer[first - self._start : max(end - self._start, 0)]

    def forget(self, before: int) -> None:
        """Drop the samples before a position once more are read."""
        self._needed = max(self._needed, before)

    def _read_to(self, end: int) -> None:
        buffer_end = self._start + len(self._buffer)
        if end <= buffer_end:
            return
        parts = [self._buffer]
        while buffer_end < end:
            block = next(self._remaining, None)
            if block is None:
                raise UnreadableAudioError(CHANGED)
            parts.append(block)
            buffer_end += len(block)
            while len(parts) > 1 and self._start + len(parts[0]) <= self._needed:
                self._start += len(parts.pop(0))
        passed = max(min(self._needed - self._start, len(parts[0])), 0)
        self._start += passed
        parts[0] = parts[0][passed:]
        self._buffer = np.concatenate(parts) if len(parts) > 1 else parts[0]
