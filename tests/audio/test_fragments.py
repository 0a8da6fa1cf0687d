import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from signals import white_noise

from genrekit.audio.fragments import cut, fragment_starts

LENGTHS = st.integers(1, 10_000)
COUNTS = st.integers(1, 40)


@given(LENGTHS, LENGTHS, st.one_of(st.just("all"), st.just("first"), COUNTS))
def test_every_fragment_lies_within_a_track_that_is_long_enough(n_track: int, n_samples: int, fragments: int) -> None:
    starts = fragment_starts(n_track, n_samples, fragments)
    assert starts
    assert list(starts) == sorted(starts)
    assert all(isinstance(start, int) and 0 <= start <= max(0, n_track - n_samples) for start in starts)


@given(LENGTHS, LENGTHS)
def test_all_fragments_follow_one_another_and_leave_less_than_one_over(n_track: int, n_samples: int) -> None:
    starts = fragment_starts(n_track, n_samples, "all")
    assert tuple(starts) == tuple(n_samples * number for number in range(max(1, n_track // n_samples)))
    assert n_track - (starts[-1] + n_samples) < n_samples


def test_a_track_of_30_seconds_and_a_little_gives_six_fragments_of_5_seconds() -> None:
    assert [*fragment_starts(round(30.4 * 22_050), 110_250, "all")] == [110_250 * number for number in range(6)]


@given(LENGTHS, LENGTHS)
def test_first_is_one_fragment_at_the_beginning(n_track: int, n_samples: int) -> None:
    assert fragment_starts(n_track, n_samples, "first") == (0,)


@given(LENGTHS, LENGTHS, st.integers(2, 40))
def test_a_number_of_fragments_is_spread_evenly_from_the_beginning_to_the_end(
    n_samples: int, room: int, fragments: int
) -> None:
    starts = fragment_starts(n_samples + room, n_samples, fragments)
    assert len(starts) == fragments
    assert (starts[0], starts[-1]) == (0, room)
    assert np.abs(np.diff(starts) - room / (fragments - 1)).max() <= 1


@given(LENGTHS, LENGTHS)
def test_one_fragment_lies_in_the_middle(n_samples: int, room: int) -> None:
    (start,) = fragment_starts(n_samples + room, n_samples, 1)
    assert abs(start - (room - start)) <= 1


@given(LENGTHS, st.integers(0, 500), st.one_of(st.just("all"), st.just("first"), COUNTS))
def test_a_track_that_is_not_longer_than_a_fragment_gives_one(n_track: int, more: int, fragments: int) -> None:
    assert fragment_starts(n_track, n_track + more, fragments) == (0,)


@given(st.integers(1, 300), st.integers(0, 400), st.integers(1, 400))
def test_a_cut_is_the_music_there_and_then_zeros(n_track: int, start: int, n_samples: int) -> None:
    waveform = white_noise(n_track)
    piece = cut(waveform, start, n_samples)
    music = waveform[start : start + n_samples]
    assert piece.shape == (n_samples,)
    assert piece.dtype == np.float32
    np.testing.assert_array_equal(piece[: len(music)], music)
    assert not piece[len(music) :].any()


@pytest.mark.parametrize(("start", "expected"), [(0, [1, 2, 3]), (2, [3, 4, 0]), (9, [0, 0, 0])])
def test_a_cut_beyond_the_end_is_padded_at_the_end(start: int, expected: list[int]) -> None:
    assert cut(np.array([1, 2, 3, 4], np.float32), start, 3).tolist() == expected
