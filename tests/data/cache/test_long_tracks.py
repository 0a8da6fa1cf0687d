"""A track that is too long for memory is transformed in passes, and its rows have the same bytes as otherwise."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from signals import sine, white_noise
from tiny_cache import SMALL, build, content

from genrekit._types import FloatArray
from genrekit.audio import decode as decoding
from genrekit.audio import transform
from genrekit.audio.block_window import CHANGED
from genrekit.audio.long_tracks import long_track
from genrekit.config import PrepareConfig
from genrekit.data.cache import rows
from genrekit.errors import NO_MEMORY_FOR_FILE

RATE = SMALL.sample_rate
AUGMENTED = {"augment": True, "copies": 1, "time_stretch": (0.5, 1.9), "augment_seed": 3}


def music(n_samples: int, rate: int = RATE) -> FloatArray:
    chord = sine(220, n_samples, rate, 0.3) + sine(660, n_samples, rate, 0.2)
    return (chord + white_noise(n_samples, amplitude=0.1)) * np.linspace(1, 0.05, n_samples, dtype=np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tracks of each kind that is processed in its own way."""
    root = tmp_path_factory.mktemp("music")
    for genre in ("blues", "jazz"):
        (root / genre).mkdir()
    long = music(21_000)
    gap = np.where((np.arange(21_000) > 3_900) & (np.arange(21_000) < 12_500), 0, long)
    other_rate = music(30_000, 11_025)
    soundfile.write(root / "blues/16-bits.wav", long, RATE)
    soundfile.write(root / "blues/loud.wav", 3 * long, RATE, subtype="FLOAT")
    soundfile.write(root / "blues/silent-parts.flac", gap, RATE)
    soundfile.write(root / "blues/short.wav", music(2_500), RATE)
    soundfile.write(root / "blues/nothing.wav", np.zeros(20_000), RATE)
    soundfile.write(root / "blues/not-finite.wav", np.append(long, np.nan), RATE, subtype="FLOAT")
    soundfile.write(root / "jazz/stereo.ogg", np.stack([other_rate, other_rate[::-1]], axis=1), 11_025)
    soundfile.write(root / "jazz/cancelled.flac", np.stack([0.5 * other_rate, -0.4 * other_rate], axis=1), 11_025)
    soundfile.write(root / "jazz/24-bits.aiff", other_rate, 11_025, subtype="PCM_24")
    soundfile.write(root / "jazz/cut.flac", long, RATE)
    content = (root / "jazz/cut.flac").read_bytes()
    (root / "jazz/cut.flac").write_bytes(content[:-20])
    return root


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode in blocks that end within fragments, as a whole and in passes."""
    monkeypatch.setattr(decoding, "_BLOCK", 3_001)


@pytest.fixture
def in_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transform every track in passes, and write few rows at once."""
    monkeypatch.setattr(transform, "LONGEST_WHOLE", 1_000)
    monkeypatch.setattr(rows, "_ROW_BYTES_AT_ONCE", 30_000)
    monkeypatch.setattr(rows, "_write_rows", _counted(rows._write_rows))


def _counted(write: Any) -> Any:
    def counted(descriptor: int, extents: Any, first_row: int, some: Any) -> None:
        n_bytes = sum(values.nbytes for values in some.tensors.values())
        assert n_bytes <= 30_000 or len(some.variant) == 1, "more rows at once than necessary"
        write(descriptor, extents, first_row, some)

    return counted


def assert_equal_content(first: Path, second: Path) -> None:
    left, right = content(first), content(second)
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def assert_same_bytes(folder: Path, tmp_path: Path, config: PrepareConfig, request: pytest.FixtureRequest) -> None:
    whole = build(folder, tmp_path / "whole.h5", config).cache
    request.getfixturevalue("in_passes")
    in_passes = build(folder, tmp_path / "passes.h5", config).cache
    assert in_passes.plan == whole.plan
    assert in_passes.skipped == whole.skipped
    assert_equal_content(tmp_path / "passes.h5", tmp_path / "whole.h5")


def config(front_end: dict[str, Any] | None = None, augmentation: dict[str, Any] | None = None, **values: Any) -> Any:
    return PrepareConfig.of(
        {"front_end": {**SMALL.model_dump(), **(front_end or {})}, "augmentation": augmentation or {}, **values}
    )


@pytest.mark.parametrize("fragments", ["all", "first", 1, 3, 40])
@pytest.mark.parametrize("augmentation", [{}, AUGMENTED], ids=["originals", "augmented"])
def test_each_choice_of_fragments_gives_the_same_bytes(
    folder: Path, tmp_path: Path, request: pytest.FixtureRequest, fragments: str | int, augmentation: dict[str, Any]
) -> None:
    assert_same_bytes(folder, tmp_path, config(augmentation=augmentation, fragments=fragments), request)


@pytest.mark.parametrize("store", ["both", "mel", "waveform"])
@pytest.mark.parametrize("normalization", ["peak", "rms", "none"])
@pytest.mark.parametrize("db_reference", ["track", "fragment"])
def test_each_stored_input_and_level_gives_the_same_bytes(
    folder: Path, tmp_path: Path, request: pytest.FixtureRequest, store: str, normalization: str, db_reference: str
) -> None:
    front_end = {"normalization": normalization, "db_reference": db_reference}
    assert_same_bytes(folder, tmp_path, config(front_end, AUGMENTED, store=store), request)


@pytest.mark.parametrize("pad", ["wrap", "reflect", "zero"])
@pytest.mark.parametrize("rate", [4_000, 16_000])
def test_each_padding_and_rate_gives_the_same_bytes(
    folder: Path, tmp_path: Path, request: pytest.FixtureRequest, pad: str, rate: int
) -> None:
    front_end = {"pad": pad, "sample_rate": rate}
    assert_same_bytes(folder, tmp_path, config(front_end, AUGMENTED, mel_dtype="float32"), request)


def test_the_collection_has_what_it_should(folder: Path, tmp_path: Path) -> None:
    tracks = {track.id: track for track in build(folder, tmp_path / "cache.h5", config()).cache.tracks}
    assert len(tracks) == 8
    assert tracks["jazz/cancelled"].facts.cancelled
    assert tracks["blues/short"].facts.padded
    assert tracks["blues/silent-parts"].facts.silent_fragments == 2
    assert tracks["jazz/cut"].note


def test_rows_that_take_too_much_memory_are_computed_in_passes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(folder, tmp_path / "whole.h5", config(augmentation=AUGMENTED))
    monkeypatch.setattr(transform, "MOST_ROW_BYTES", 100_000)
    in_passes: list[str] = []

    def counted(track_id: str, path: Path, config: PrepareConfig) -> Any:
        in_passes.append(track_id)
        return long_track(track_id, path, config)

    monkeypatch.setattr(rows, "long_track", counted)
    build(folder, tmp_path / "passes.h5", config(augmentation=AUGMENTED))
    of_blues = ["16-bits", "loud", "silent-parts", "silent-parts"]  # the last one has fewer rows than its header says
    of_jazz = ["24-bits", "cancelled", "cut", "stereo"]
    assert sorted(in_passes) == [*(f"blues/{name}" for name in of_blues), *(f"jazz/{name}" for name in of_jazz)]
    assert_equal_content(tmp_path / "passes.h5", tmp_path / "whole.h5")


def test_a_file_that_changes_between_the_passes_is_skipped_and_writes_no_other_rows(
    folder: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    request.getfixturevalue("in_passes")
    whole = build(folder, tmp_path / "whole.h5").cache

    def changing(track_id: str, path: Path, config: PrepareConfig) -> Any:
        track = long_track(track_id, path, config)
        if track_id != "blues/loud":
            return track
        return replace(track, rows=lambda: iter([*track.rows(), *track.rows()]))

    monkeypatch.setattr(rows, "long_track", changing)
    cache = build(folder, tmp_path / "cache.h5").cache
    assert ("blues/loud.wav", CHANGED) in [(file.path, file.reason) for file in cache.skipped]
    assert not len(cache.damaged_rows())
    assert {track.digest for track in cache.tracks} < {track.digest for track in whole.tracks}


def test_a_file_without_enough_memory_is_skipped_now_and_prepared_the_next_time(
    folder: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    request.getfixturevalue("in_passes")

    def out_of_memory(track_id: str, path: Path, config: PrepareConfig) -> Any:
        if track_id == "jazz/stereo":
            raise MemoryError
        return long_track(track_id, path, config)

    with monkeypatch.context() as patch:
        patch.setattr(rows, "long_track", out_of_memory)
        cache = build(folder, tmp_path / "cache.h5").cache
    assert ("jazz/stereo.ogg", NO_MEMORY_FOR_FILE) in [(file.path, file.reason) for file in cache.skipped]
    again = build(folder, tmp_path / "cache.h5")
    assert again.reused == 7
    assert "jazz/stereo" in {track.id for track in again.cache.tracks}
    build(folder, tmp_path / "whole.h5")
    assert_equal_content(again.cache.path, tmp_path / "whole.h5")
