"""A full disk gives one line and exit code 1. Existing files are unchanged, and the command resumes when there is
space.
"""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kills import assert_whole, content
from tiny_cache import AUGMENTED, PLAIN
from tiny_cli import SMALL
from tiny_music import write_collection

from genrekit.config import PrepareConfig
from genrekit.data.cache.reader import open_cache
from genrekit.workflows.prepare import prepare

pytestmark = pytest.mark.stress

PAGE = 4_096


class Disk:
    """A file system in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resize(self, size: int) -> None:
        mount = ["mount", "-o", f"remount,size={size}", str(self.folder)]
        subprocess.run(mount, check=True, capture_output=True)

    @property
    def free(self) -> int:
        return shutil.disk_usage(self.folder).free

    def leave(self, free: int) -> Path:
        """Fill the disk until a number of bytes is free, in whole pages; return the file to delete."""
        filler = self.folder / "filler"
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, self.free - free)
        return filler


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "genrekit-test", str(folder)]
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small disk is not permitted here")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    return write_collection(tmp_path / "music", {"blues": 3, "jazz": 3}, duration_s=1.2, sample_rate=8_000)


def fresh(music: Path, config: PrepareConfig) -> Path:
    """A cache that was built on a disk with enough space."""
    out = music.with_name("fresh.h5")
    prepare(music, config, out=out, workers=1)
    return out


def refused(music: Path, out: Path, *options: str, limit: int = -1) -> str:
    """Run the command, which must end with exit code 1 and one line; return this line."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    command = [sys.executable, "-m", "genrekit", "prepare", str(music), "--out", str(out), "--quiet", *SMALL, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limited)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("genrekit: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_too_small_a_disk_is_refused_before_work_starts_and_a_larger_one_is_filled(music: Path, disk: Disk) -> None:
    expected = fresh(music, AUGMENTED)
    disk.resize(64 * PAGE)
    line = refused(music, disk.folder / "cache.h5", "--augment", "--workers", "2")
    assert "is free: make space, or prepare less" in line
    assert names(disk.folder) == [".cache.h5.lock"]
    disk.resize(8 << 20)
    prepare(music, AUGMENTED, out=disk.folder / "cache.h5", workers=1)
    assert_whole(disk.folder / "cache.h5", content(expected))


@pytest.mark.parametrize(
    ("left", "message"),
    [
        pytest.param(lambda rows, whole: 0, "is free: make space", id="not even the process ID of the lock fits"),
        pytest.param(lambda rows, whole: rows, "is free: make space", id="the rows do not fit, by a page"),
        pytest.param(lambda rows, whole: rows + PAGE, "No space left on device", id="nothing but the rows fits"),
        pytest.param(lambda rows, whole: whole, "No space left on device", id="a page is missing"),
    ],
)
def test_an_old_cache_does_not_change_if_there_is_no_space_for_the_new_one(
    music: Path, disk: Disk, left: Callable[[int, int], int], message: str
) -> None:
    """The file with the process ID beside the lock also takes a page."""
    out = disk.folder / "cache.h5"
    prepare(music, PLAIN, out=out, workers=1)
    old = out.read_bytes()
    write_collection(music, {"metal": 3}, duration_s=1.2, sample_rate=8_000)
    expected = fresh(music, PLAIN)
    plan, size = open_cache(expected).plan, expected.stat().st_size
    rows, whole = (-(-need // PAGE) * PAGE for need in (plan.n_rows * plan.row_bytes, size))
    filler = disk.leave(left(rows, whole))
    assert message in refused(music, out, "--workers", "1")
    assert out.read_bytes() == old
    assert names(disk.folder) == [".cache.h5.lock", "cache.h5", "cache.matches.npz", "cache.origin.json", "filler"]
    filler.unlink()
    assert prepare(music, PLAIN, out=out, workers=1).reused == 6
    assert_whole(out, content(expected))
    assert names(disk.folder) == [".cache.h5.lock", "cache.h5", "cache.matches.npz", "cache.origin.json"]


def test_a_disk_without_space_for_hdf5_metadata_is_one_error_and_no_crash(music: Path, disk: Disk) -> None:
    """HDF5 does not recover from a failed write."""
    small = ("--store", "mel", "--fragments", "first")
    config = PrepareConfig.of({"front_end": PLAIN.front_end.model_dump(), "store": "mel", "fragments": "first"})
    expected = fresh(music, config)
    filler = disk.leave(3 * PAGE)
    assert "No space left on device" in refused(music, disk.folder / "cache.h5", *small, "--workers", "1")
    filler.unlink()
    prepare(music, config, out=disk.folder / "cache.h5", workers=1)
    assert_whole(disk.folder / "cache.h5", content(expected))


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.99])
@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="files have no limit here")
def test_a_file_size_limit_is_one_error_and_the_next_run_resumes(music: Path, tmp_path: Path, share: float) -> None:
    expected, out = fresh(music, PLAIN), tmp_path / "out" / "cache.h5"
    line = refused(music, out, "--workers", "1", limit=int(share * expected.stat().st_size))
    assert "File too large" in line
    assert "run genrekit prepare again to continue" in line
    assert names(out.parent) == [".cache.h5.lock"]
    prepare(music, PLAIN, out=out, workers=1)
    assert_whole(out, content(expected))


def test_workers_on_a_full_disk_are_one_error(music: Path, disk: Disk, tmp_path: Path) -> None:
    """This is a file system without preallocation: workers find out that rows do not fit when they write them."""
    sparse = tmp_path / "sparse.py"
    sparse.write_text(
        "import os, sys\n"
        "if __name__ == '__main__':\n"
        "    del os.posix_fallocate\n"
        "    import genrekit.data.cache.filling as filling\n"
        "    assert filling.require_space\n"
        "    filling.require_space = lambda plan, path: None\n"
        "    from genrekit.cli.app import run\n"
        "    sys.exit(run(sys.argv[1:]))\n"
    )
    expected, out = fresh(music, AUGMENTED), disk.folder / "cache.h5"
    filler = disk.leave(60 * PAGE)
    command = [sys.executable, str(sparse), "prepare", str(music), "--out", str(out), "--quiet", *SMALL, "--augment"]
    done = subprocess.run([*command, "--workers", "2"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1, done.stderr
    assert "No space left on device" in done.stderr
    assert not out.exists()
    kept = sum(track.done for track in open_cache(disk.folder / "cache.h5.partial", unfinished=True).tracks)
    filler.unlink()
    assert prepare(music, AUGMENTED, out=out, workers=1).reused == kept
    assert_whole(out, content(expected))
    assert names(disk.folder) == [".cache.h5.lock", "cache.h5", "cache.matches.npz", "cache.origin.json"]
