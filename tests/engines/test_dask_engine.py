"""prepare and predict on a dask cluster give what one machine gives, also after processes were killed.

The cluster is a scheduler and two workers in processes of their own, with their own temporary folders.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile
from signals import white_noise
from tiny_cache import AUGMENTED, PLAIN, SMALL, assert_equal_content, build, finished_tracks
from tiny_cluster import ROOT, TinyCluster, tiny_cluster, wait_until
from tiny_music import write_collection

from genrekit.config import EngineConfig
from genrekit.data.cache.reader import open_cache
from genrekit.data.cache.rows import TrackRows, open_descriptor
from genrekit.data.cache.shards import copy_shard, shards_folder
from genrekit.data.collection import SkippedFile, scan_folder
from genrekit.engines import dask_engine
from genrekit.engines.dask_engine import open_dask
from genrekit.errors import GenrekitError, IncompatibleCacheError
from genrekit.io.file_identity import FileIdentity
from genrekit.workflows.predict import predict
from genrekit.workflows.prepare import prepare
from genrekit.workflows.prepare_cluster import FileToFill, write_block
from genrekit.workflows.prepare_shard import prepare_shard
from genrekit.workflows.reporter import Reporter

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dask")]


class Notes(Reporter):
    """Collects notes, and calls a function when tracks are done."""

    def __init__(self, on_tracks: Callable[[int, int], None] = lambda *_: None) -> None:
        self.notes: list[str] = []
        self.on_tracks = on_tracks

    def note(self, text: str) -> None:
        self.notes.append(text)

    def tracks_done(self, done: int, of: int) -> None:
        self.on_tracks(done, of)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer than on a cluster: a busy machine starts processes slowly."""
    monkeypatch.setattr(dask_engine, "ANSWER_S", 120.0)
    monkeypatch.setattr(dask_engine, "FIRST_WORKER_S", 300.0)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collection") / "music"
    write_collection(folder, {"blues": 24, "jazz": 24}, duration_s=2.0, sample_rate=8_000)
    (folder / "jazz" / "broken.wav").write_bytes(b"no audio")
    return folder


@pytest.fixture(scope="module")
def whole(music: Path) -> Path:
    """The cache that one process makes."""
    out = music.parent / "whole.h5"
    prepare(music, AUGMENTED, out=out, workers=1)
    return out


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyCluster]:
    """A cluster with one worker here, and one that acts as if it were on another host."""
    with tiny_cluster(tmp_path_factory.mktemp("cluster"), elsewhere=1) as running:
        yield running


def test_prepare_on_a_cluster_equals_prepare_on_one_machine(
    music: Path, whole: Path, cluster: TinyCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path names the same folder on workers, whose current folder is another one."""
    monkeypatch.chdir(music.parent)
    merged: list[Path] = []

    def recorded(path: Path, *arguments: Any) -> Any:
        merged.append(path)
        return copy_shard(path, *arguments)

    monkeypatch.setattr("genrekit.workflows.prepare_cluster.copy_shard", recorded)
    result = prepare("music", AUGMENTED, out=tmp_path / "cache.h5", engine=cluster.engine)
    assert (result.tracks, [file.path for file in result.skipped]) == (48, ["jazz/broken.wav"])
    assert_equal_content(whole, tmp_path / "cache.h5")
    assert 0 < len(merged) < 6  # the other blocks were written by the worker of this host
    assert not shards_folder(tmp_path / "cache.h5").exists()
    again = prepare("music", AUGMENTED, out=tmp_path / "cache.h5", engine=cluster.engine)
    assert again.reused == 48


@pytest.mark.parametrize("elsewhere", [0, 1])
def test_tracks_that_differ_from_their_headers_are_planned_again(tmp_path: Path, elsewhere: int) -> None:
    """Silent fragments are left out, so a track can have fewer rows than its header says, or none."""
    folder = write_collection(tmp_path / "music", {"blues": 9, "jazz": 9}, duration_s=2.0, sample_rate=8_000)
    for name, share in {"silent": 1.0, "half": 0.5}.items():
        samples = white_noise(16_000)
        samples[: round(share * len(samples))] = 0
        soundfile.write(folder / "blues" / f"{name}.wav", samples, 8_000)
    build(folder, tmp_path / "whole.h5")
    out = tmp_path / "cache.h5"
    with tiny_cluster(tmp_path / "cluster", workers=1, elsewhere=elsewhere) as cluster:
        result = prepare(folder, PLAIN, out=out, engine=cluster.engine)
    assert [file.path for file in result.skipped] == ["blues/silent.wav"]
    assert result.silent_fragments == {"blues/half": 2}
    assert_equal_content(tmp_path / "whole.h5", out)


def test_predict_on_a_cluster_equals_predict_on_one_machine(
    music: Path, cluster: TinyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(music.parent)
    files = ["music/jazz/jazz-1.wav", "music/jazz/broken.wav", "music/none.wav", "music/blues/blues-0.wav"]
    local = predict(files)
    remote = predict(files, engine=cluster.engine)
    assert [file.path for file in remote.files] == [file.path for file in local.files]
    assert remote.skipped == local.skipped
    for one, other in zip(local.files, remote.files, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
        assert replace(one, probabilities={}, fragments=()) == replace(other, probabilities={}, fragments=())


def test_the_file_of_a_cluster_is_read_if_nothing_is_left_to_compute(music: Path, whole: Path, tmp_path: Path) -> None:
    engine = EngineConfig(engine="dask", engine_config=tmp_path / "none.toml")
    with pytest.raises(GenrekitError, match=r"cannot read .*none\.toml"):
        prepare(music, AUGMENTED, out=whole, engine=engine)


def test_finished_shards_of_another_configuration_are_refused(
    music: Path, cluster: TinyCluster, tmp_path: Path
) -> None:
    prepare_shard(music, "1/4", PLAIN, out=tmp_path / "cache.h5", workers=1)
    with pytest.raises(IncompatibleCacheError, match="augment is False, not True"):
        prepare(music, AUGMENTED, out=tmp_path / "cache.h5", engine=cluster.engine)


def test_a_path_that_workers_do_not_see_is_named(cluster: TinyCluster, tmp_path: Path) -> None:
    with open_dask(cluster.engine) as dask:
        dask.require_seen([tmp_path])
        with pytest.raises(GenrekitError, match=r"worker tcp://\S+ does not see .*nowhere: use a folder on a file"):
            dask.require_seen([tmp_path, tmp_path / "nowhere"])


def test_a_worker_that_does_not_see_a_track_does_not_skip_it(music: Path, tmp_path: Path) -> None:
    collection = scan_folder(music)
    moved = [replace(track, path=tmp_path / track.path.name) for track in collection.tracks[:2]]
    block = tuple((TrackRows(index, track.id, track.path, 4 * index, 4), track) for index, track in enumerate(moved))
    with pytest.raises(GenrekitError, match=r"does not see .*blues-0\.wav"):
        write_block(music, PLAIN, tmp_path, FileToFill(tmp_path / "cache.h5.partial", None, {}), block)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot tell hosts apart")
@pytest.mark.parametrize("replaced", [False, True])
def test_a_worker_does_not_write_to_a_file_that_was_replaced(tmp_path: Path, replaced: bool) -> None:
    """The worker may belong to a command that was killed, while the next one has laid out another file."""
    folder = write_collection(tmp_path / "music", {"blues": 2, "jazz": 2}, duration_s=2.0, sample_rate=8_000)
    whole = build(folder, tmp_path / "whole.h5").cache
    file = tmp_path / "cache.h5.partial"
    file.write_bytes(bytes(whole.path.stat().st_size))
    with open_descriptor(file, os.O_RDONLY) as descriptor:
        target = FileToFill(file, FileIdentity.of(descriptor), whole.extents)
        if replaced:
            shutil.copy(file, tmp_path / "new")
            os.replace(tmp_path / "new", file)
        tracks = scan_folder(folder).tracks
        block = tuple((TrackRows(n, track.id, track.path, 4 * n, 4), track) for n, track in enumerate(tracks))
        outcome = write_block(folder, PLAIN, tmp_path, target, block)
        first_row = os.pread(descriptor, 100, whole.extents["mel"].offset)
    assert isinstance(outcome, str) == replaced
    assert any(first_row) != replaced
    assert any(file.read_bytes()) != replaced


def test_a_worker_with_another_version_is_refused_with_both_versions(cluster: TinyCluster, tmp_path: Path) -> None:
    (tmp_path / "genrekit").mkdir()
    (tmp_path / "genrekit" / "__init__.py").touch()
    (tmp_path / "genrekit" / "_version.py").write_text('__version__ = "0.0.9"\n')
    with tiny_cluster(tmp_path / "cluster", workers=0) as other:
        other.start_worker(tmp_path)
        with (
            pytest.raises(GenrekitError, match=r"has genrekit 0\.0\.9, but this command is genrekit \d"),
            open_dask(other.engine),
        ):
            pass


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_engine, "ANSWER_S", 0.5)
    with (
        pytest.raises(GenrekitError, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:9 within 0\.5 s"),
        open_dask(EngineConfig(engine="dask", scheduler="tcp://127.0.0.1:9")),
    ):
        pass


def test_a_scheduler_without_workers_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_engine, "FIRST_WORKER_S", 0.5)
    notes: list[str] = []
    with (
        tiny_cluster(tmp_path / "cluster", workers=0) as empty,
        pytest.raises(GenrekitError, match=r"no worker joined the dask scheduler at tcp://\S+ within 0\.5 s"),
        open_dask(empty.engine, notes.append),
    ):
        pass
    assert notes[0].startswith("waiting for a worker")


def test_a_cluster_from_a_file_is_started_and_stopped(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text('cluster = "LocalCluster"\nworkers = 1\noptions = { processes = false }\n')
    with open_dask(EngineConfig(engine="dask", engine_config=file)) as dask:
        assert list(dask.in_order(abs, [-1, 2, -3])) == [(-1, 1), (2, 2), (-3, 3)]
    file.write_text('cluster = "LocalCluster"\nworkers = 1\noptions = { queue = "gpu" }\n')
    with (
        pytest.raises(GenrekitError, match=r"cluster\.toml: LocalCluster cannot be started with its options"),
        open_dask(EngineConfig(engine="dask", engine_config=file)),
    ):
        pass


@pytest.mark.stress
@pytest.mark.parametrize("elsewhere", [0, 2])
def test_tracks_of_a_killed_worker_are_done_elsewhere(music: Path, whole: Path, tmp_path: Path, elsewhere: int) -> None:
    with tiny_cluster(tmp_path / "cluster", elsewhere=elsewhere) as cluster:

        def kill(done: int, of: int) -> None:
            if done and cluster.workers[0].poll() is None:
                cluster.workers[0].kill()

        prepare(music, AUGMENTED, out=tmp_path / "cache.h5", engine=cluster.engine, reporter=Notes(kill))
        assert cluster.workers[0].poll() is not None
    assert_equal_content(whole, tmp_path / "cache.h5")


@pytest.mark.stress
def test_tracks_of_a_worker_that_hangs_are_done_elsewhere(
    music: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL", "20s")
    with tiny_cluster(tmp_path / "cluster") as cluster:

        def hang(done: int, of: int) -> None:
            if done:
                cluster.workers[0].send_signal(signal.SIGSTOP)

        prepare(music, AUGMENTED, out=tmp_path / "cache.h5", engine=cluster.engine, reporter=Notes(hang))
    assert_equal_content(whole, tmp_path / "cache.h5")


@pytest.mark.stress
@pytest.mark.parametrize("elsewhere", [0, 2])
def test_after_a_killed_scheduler_the_same_command_resumes(
    music: Path, whole: Path, tmp_path: Path, elsewhere: int
) -> None:
    out = tmp_path / "cache.h5"
    with tiny_cluster(tmp_path / "cluster", elsewhere=elsewhere) as cluster:

        def kill(done: int, of: int) -> None:
            if done and cluster.scheduler is not None:
                cluster.scheduler.kill()

        with pytest.raises(GenrekitError, match=r"connection to the dask scheduler at tcp://\S+ was lost"):
            prepare(music, AUGMENTED, out=out, engine=cluster.engine, reporter=Notes(kill))
    assert_resumes(music, whole, out, tmp_path / "again")


@pytest.mark.stress
@pytest.mark.parametrize("elsewhere", [0, 2])
def test_after_a_killed_parent_the_same_command_resumes(
    music: Path, whole: Path, tmp_path: Path, elsewhere: int
) -> None:
    """The workers still write to the file of the killed parent when the next one continues it."""
    out = tmp_path / "cache.h5"
    with tiny_cluster(tmp_path / "cluster", elsewhere=elsewhere) as cluster:
        parent = start_prepare(music, out, cluster)
        wait_until(lambda: finished_tracks(out) > 0, parent)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert not out.exists()
        assert_resumes(music, whole, out, None, cluster)


@pytest.mark.stress
def test_workers_of_a_killed_parent_finish_their_tracks_for_the_next_one(tmp_path: Path) -> None:
    """The next one uses the local engine, and removes what the cluster has left."""
    music = write_collection(tmp_path / "music", {"blues": 8, "jazz": 2}, duration_s=20.0, sample_rate=8_000)
    build(music, tmp_path / "whole.h5", AUGMENTED)
    out = tmp_path / "cache.h5"
    with tiny_cluster(tmp_path / "cluster", workers=1) as cluster:
        parent = start_prepare(music, out, cluster)
        wait_until(lambda: finished_tracks(out) > 0, parent)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert finished_tracks(out) < 8, "the first block was finished when it was first seen"
        wait_until(lambda: finished_tracks(out) >= 8)
        assert list(shards_folder(out).glob(".shared-*"))
    assert prepare(music, AUGMENTED, out=out, workers=1).reused >= 8
    assert_equal_content(tmp_path / "whole.h5", out)
    assert not shards_folder(out).exists()


@pytest.mark.stress
def test_if_no_worker_is_left_the_command_says_so(music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it would wait for ever, without a word."""
    with tiny_cluster(tmp_path / "cluster") as cluster:
        with open_dask(cluster.engine):  # waits for the first worker
            monkeypatch.setattr(dask_engine, "FIRST_WORKER_S", 3.0)

        def kill(done: int, of: int) -> None:
            for worker in cluster.workers:
                worker.kill()

        with pytest.raises(
            GenrekitError, match=r"scheduler at tcp://\S+ has had no worker for 3 s: start workers, then"
        ):
            prepare(music, AUGMENTED, out=tmp_path / "cache.h5", engine=cluster.engine, reporter=Notes(kill))


@pytest.fixture
def deadly_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyCluster]:
    """A cluster whose workers die when they read a file `deadly.wav`, and are started again."""
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(
        "import os, sys\n"
        "def die(event, arguments):\n"
        "    if event == 'open' and str(arguments[0]).endswith('deadly.wav'):\n"
        "        os.kill(os.getpid(), 9)\n"
        "sys.addaudithook(die)\n"
    )
    with tiny_cluster(tmp_path / "cluster", workers=0) as cluster:
        for _ in range(2):
            cluster.start_worker(tmp_path / "path", restarts=True)
        yield cluster


@pytest.mark.stress
def test_only_the_track_that_kills_workers_is_left_out(
    music: Path, whole: Path, deadly_cluster: TinyCluster, tmp_path: Path
) -> None:
    """Tasks that wait on a worker when it dies are suspected as well, and so are the tracks of the same block."""
    folder, out = tmp_path / "music", tmp_path / "cache.h5"
    shutil.copytree(music, folder)
    (folder / "jazz" / "broken.wav").unlink()
    shutil.copy(folder / "blues" / "blues-3.wav", folder / "blues" / "deadly.wav")
    reason = "1 worker died while reading it, possibly because memory ran out"
    with pytest.raises(GenrekitError, match=rf"cannot use 1 file; the first is blues/deadly\.wav: {reason}; fix"):
        prepare(folder, AUGMENTED, out=out, engine=deadly_cluster.engine, strict=True)
    result = prepare(folder, AUGMENTED, out=out, engine=deadly_cluster.engine)
    assert result.skipped == (SkippedFile("blues/deadly.wav", reason),)
    assert [track.id for track in open_cache(out).tracks] == [track.id for track in open_cache(whole).tracks]
    again = prepare(folder, AUGMENTED, out=out)
    assert (again.reused, len(again.skipped)) == (48, 1)
    verified = prepare(folder, AUGMENTED, out=out, verify=True)
    assert (verified.tracks, verified.skipped) == (49, ())


@pytest.mark.stress
def test_files_that_kill_workers_of_predict_are_named(music: Path, deadly_cluster: TinyCluster, tmp_path: Path) -> None:
    deadly = tmp_path / "deadly.wav"
    shutil.copy(music / "blues" / "blues-3.wav", deadly)
    with pytest.raises(GenrekitError, match=r"1 worker died while reading one of .*deadly\.wav, possibly because"):
        predict([deadly], engine=deadly_cluster.engine)


def start_prepare(music: Path, out: Path, cluster: TinyCluster) -> subprocess.Popen[bytes]:
    """Start a command on a cluster."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.model_dump(exclude_unset=True).items()]
    command = [sys.executable, "-m", "genrekit", "prepare", str(music), "--out", str(out), "--augment", *options]
    command += ["--engine", "dask", "--scheduler", cluster.address]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)


def assert_resumes(
    music: Path, whole: Path, out: Path, folder: Path | None, cluster: TinyCluster | None = None
) -> None:
    """Run the same command again: finished tracks are kept, and the result is that of one process."""
    finished = finished_tracks(out)
    assert finished > 0
    notes = Notes()
    if cluster is None:
        assert folder is not None
        with tiny_cluster(folder) as new:
            prepare(music, AUGMENTED, out=out, engine=new.engine, reporter=notes)
    else:
        prepare(music, AUGMENTED, out=out, engine=cluster.engine, reporter=notes)
    (left,) = [int(note.split()[0]) for note in notes.notes if " tracks on " in note] or [0]
    assert left <= 48 - finished
    assert_equal_content(whole, out)
