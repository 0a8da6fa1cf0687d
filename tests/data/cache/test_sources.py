"""Rows are reused only if they were computed from the content that a file has now."""

import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from tiny_cache import PLAIN, build
from tiny_music import write_collection

from genrekit.audio.decode import Probe, probe
from genrekit.data.cache.filling import Callbacks
from genrekit.data.cache.reader import open_cache


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_collection(tmp_path / "music", {"blues": 2, "jazz": 2}, duration_s=1.2, sample_rate=8_000)


def replace_content(target: Path, source: Path) -> None:
    """Replace a file by another of equal size with the same modification time, as an archive does."""
    before = target.stat()
    assert source.stat().st_size == before.st_size
    shutil.copy(source, target.with_suffix(".new"))
    os.utime(target.with_suffix(".new"), ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(target.with_suffix(".new"), target)


def test_a_file_replaced_by_another_with_equal_size_and_time_is_prepared_again(folder: Path, tmp_path: Path) -> None:
    before = build(folder, tmp_path / "cache.h5").cache
    replace_content(folder / "blues" / "blues-0.wav", folder / "jazz" / "jazz-1.wav")
    again = build(folder, tmp_path / "cache.h5")
    assert (again.reused, sorted(again.changed)) == (3, ["blues/blues-0"])
    assert again.cache.tracks[0].digest == before.tracks[3].digest
    assert build(folder, tmp_path / "cache.h5").changed == frozenset()


def test_an_interrupted_run_does_not_keep_rows_of_a_replaced_file(folder: Path, tmp_path: Path) -> None:
    def interrupt(done: int, _of: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(folder, tmp_path / "cache.h5", callbacks=Callbacks(on_track=interrupt))
    replace_content(folder / "blues" / "blues-0.wav", folder / "jazz" / "jazz-1.wav")
    again = build(folder, tmp_path / "cache.h5")
    assert (again.reused, sorted(again.changed)) == (3, ["blues/blues-0"])
    assert again.cache.tracks[0].digest == again.cache.tracks[3].digest


@pytest.mark.parametrize("keep_times", [True, False], ids=["times are kept", "times are new"])
def test_a_copied_collection_is_reused_and_compared_once(
    folder: Path, keep_times: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(folder, tmp_path / "cache.h5")
    for name in ("planning.probe", "rows.transform_track"):
        monkeypatch.setattr(f"genrekit.data.cache.{name}", lambda *_: pytest.fail("opened audio"))
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copy2 if keep_times else shutil.copyfile)
    first = build(tmp_path / "copy", tmp_path / "cache.h5")
    second = build(tmp_path / "copy", tmp_path / "cache.h5")
    assert [(one.reused, one.verified) for one in (first, second)] == [(4, 4), (4, 0)]


def test_verifying_compares_the_content_of_all_files(folder: Path, tmp_path: Path) -> None:
    build(folder, tmp_path / "cache.h5")
    again = build(folder, tmp_path / "cache.h5", verify=True)
    assert (again.reused, again.verified, again.changed) == (4, 4, frozenset())


def test_a_change_that_leaves_all_of_the_status_is_found_by_verifying(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "cache.h5"
    build(folder, path)
    with h5py.File(path, "r+") as file:  # as if the content had changed on the disk
        file["tracks/file_digest"][2] = b"0" * 32
    assert build(folder, path).reused == 4
    again = build(folder, path, verify=True)
    assert (again.reused, sorted(again.changed)) == (3, ["jazz/jazz-0"])


def test_a_cache_of_an_earlier_version_is_read_and_compares_sizes_and_times(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "cache.h5"
    build(folder, path)
    with h5py.File(path, "r+") as file:
        for name in ("ctime_ns", "inode", "file_digest"):
            del file[f"tracks/{name}"]
        file.attrs["format_version"] = 2
    assert [track.file_digest for track in open_cache(path).tracks] == [""] * 4
    assert build(folder, path).reused == 4
    verified = build(folder, path, verify=True)
    assert verified.reused == 0
    assert all(track.file_digest for track in verified.cache.tracks)
    np.testing.assert_array_equal(verified.cache.mel, build(folder, tmp_path / "fresh.h5", PLAIN).cache.mel)


def broken(path: Path) -> Path:
    path.write_bytes(b"RIFF" + bytes(path.stat().st_size - 4))
    return path


def test_a_skipped_file_replaced_by_sound_audio_of_equal_size_and_time_is_used(folder: Path, tmp_path: Path) -> None:
    target = broken(folder / "blues" / "blues-0.wav")
    assert [file.path for file in build(folder, tmp_path / "cache.h5").cache.skipped] == ["blues/blues-0.wav"]
    replace_content(target, folder / "jazz" / "jazz-1.wav")
    again = build(folder, tmp_path / "cache.h5").cache
    assert again.skipped == ()
    assert again.tracks[0].digest == again.tracks[3].digest


def test_verifying_opens_skipped_files_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(folder / "blues" / "blues-0.wav")
    build(folder, tmp_path / "cache.h5")
    opened: list[Path] = []

    def noted(path: Path) -> Probe:
        opened.append(path)
        return probe(path)

    monkeypatch.setattr("genrekit.data.cache.planning.probe", noted)
    build(folder, tmp_path / "cache.h5")
    assert opened == []
    assert [file.path for file in build(folder, tmp_path / "cache.h5", verify=True).cache.skipped] == [
        "blues/blues-0.wav"
    ]
    assert opened == [folder / "blues" / "blues-0.wav"]


def test_a_copied_collection_opens_skipped_files_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(folder / "blues" / "blues-0.wav")
    build(folder, tmp_path / "cache.h5")
    shutil.copytree(folder, tmp_path / "copy")
    build(tmp_path / "copy", tmp_path / "cache.h5")
    monkeypatch.setattr("genrekit.data.cache.planning.probe", lambda *_: pytest.fail("opened audio"))
    assert build(tmp_path / "copy", tmp_path / "cache.h5").reused == 3


def test_a_cache_without_the_status_of_skipped_files_compares_size_and_time(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(folder / "blues" / "blues-0.wav")
    build(folder, tmp_path / "cache.h5")
    with h5py.File(tmp_path / "cache.h5", "r+") as file:
        del file["skipped/inode"], file["skipped/ctime_ns"]
    monkeypatch.setattr("genrekit.data.cache.planning.probe", lambda *_: pytest.fail("opened audio"))
    assert build(folder, tmp_path / "cache.h5").reused == 3
