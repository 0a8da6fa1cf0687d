"""What counts as silence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from signals import click, sine, white_noise

from genrekit._types import FloatArray
from genrekit.audio.silence import is_silent

LEVEL = 10 ** (-80 / 20)


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(np.zeros(10_000, np.float32), id="zeros"),
        pytest.param(np.full(10_000, -1, np.float32), id="constant"),
        pytest.param(np.full(10_000, 0.5, np.float32) + white_noise(10_000, amplitude=LEVEL), id="constant-and-noise"),
        pytest.param(sine(440, 10_000, 8_000, 1.38 * LEVEL), id="tone-just-below"),
    ],
)
def test_nothing_sounds_below_80_db(piece: FloatArray) -> None:
    assert is_silent(piece)


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(sine(440, 10_000, 8_000, 1.44 * LEVEL), id="tone-just-above"),
        pytest.param(click(9_999, 10_000), id="click-at-the-end"),
        pytest.param(np.repeat(np.array([0, 0.5], np.float32), 4_096), id="step"),
        pytest.param(0.5 + sine(440, 10_000, 8_000, 0.01), id="offset"),
    ],
)
def test_all_else_sounds(piece: FloatArray) -> None:
    assert not is_silent(piece)


@given(st.integers(1, 9_000), st.floats(0, 3), st.floats(-1, 1), st.integers(0, 9))
def test_blocks_decide_as_the_whole_piece_does(n_samples: int, level: float, offset: float, seed: int) -> None:
    piece = white_noise(n_samples, seed, level * LEVEL) + np.float32(offset)
    deviation = float(np.std(piece.astype(np.float64)))
    if abs(deviation - LEVEL) > 0.01 * LEVEL:
        assert is_silent(piece) == (deviation < LEVEL)
