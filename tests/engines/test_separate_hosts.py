"""A dask cluster on hosts of their own: what one machine gives, and what happens when a host is cut off or hangs.

The scheduler is on one host, the workers on two others, and the command on a fourth.
"""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tiny_cache import SMALL, assert_equal_content, build, finished_tracks
from tiny_cluster import REGISTERED, wait_until
from tiny_hosts import Host, finished, tiny_hosts
from tiny_music import write_collection

from genrekit.data.cache.shards import shards_folder

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("hosts")]

ADDRESS = "tcp://head:8786"
LOST = (
    "genrekit: the connection to the dask scheduler at tcp://head:8786 was lost: start it and its workers again, then "
    "run the same command again to resume"
)
OPTIONS = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.model_dump(exclude_unset=True).items()]


@dataclass
class Cluster:
    """A scheduler, two workers and the host of the user."""

    folder: Path
    head: Host
    workers: tuple[Host, Host]
    login: Host

    def start_scheduler(self) -> None:
        log = self.folder / "cluster.log"
        self.head.python("dask", "scheduler", "--host", "head", "--no-dashboard", folder=self.head.local, log=log)

    def start_workers(self) -> None:
        """Start the workers, and wait until the scheduler knows them."""
        log = self.folder / "cluster.log"
        before = log.read_text().count(REGISTERED)
        started = []
        for host in self.workers:
            options = ("--host", host.name, "--nthreads", "1", "--local-directory", host.local, "--no-dashboard")
            started.append(host.python("dask", "worker", ADDRESS, *options, folder=host.local, log=log))
        wait_until(lambda: log.read_text().count(REGISTERED) == before + len(started), *started)

    def prepare(self) -> subprocess.Popen[str]:
        command = ("genrekit", "prepare", "music", "--out", "cache.h5", *OPTIONS)
        return self.login.python(*command, "--engine", "dask", "--scheduler", ADDRESS, folder=self.folder)

    @property
    def cache(self) -> Path:
        return self.folder / "cache.h5"

    def wait_for_tracks(self, command: subprocess.Popen[str]) -> None:
        wait_until(lambda: finished_tracks(self.cache) > 0, command)


@contextmanager
def cluster_on_hosts(folder: Path, hidden: Path | None = None) -> Iterator[Cluster]:
    """Run a cluster; the second worker does not see the folder `hidden`."""
    with tiny_hosts(folder / "hosts", "head", "one", "two", "login") as (head, one, two, login):
        if hidden is not None:
            two.hide(hidden)
        cluster = Cluster(folder, head, (one, two), login)
        cluster.start_scheduler()
        cluster.start_workers()
        yield cluster


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection, and the cache that one process makes of it."""
    folder = tmp_path_factory.mktemp("shared")
    write_collection(folder / "music", {"blues": 80, "jazz": 80}, duration_s=2.0, sample_rate=8_000)
    build(folder / "music", folder / "whole.h5")
    return folder


@pytest.fixture
def folder(shared: Path, tmp_path: Path) -> Path:
    (tmp_path / "music").symlink_to(shared / "music")
    return tmp_path


def test_prepare_on_three_hosts_equals_prepare_on_one(folder: Path, shared: Path) -> None:
    with cluster_on_hosts(folder) as cluster:
        code, _, errors = finished(cluster.prepare())
    assert code == 0, errors
    assert_equal_content(shared / "whole.h5", cluster.cache)


def test_a_host_without_the_shared_folder_is_named_before_anything_starts(folder: Path, shared: Path) -> None:
    with cluster_on_hosts(folder, hidden=shared) as cluster:
        code, _, errors = finished(cluster.prepare())
        assert code == 1
        assert re.search(
            r"worker tcp://192\.0\.2\.3:\d+ does not see .*music/blues: use a folder on a file system", errors
        )
        assert list(shards_folder(cluster.cache).iterdir()) == []


def test_tracks_of_a_host_that_is_cut_off_are_done_elsewhere(folder: Path, shared: Path) -> None:
    with cluster_on_hosts(folder) as cluster:
        command = cluster.prepare()
        cluster.wait_for_tracks(command)
        cluster.workers[1].disconnect()

        code, _, errors = finished(command)
    assert code == 0, errors
    assert_equal_content(shared / "whole.h5", cluster.cache)


def test_a_host_that_is_cut_off_before_the_command_starts_does_no_work(folder: Path, shared: Path) -> None:
    with cluster_on_hosts(folder) as cluster:
        cluster.workers[1].disconnect()

        code, _, errors = finished(cluster.prepare())
    assert code == 0, errors
    assert_equal_content(shared / "whole.h5", cluster.cache)


def test_after_the_host_of_the_scheduler_was_cut_off_the_same_command_resumes(folder: Path, shared: Path) -> None:
    with cluster_on_hosts(folder) as cluster:
        command = cluster.prepare()
        cluster.wait_for_tracks(command)
        cluster.head.disconnect()
        code, _, errors = finished(command)
        assert (code, errors.splitlines()[2:]) == (1, [LOST])
        cluster.head.connect()
        cluster.start_workers()  # the first ones have ended, because they lost the scheduler
        code, _, errors = finished(cluster.prepare())
    assert code == 0, errors
    (left,) = [int(line.split()[1]) for line in errors.splitlines() if " tracks on " in line]
    assert left < 160
    assert_equal_content(shared / "whole.h5", cluster.cache)
