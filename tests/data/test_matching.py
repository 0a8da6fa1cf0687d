"""Two tracks share audio where their equal landmarks lie on a line."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genrekit.data import matching
from genrekit.data.matching import Ints, LandmarkIndex, SharedAudio

FRAMES_PER_S = 40.0


def landmarks(seed: int, seconds: float, start_s: float = 0.0) -> tuple[Ints, Ints]:
    """Return ten random landmarks a second, with codes that other seeds do not have."""
    generator = np.random.default_rng(seed)
    count = round(10 * seconds)
    frame = np.sort(generator.integers(0, round(seconds * FRAMES_PER_S), count))
    code = seed * 10_000 + generator.permutation(5_000)[:count]
    return code.astype(np.int64), (frame + round(start_s * FRAMES_PER_S)).astype(np.int64)


def joined(*parts: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    return np.concatenate([code for code, _ in parts]), np.concatenate([frame for _, frame in parts])


def shared(first: tuple[Ints, Ints], second: tuple[Ints, Ints]) -> SharedAudio | None:
    """Compare two tracks, of which the first is in an index."""
    index = LandmarkIndex(*first, np.zeros(len(first[0]), np.int64), 1, FRAMES_PER_S)
    return next((found for _, found in index.shared_with(*second, 1, np.ones(1, np.bool_))), None)


def test_a_shared_passage_has_its_times_and_its_share_of_each_track() -> None:
    first = joined(landmarks(1, 20), landmarks(7, 10, start_s=20))
    second = joined(landmarks(2, 5), landmarks(7, 10, start_s=5), landmarks(3, 5, start_s=15))
    found = shared(first, second)
    assert found is not None
    assert (found.start_s, found.end_s, found.second_start_s) == pytest.approx((20, 30, 5), abs=0.5)
    assert (found.first_share, found.second_share) == pytest.approx((1 / 3, 1 / 2), abs=0.02)
    assert not found.same_recording


@pytest.mark.parametrize("tempo", [0.96, 0.99, 1.0, 1.01, 1.04])
def test_a_copy_with_another_tempo_is_the_same_recording(tempo: float) -> None:
    code, frame = landmarks(1, 30)
    found = shared((code, frame), (code, np.rint(frame / tempo).astype(np.int64)))
    assert found is not None
    assert found.same_recording
    assert found.first_share > 0.9


def test_equal_landmarks_in_another_order_are_not_shared_audio() -> None:
    code, frame = landmarks(1, 30)
    assert shared((code, frame), (np.random.default_rng(0).permutation(code), frame)) is None


def test_an_excerpt_is_the_same_recording_as_the_whole() -> None:
    code, frame = landmarks(1, 120)
    inside = (frame >= 50 * FRAMES_PER_S) & (frame < 70 * FRAMES_PER_S)
    found = shared((code, frame), (code[inside], frame[inside] - round(50 * FRAMES_PER_S)))
    assert found is not None
    assert found.same_recording
    assert (found.first_share, found.second_share) == pytest.approx((1 / 6, 1), abs=0.02)


@given(st.integers(0, 100), st.floats(0, 8), st.floats(0.97, 1.03))
@settings(max_examples=30)
def test_the_result_does_not_depend_on_which_track_is_compared_with_the_other(
    seed: int, offset_s: float, tempo: float
) -> None:
    generator = np.random.default_rng(seed)
    code, frame = landmarks(1, 20)
    kept = generator.random(len(code)) < 0.5
    tracks = [(code, frame), (code[kept], np.rint((frame[kept] + offset_s * FRAMES_PER_S) / tempo).astype(np.int64))]
    index = LandmarkIndex(*joined(*tracks), np.repeat([0, 1], [len(code), int(kept.sum())]), 2, FRAMES_PER_S)
    others = np.ones(2, np.bool_)
    first = dict(index.shared_with(*tracks[0], 0, others & [False, True]))
    second = dict(index.shared_with(*tracks[1], 1, others & [True, False]))
    assert first.get(1) == second.get(0)


def test_swapping_the_tracks_keeps_the_passage() -> None:
    found = SharedAudio(0.25, 0.5, 12.0, 22.0, 2.0)
    assert found.swapped() == SharedAudio(0.5, 0.25, 2.0, 12.0, 12.0)
    assert found.swapped().swapped() == found


def test_the_pairs_of_a_long_tone_take_little_memory() -> None:
    """Each landmark equals each other one of the track."""
    n_tone = 5_000
    tone = np.full(n_tone, 3, np.int64), np.arange(n_tone, dtype=np.int64)
    code, frame = landmarks(1, 30)
    tracks = np.repeat([0, 1], [n_tone, len(code)])
    tracemalloc.start()
    try:
        index = LandmarkIndex(*joined(tone, (code, frame)), tracks, 2, FRAMES_PER_S)
        assert list(index.shared_with(*tone, 0, np.array([False, True]))) == []
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50_000_000
    (found,) = index.shared_with(code, frame, 2, np.array([True, True]))
    assert found[0] == 1


def test_the_own_landmarks_of_a_track_take_little_memory() -> None:
    """A thousand of each code are kept, and none is compared with those of the same track at once."""
    code, frame = np.repeat(np.arange(20, dtype=np.int64), 1_000), np.arange(20_000, dtype=np.int64)
    index = LandmarkIndex(code, frame, np.zeros(len(code), np.int64), 1, FRAMES_PER_S)
    tracemalloc.start()
    try:
        assert list(index.shared_with(code, frame, 0, np.zeros(1, np.bool_))) == []
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_the_result_does_not_depend_on_how_many_pairs_are_compared_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = joined(landmarks(1, 20), landmarks(7, 10, start_s=20))
    second = joined(landmarks(2, 5), landmarks(7, 10, start_s=5), landmarks(3, 5, start_s=15))
    expected = shared(first, second)
    assert expected is not None
    for pairs in (1, 7, 100):
        monkeypatch.setattr(matching, "_PAIRS_AT_ONCE", pairs)
        assert shared(first, second) == expected
