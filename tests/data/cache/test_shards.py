"""Shards: any order, one missing, one twice, one of another configuration or collection, and killed ones."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
import soundfile
from signals import white_noise
from tiny_cache import AUGMENTED, PLAIN, SMALL, assert_equal_content, build, one_thread
from tiny_cluster import ROOT, wait_until
from tiny_music import write_collection

from genrekit.config import PrepareConfig
from genrekit.data.cache.filling import Callbacks
from genrekit.data.cache.reader import open_cache
from genrekit.data.cache.shards import ShardNumber, build_shard, open_blocks, shard_of, shards_folder
from genrekit.data.collection import scan_folder
from genrekit.errors import GenrekitError, IncompatibleCacheError, UsageError
from genrekit.workflows.prepare import prepare
from genrekit.workflows.prepare_shard import prepare_shard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_collection(tmp_path / "music", {"blues": 4, "jazz": 3}, duration_s=1.2, sample_rate=8_000)


def write(folder: Path, out: Path, shards: Sequence[str], config: PrepareConfig = PLAIN) -> None:
    for shard in shards:
        prepare_shard(folder, shard, config, out=out, workers=1)


def merge(folder: Path, out: Path, config: PrepareConfig = PLAIN) -> int:
    return prepare(folder, config, out=out, workers=1, merge=True).tracks


@pytest.mark.parametrize("order", [("1/3", "2/3", "3/3"), ("3/3", "1/3", "2/3", "1/3"), ("1/1",)])
def test_shards_in_any_order_make_the_cache_of_one_process(folder: Path, tmp_path: Path, order: Sequence[str]) -> None:
    (folder / "jazz" / "broken.wav").write_bytes(b"no audio")
    build(folder, tmp_path / "whole.h5", AUGMENTED)
    write(folder, tmp_path / "cache.h5", order, AUGMENTED)
    assert merge(folder, tmp_path / "cache.h5", AUGMENTED) == 7
    assert_equal_content(tmp_path / "whole.h5", tmp_path / "cache.h5")
    assert not shards_folder(tmp_path / "cache.h5").exists()


def test_more_shards_than_tracks_leave_some_empty(folder: Path, tmp_path: Path) -> None:
    build(folder, tmp_path / "whole.h5")
    write(folder, tmp_path / "cache.h5", [f"{number}/9" for number in range(1, 10)])
    merge(folder, tmp_path / "cache.h5")
    assert_equal_content(tmp_path / "whole.h5", tmp_path / "cache.h5")


def test_merging_decodes_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, tmp_path / "cache.h5", ["1/2", "2/2"])
    monkeypatch.setattr("genrekit.data.cache.rows.transform_track", lambda *_: pytest.fail("decoded"))
    monkeypatch.setattr("genrekit.data.cache.planning.probe", lambda path: pytest.fail(f"opened {path}"))
    assert merge(folder, tmp_path / "cache.h5") == 7


def test_missing_shards_are_named_and_the_others_stay(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(GenrekitError, match=r"no shards in .*cache\.shards: write them first"):
        merge(folder, tmp_path / "cache.h5")
    write(folder, tmp_path / "cache.h5", ["2/4", "4/4"])
    with pytest.raises(
        GenrekitError, match=r"2 shards of 4 are missing \(1, 3\): run genrekit prepare --shard 1/4 and"
    ):
        merge(folder, tmp_path / "cache.h5")
    assert not (tmp_path / "cache.h5").exists()
    write(folder, tmp_path / "cache.h5", ["1/4", "3/4"])
    assert merge(folder, tmp_path / "cache.h5") == 7


def test_shards_of_another_number_are_refused(folder: Path, tmp_path: Path) -> None:
    write(folder, tmp_path / "cache.h5", ["1/2", "2/2", "1/3"])
    with pytest.raises(GenrekitError, match="has shards of 2 and of 3"):
        merge(folder, tmp_path / "cache.h5")


def test_a_shard_of_another_configuration_is_refused_with_the_difference(folder: Path, tmp_path: Path) -> None:
    write(folder, tmp_path / "cache.h5", ["1/2"])
    with pytest.raises(IncompatibleCacheError, match=r"shard-1-of-2\.h5 .*augment is False, not True"):
        write(folder, tmp_path / "cache.h5", ["1/2"], AUGMENTED)
    write(folder, tmp_path / "cache.h5", ["2/2"], AUGMENTED)
    with pytest.raises(IncompatibleCacheError, match=r"shard-2-of-2\.h5 .*augment is True, not False"):
        merge(folder, tmp_path / "cache.h5")


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda music: (music / "jazz" / "jazz-2.wav").unlink(), "it has jazz/jazz-2, which is not in this part"),
        (lambda music: shutil.copy(music / "jazz" / "jazz-2.wav", music / "blues" / "a.wav"), "it lacks blues/a"),
        (
            lambda music: soundfile.write(music / "blues" / "blues-1.wav", white_noise(9_000), 8_000),
            "blues/blues-1.wav has changed since",
        ),
        (lambda music: (music / "jazz").rename(music / "rock"), "it has jazz/jazz-0, which is not in this part"),
    ],
)
def test_a_shard_of_another_collection_is_refused_with_the_difference(
    folder: Path, tmp_path: Path, change: Callable[[Path], object], difference: str
) -> None:
    write(folder, tmp_path / "cache.h5", ["1/2", "2/2"])
    change(folder)
    with pytest.raises(IncompatibleCacheError, match=difference):
        merge(folder, tmp_path / "cache.h5")
    write(folder, tmp_path / "cache.h5", ["1/2", "2/2"])
    assert merge(folder, tmp_path / "cache.h5") in (6, 7, 8)


def test_a_killed_shard_resumes_from_another_process_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    """The unfinished file of a killed process is copied from, and never written to."""
    collection, path = scan_folder(folder), tmp_path / "cache.shards" / "shard-1-of-1.h5"

    def stop(done: int, of: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_shard(collection, PLAIN, path, one_thread, callbacks=Callbacks(on_track=stop))
    (left,) = path.parent.glob(".*.partial")
    before = left.read_bytes()
    seen: list[bytes] = []
    seeing = Callbacks(on_plan=lambda *_: seen.append(left.read_bytes()))
    _, reused = build_shard(collection, PLAIN, path, one_thread, callbacks=seeing)
    assert reused == 3
    assert seen == [before]
    assert [file.name for file in path.parent.iterdir()] == ["shard-1-of-1.h5"]


def test_blocks_that_a_cluster_left_are_removed_and_numbered_shards_stay(folder: Path, tmp_path: Path) -> None:
    out, shards = tmp_path / "cache.h5", tmp_path / "cache.shards"
    write(folder, out, ["1/2"])
    for name in ("block-1.h5", ".block-2.host-1.partial", ".shared-3"):
        (shards / name).touch()
    prepare(folder, PLAIN, out=out, workers=1)
    assert [path.name for path in shards.iterdir()] == ["shard-1-of-2.h5"]


def test_blocks_of_another_configuration_are_computed_again(folder: Path, tmp_path: Path) -> None:
    """An interrupted command left them; the user has not made them."""
    build_shard(scan_folder(folder), PLAIN, tmp_path / "block-1.h5", one_thread)
    assert open_blocks(AUGMENTED, tmp_path, overwrite=False) == []
    assert [cache.path.name for cache in open_blocks(PLAIN, tmp_path, overwrite=False)] == ["block-1.h5"]


def test_merging_continues_an_interrupted_run_without_decoding(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unfinished file has the planned rows, so it is kept, and the missing rows are copied into it."""

    def stop(done: int, of: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    out = tmp_path / "cache.h5"
    build(folder, tmp_path / "whole.h5")
    with pytest.raises(KeyboardInterrupt):
        build(folder, out, callbacks=Callbacks(on_track=stop))
    inode = (tmp_path / "cache.h5.partial").stat().st_ino
    write(folder, out, ["1/2", "2/2"])
    monkeypatch.setattr("genrekit.data.cache.rows.transform_track", lambda *_: pytest.fail("decoded"))
    assert prepare(folder, PLAIN, out=out, workers=1, merge=True).reused == 7
    assert out.stat().st_ino == inode
    assert_equal_content(tmp_path / "whole.h5", out)


def test_tracks_of_shards_count_as_reused(folder: Path, tmp_path: Path) -> None:
    write(folder, tmp_path / "cache.h5", ["1/2", "2/2"])
    assert prepare(folder, PLAIN, out=tmp_path / "cache.h5", merge=True).reused == 7


def test_a_link_to_a_cache_has_the_shards_of_the_cache(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "cache.h5").touch()
    (tmp_path / "link.h5").symlink_to("real/cache.h5")
    assert shards_folder(tmp_path / "link.h5") == shards_folder(tmp_path.resolve() / "real" / "cache.h5")


def test_two_processes_that_write_one_shard_do_no_harm(folder: Path, tmp_path: Path) -> None:
    """The second one starts and ends while the first one is running."""
    collection, path = scan_folder(folder), tmp_path / "cache.shards" / "shard-1-of-1.h5"
    other = partial(build_shard, collection, PLAIN, path, one_thread)
    calls: list[object] = []

    def run_other(*_: object) -> None:
        if not calls:
            calls.append(other())

    cache, _ = build_shard(collection, PLAIN, path, one_thread, callbacks=Callbacks(on_track=run_other))
    assert len(calls) == 1
    assert len(cache.tracks) == 7
    assert len(open_cache(path, unfinished=True).damaged_rows()) == 0


def start(folder: Path, out: Path, shard: str) -> subprocess.Popen[bytes]:
    """Start a job of an array."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.model_dump(exclude_unset=True).items()]
    command = [sys.executable, "-m", "genrekit", "prepare", str(folder), "--out", str(out), "--shard", shard, *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([*command, "--augment", "--workers", "1", "--quiet"], env=environment)


@pytest.mark.stress
def test_only_the_shard_of_a_killed_job_is_written_again(tmp_path: Path) -> None:
    folder = write_collection(tmp_path / "music", {"blues": 36, "jazz": 36}, duration_s=2.0, sample_rate=8_000)
    build(folder, tmp_path / "whole.h5", AUGMENTED)
    out, shards = tmp_path / "cache.h5", tmp_path / "cache.shards"
    write(folder, out, ["3/3", "1/3"], AUGMENTED)
    finished = {path: path.stat().st_mtime_ns for path in shards.iterdir()}
    with start(folder, out, "2/3") as job:
        wait_until(lambda: bool(list(shards.glob(".shard-2-of-3.*.partial"))), job)
        job.kill()
    with pytest.raises(GenrekitError, match=r"1 shard of 3 is missing \(2\): run genrekit prepare --shard 2/3, then"):
        merge(folder, out, AUGMENTED)
    write(folder, out, ["2/3"], AUGMENTED)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert sorted(path.name for path in shards.iterdir()) == [f"shard-{number}-of-3.h5" for number in (1, 2, 3)]
    merge(folder, out, AUGMENTED)
    assert_equal_content(tmp_path / "whole.h5", out)


@pytest.mark.stress
def test_two_jobs_may_write_the_same_shard_at_once(folder: Path, tmp_path: Path) -> None:
    build(folder, tmp_path / "whole.h5", AUGMENTED)
    with start(folder, tmp_path / "cache.h5", "1/1") as one, start(folder, tmp_path / "cache.h5", "1/1") as other:
        assert (one.wait(), other.wait()) == (0, 0)
    merge(folder, tmp_path / "cache.h5", AUGMENTED)
    assert_equal_content(tmp_path / "whole.h5", tmp_path / "cache.h5")


def test_a_damaged_shard_is_named(folder: Path, tmp_path: Path) -> None:
    write(folder, tmp_path / "cache.h5", ["1/2", "2/2"])
    path = tmp_path / "cache.shards" / "shard-2-of-2.h5"
    path.write_bytes(path.read_bytes()[:1_000])
    with pytest.raises(IncompatibleCacheError, match=r"shard-2-of-2\.h5 is not a complete shard: remove it, and run"):
        merge(folder, tmp_path / "cache.h5")


def test_only_new_tracks_are_in_the_shards_of_a_cache_that_exists(folder: Path, tmp_path: Path) -> None:
    build(folder, tmp_path / "cache.h5")
    write_collection(folder, {"rock": 2}, duration_s=1.2, sample_rate=8_000)
    write(folder, tmp_path / "cache.h5", ["1/2", "2/2"])
    shards = [open_cache(path, unfinished=True) for path in sorted(shards_folder(tmp_path / "cache.h5").iterdir())]
    assert [track.id for shard in shards for track in shard.tracks] == ["rock/rock-0", "rock/rock-1"]
    assert merge(folder, tmp_path / "cache.h5") == 9
    build(folder, tmp_path / "whole.h5")
    assert_equal_content(tmp_path / "whole.h5", tmp_path / "cache.h5")


@pytest.mark.parametrize("text", ["0/4", "5/4", "3", "a/b", "1/0", "-1/4", "1/1000001"])
def test_an_impossible_shard_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError, match="must be a number from 1/N to N/N"):
        ShardNumber.parse(text)


def test_the_parts_of_all_shards_are_the_collection(folder: Path, tmp_path: Path) -> None:
    collection = scan_folder(folder)
    parts = [
        shard_of(collection, ShardNumber(number, 5), PLAIN, tmp_path / "no.h5", overwrite=False).tracks
        for number in range(1, 6)
    ]
    assert tuple(track for part in parts for track in part) == collection.tracks


def test_a_skipped_file_with_other_content_and_the_same_size_and_time_is_noticed(folder: Path, tmp_path: Path) -> None:
    """Unpacking an archive keeps modification times, but makes a new file."""
    broken, out = folder / "blues" / "broken.wav", tmp_path / "cache.h5"
    broken.write_bytes(b"not audio")
    write(folder, out, ["1/1"])
    before = broken.stat()
    other = tmp_path / "other.wav"
    other.write_bytes(b"also none")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(other, broken)
    with pytest.raises(IncompatibleCacheError, match=r"blues/broken\.wav has changed since"):
        merge(folder, out)
