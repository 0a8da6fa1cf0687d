"""A cache is complete or absent, an interrupted run resumes, and only changed tracks are computed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import soundfile
from signals import white_noise
from tiny_cache import AUGMENTED, SMALL, assert_equal_content, build, content
from tiny_music import write_collection

from genrekit.audio.decode import probe
from genrekit.audio.transform import transform_track
from genrekit.config import PrepareConfig
from genrekit.data.cache import rows
from genrekit.data.cache.executors import open_executor
from genrekit.data.cache.filling import Callbacks
from genrekit.data.cache.reader import open_cache
from genrekit.errors import NO_MEMORY_FOR_FILE, GenrekitError, IncompatibleCacheError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_collection(tmp_path / "music", {"blues": 3, "jazz": 3}, duration_s=1.2, sample_rate=8_000)


def test_anyone_reads_the_cache_with_plain_h5py(folder: Path, tmp_path: Path) -> None:
    build(folder, tmp_path / "cache.h5", AUGMENTED)
    with h5py.File(tmp_path / "cache.h5") as file:
        assert file["waveform"].shape == (6 * 2 * 5, 4_000)
        assert file["waveform"].dtype == np.int16
        assert file["mel"].shape == (60, 16, 16)
        assert file["mel"].dtype == np.float16
        assert list(file["variants"].asstr()) == ["original", "time_stretch", "pitch_shift", "noise", "resampling"]
        assert list(file["genres"].asstr()) == ["blues", "jazz"]
        assert list(file["tracks/id"].asstr()) == sorted(file["tracks/id"].asstr())
        np.testing.assert_array_equal(file["variant"], np.tile(np.arange(5), 12))
        np.testing.assert_array_equal(file["genre"], np.repeat([0, 1], 30))
        np.testing.assert_array_equal(file["track"], np.repeat(np.arange(6), 10))
        np.testing.assert_array_equal(file["start_s"], np.tile(np.repeat([0.0, 0.5], 5), 6))
        assert int(file.attrs["format_version"]) == 3
        assert 0 <= file["mel"][()].min() <= file["mel"][()].max() <= 1


def test_the_number_of_workers_does_not_change_a_byte(folder: Path, tmp_path: Path) -> None:
    build(folder, tmp_path / "one.h5", AUGMENTED)
    build(folder, tmp_path / "two.h5", AUGMENTED, executor=lambda: open_executor(2))
    assert_equal_content(tmp_path / "one.h5", tmp_path / "two.h5")


@pytest.mark.parametrize("other", [{"fragments": "first"}, {"store": "mel"}])
def test_digests_of_tracks_do_not_depend_on_what_is_stored(folder: Path, tmp_path: Path, other: dict[str, str]) -> None:
    config = PrepareConfig.of({"front_end": SMALL.model_dump(), **other})
    caches = [build(folder, tmp_path / "all.h5").cache, build(folder, tmp_path / "other.h5", config).cache]
    assert caches[0].path.stat().st_size > caches[1].path.stat().st_size
    digests = [[track.digest for track in cache.tracks] for cache in caches]
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == 6


def test_an_unchanged_collection_opens_no_audio(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build(folder, tmp_path / "cache.h5")
    before = (tmp_path / "cache.h5").stat()
    monkeypatch.setattr("genrekit.data.cache.planning.probe", lambda path: pytest.fail(f"opened {path}"))
    again = build(folder, tmp_path / "cache.h5")
    after = (tmp_path / "cache.h5").stat()
    assert (first.reused, again.reused) == (0, 6)
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


def test_workers_are_started_once_and_only_for_work(folder: Path, tmp_path: Path) -> None:
    opened: list[StopsAfter] = []

    def executor() -> Executor:
        opened.append(StopsAfter(1_000))
        return opened[-1]

    build(folder, tmp_path / "cache.h5", executor=executor)
    assert [1_000 - left.count for left in opened] == [1 + 6]  # the first loads what the tracks need
    build(folder, tmp_path / "cache.h5", executor=executor)
    (folder / "blues" / "blues-0.wav").unlink()  # its rows are left out, the others copied
    build(folder, tmp_path / "cache.h5", executor=executor)
    assert len(opened) == 1
    assert len(open_cache(tmp_path / "cache.h5").tracks) == 5


def test_added_changed_and_removed_tracks_cost_only_themselves(folder: Path, tmp_path: Path) -> None:
    build(folder, tmp_path / "cache.h5")
    write_collection(folder, {"metal": 2}, duration_s=1.2, sample_rate=8_000)
    (folder / "blues" / "blues-0.wav").unlink()
    (folder / "jazz" / "jazz-1.wav").write_bytes((folder / "metal" / "metal-0.wav").read_bytes())
    todo: list[int] = []
    again = build(folder, tmp_path / "cache.h5", callbacks=Callbacks(on_plan=lambda _plan, count: todo.append(count)))
    assert todo == [3]
    assert again.reused == 4
    build(folder, tmp_path / "fresh.h5")
    assert_equal_content(tmp_path / "cache.h5", tmp_path / "fresh.h5")


class StopsAfter(Executor):
    """Runs a few tasks, then raises KeyboardInterrupt."""

    def __init__(self, count: int) -> None:
        self.count = count

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.count == 0:
            raise KeyboardInterrupt
        self.count -= 1
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def test_a_killed_prepare_resumes_and_ends_with_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    out, script = tmp_path / "cache.h5", tmp_path / "run.py"
    script.write_text(
        "import sys, time\n"
        "from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[3])\n"
        "from genrekit.data.cache.filling import Callbacks\n"
        "from tiny_cache import AUGMENTED, build\n"
        "build(Path(sys.argv[1]), Path(sys.argv[2]), AUGMENTED, callbacks=Callbacks("
        "on_track=lambda done, of: (print(done, flush=True), time.sleep(30 if done == 3 else 0))))\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder), str(out), str(Path(__file__).parents[2])],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        assert [process.stdout.readline().strip() for _ in range(3)] == ["1", "2", "3"]
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not out.exists()
    with pytest.raises(IncompatibleCacheError, match="unfinished"):
        open_cache(tmp_path / "cache.h5.partial")
    todo: list[int] = []
    build(folder, out, AUGMENTED, callbacks=Callbacks(on_plan=lambda _plan, count: todo.append(count)))
    assert 1 <= todo[0] <= 3
    build(folder, tmp_path / "fresh.h5", AUGMENTED)
    assert_equal_content(out, tmp_path / "fresh.h5")
    assert not (tmp_path / "cache.h5.partial").exists()


def test_an_interrupt_leaves_the_old_cache_as_it_was(folder: Path, tmp_path: Path) -> None:
    build(folder, tmp_path / "cache.h5")
    before = (tmp_path / "cache.h5").read_bytes()
    write_collection(folder, {"metal": 3}, duration_s=1.2, sample_rate=8_000)
    with pytest.raises(KeyboardInterrupt):
        build(folder, tmp_path / "cache.h5", executor=lambda: StopsAfter(2))
    assert (tmp_path / "cache.h5").read_bytes() == before
    build(folder, tmp_path / "cache.h5")
    assert len(open_cache(tmp_path / "cache.h5").tracks) == 9


def test_rows_that_did_not_reach_the_disk_before_the_power_went_are_made_again(folder: Path, tmp_path: Path) -> None:
    def interrupt(done: int, _of: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(folder, tmp_path / "cache.h5", callbacks=Callbacks(on_track=interrupt))
    interrupted = open_cache(tmp_path / "cache.h5.partial", unfinished=True)
    lost = next(track for track in interrupted.tracks if track.done)
    extent = interrupted.extents["mel"]
    with open(interrupted.path, "r+b") as file:
        file.seek(extent.at(lost.first_row + lost.rows) - 100)
        file.write(bytes(100))
    todo: list[int] = []
    build(folder, tmp_path / "cache.h5", callbacks=Callbacks(on_plan=lambda _plan, count: todo.append(count)))
    assert todo == [3]
    build(folder, tmp_path / "fresh.h5")
    assert_equal_content(tmp_path / "cache.h5", tmp_path / "fresh.h5")


class BreaksAfter(StopsAfter):
    """A pool in which a worker dies while tasks are submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.count == 0:
            raise BrokenProcessPool("A child process terminated abruptly, the process pool is not usable anymore")
        return super().submit(fn, *args, **kwargs)


@pytest.mark.parametrize("handed_out", [0, 3])
def test_a_worker_that_dies_is_one_error_and_the_next_build_resumes(
    folder: Path, tmp_path: Path, handed_out: int
) -> None:
    with pytest.raises(GenrekitError, match="a worker process died"):
        build(folder, tmp_path / "cache.h5", executor=lambda: BreaksAfter(handed_out))
    assert not (tmp_path / "cache.h5").exists()
    build(folder, tmp_path / "cache.h5")
    build(folder, tmp_path / "fresh.h5")
    assert_equal_content(tmp_path / "cache.h5", tmp_path / "fresh.h5")


def test_bad_files_are_listed_and_the_rest_is_as_without_them(folder: Path, tmp_path: Path) -> None:
    build(folder, tmp_path / "clean.h5")
    (folder / "blues" / "broken.wav").write_bytes(b"RIFF\x00\x00 this is no audio")
    (folder / "jazz" / "empty.mp3").touch()
    cache = build(folder, tmp_path / "cache.h5").cache
    assert [file.path for file in cache.skipped] == ["blues/broken.wav", "jazz/empty.mp3"]
    assert all(file.reason for file in cache.skipped)
    for name in ("waveform", "mel", "start_s", "track", "checksum"):
        np.testing.assert_array_equal(content(tmp_path / "clean.h5")[name], content(tmp_path / "cache.h5")[name])


def test_a_header_that_lies_about_the_length_costs_a_second_plan(folder: Path, tmp_path: Path) -> None:
    path = write_short_flac(folder)
    assert probe(path).frames == 8_480
    cache = build(folder, tmp_path / "cache.h5").cache
    track = next(track for track in cache.tracks if track.id == "blues/short")
    assert track.rows == 1
    assert len(cache.damaged_rows()) == 0


def write_short_flac(folder: Path) -> Path:
    """A file of 0.98 s whose header declares 1.06 s."""
    path = folder / "blues" / "short.flac"
    soundfile.write(path, white_noise(7_840), 8_000)
    content = bytearray(path.read_bytes())
    packed = int.from_bytes(content[18:26], "big")
    content[18:26] = (packed >> 36 << 36 | 8_480).to_bytes(8, "big")
    path.write_bytes(content)
    return path


def test_what_is_unusual_about_a_file_is_stored_and_reused(folder: Path, tmp_path: Path) -> None:
    write_short_flac(folder)
    notes = [
        "damaged: 1 s of 1.1 s can be decoded and are used" if "short" in name else "" for name in names_in(folder)
    ]
    assert [track.note for track in build(folder, tmp_path / "cache.h5").cache.tracks] == notes
    (folder / "jazz" / "jazz-1.wav").unlink()
    again = build(folder, tmp_path / "cache.h5")
    assert again.reused == 6
    assert [track.note for track in again.cache.tracks if track.note] == [note for note in notes if note]


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def test_a_cache_without_notes_is_read_and_its_rows_are_reused(folder: Path, tmp_path: Path) -> None:
    build(folder, tmp_path / "cache.h5")
    with h5py.File(tmp_path / "cache.h5", "r+") as file:
        del file["tracks/note"], file["tracks/decoder"]
        file.attrs["format_version"] = 2
    assert {track.note for track in open_cache(tmp_path / "cache.h5").tracks} == {""}
    assert build(folder, tmp_path / "cache.h5").reused == 6
    (folder / "blues" / "blues-1.wav").unlink()
    (tmp_path / "cache.h5").rename(tmp_path / "cache.h5.partial")  # as if an older version had been interrupted
    write_short_flac(folder)
    assert [track.note for track in build(folder, tmp_path / "cache.h5").cache.tracks if track.note] != []


def test_a_file_that_does_not_fit_into_memory_is_skipped(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(track_id: str, path: Path, config: PrepareConfig) -> Any:
        if track_id == "jazz/jazz-1":
            raise MemoryError
        return transform_track(track_id, path, config)

    monkeypatch.setattr(rows, "transform_track", out_of_memory)
    cache = build(folder, tmp_path / "cache.h5").cache
    assert [(file.path, file.reason) for file in cache.skipped] == [("jazz/jazz-1.wav", NO_MEMORY_FOR_FILE)]
    assert len(cache.tracks) == 5


def test_a_file_that_only_decoding_finds_bad_is_skipped(folder: Path, tmp_path: Path) -> None:
    bad = np.full(9_600, np.nan, dtype=np.float32)
    soundfile.write(folder / "blues" / "nan.wav", bad, 8_000, subtype="FLOAT")
    cache = build(folder, tmp_path / "cache.h5").cache
    assert [(file.path, "NaN" in file.reason) for file in cache.skipped] == [("blues/nan.wav", True)]
    again = build(folder, tmp_path / "cache.h5")
    assert again.reused == 6


def test_strict_refuses_what_would_be_skipped(folder: Path, tmp_path: Path) -> None:
    (folder / "blues" / "broken.wav").write_bytes(b"no audio")
    with pytest.raises(GenrekitError, match=r"blues/broken\.wav"):
        build(folder, tmp_path / "cache.h5", strict=True)
    assert not (tmp_path / "cache.h5").exists()


def test_another_configuration_is_refused_with_the_difference(folder: Path, tmp_path: Path) -> None:
    build(folder, tmp_path / "cache.h5")
    before = (tmp_path / "cache.h5").read_bytes()
    other = PrepareConfig.of({"front_end": {**SMALL.model_dump(), "n_mels": 8}})
    with pytest.raises(IncompatibleCacheError, match="n_mels is 16, not 8"):
        build(folder, tmp_path / "cache.h5", other)
    assert (tmp_path / "cache.h5").read_bytes() == before
    build(folder, tmp_path / "cache.h5", other, overwrite=True)
    assert open_cache(tmp_path / "cache.h5").config == other


def test_two_builds_at_once_the_second_names_the_first(folder: Path, tmp_path: Path) -> None:
    def meddle(_done: int, _of: int) -> None:
        with pytest.raises(GenrekitError, match=f"process {os.getpid()} is working"):
            build(folder, tmp_path / "cache.h5")

    build(folder, tmp_path / "cache.h5", callbacks=Callbacks(on_track=meddle))


def test_a_full_disk_is_an_oserror_and_loses_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(folder, tmp_path / "cache.h5")
    before = (tmp_path / "cache.h5").read_bytes()
    write_collection(folder, {"metal": 3}, duration_s=1.2, sample_rate=8_000)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(rows, "write_at", full)
        with pytest.raises(OSError, match="No space"):
            build(folder, tmp_path / "cache.h5")
    assert (tmp_path / "cache.h5").read_bytes() == before
    assert len(build(folder, tmp_path / "cache.h5").cache.tracks) == 9


def test_sample_identical_tracks_are_paired_across_formats(folder: Path, tmp_path: Path) -> None:
    samples, rate = soundfile.read(folder / "blues" / "blues-0.wav", dtype="int16")
    soundfile.write(folder / "jazz" / "twin.flac", samples, rate)
    cache = build(folder, tmp_path / "cache.h5").cache
    assert cache.duplicates() == (("blues/blues-0", "jazz/twin"),)


def test_a_genre_without_a_readable_track_leaves_too_few(tmp_path: Path) -> None:
    folder = write_collection(tmp_path / "music", {"blues": 2}, duration_s=1.2, sample_rate=8_000)
    (folder / "jazz").mkdir()
    (folder / "jazz" / "broken.wav").write_bytes(b"no audio")
    with pytest.raises(GenrekitError, match="only blues is left"):
        build(folder, tmp_path / "cache.h5")
