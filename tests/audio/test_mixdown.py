"""Which channels are mixed, and when one of them is used."""

import numpy as np
import pytest
from signals import sine, white_noise

from genrekit._types import FloatArray
from genrekit.audio.mixdown import Mixdown, mixed

MUSIC = sine(440, 8_000, 8_000, 0.4) + white_noise(8_000, amplitude=0.1)


def used(*channels: FloatArray, parts: int = 1) -> int | None:
    mixdown = Mixdown()
    for block in np.array_split(np.stack(channels, axis=1), parts):
        mixdown.mono(block)
    return mixdown.channel_to_use


@pytest.mark.parametrize("residue_db", [-30, -18])
def test_a_residue_below_the_limit_is_not_used(residue_db: float) -> None:
    residue = np.float32(10 ** (residue_db / 20)) * np.random.default_rng(1).permutation(MUSIC)
    assert used(MUSIC + residue, residue - MUSIC) is not None


def test_a_mean_above_the_limit_is_used() -> None:
    residue = np.float32(10 ** (-12 / 20)) * np.random.default_rng(1).permutation(MUSIC)
    assert used(MUSIC + residue, residue - MUSIC) is None


@pytest.mark.parametrize("n_channels", [2, 8, 64])
def test_independent_channels_are_averaged(n_channels: int) -> None:
    assert used(*(white_noise(8_000, seed) for seed in range(n_channels))) is None


@pytest.mark.parametrize("parts", [1, 7])
def test_the_strongest_channel_is_used(parts: int) -> None:
    assert used(0 * MUSIC, -0.95 * MUSIC, MUSIC, parts=parts) == 2


def test_the_whole_file_decides_and_not_a_block() -> None:
    start = MUSIC[:2_000]
    assert used(MUSIC, np.concatenate([-start, MUSIC[2_000:]]), parts=4) is None
    assert used(MUSIC, np.concatenate([0.001 * start, -MUSIC[2_000:]]), parts=4) is None


def test_silence_and_single_channels_are_left_alone() -> None:
    assert used(0 * MUSIC, 0 * MUSIC) is None
    np.testing.assert_array_equal(mixed(MUSIC[None]), MUSIC)


def test_a_planar_block_is_mixed_as_an_interleaved_one() -> None:
    planar = np.stack([MUSIC, -MUSIC])
    np.testing.assert_array_equal(mixed(planar), mixed(np.asfortranarray(planar)))
    np.testing.assert_array_equal(mixed(planar), MUSIC)
