"""A damaged cache is refused with one clear line."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from tiny_cache import AUGMENTED, build
from tiny_music import write_collection

from genrekit.data.cache.reader import Cache, open_cache
from genrekit.errors import GenrekitError, IncompatibleCacheError


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    folder = write_collection(tmp_path / "music", {"blues": 2, "jazz": 2}, duration_s=1.2, sample_rate=8_000)
    return build(folder, tmp_path / "cache.h5", AUGMENTED).cache


def test_a_missing_cache_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(GenrekitError, match=r"no cache at .*: prepare a collection first"):
        open_cache(tmp_path / "cache.h5")


@pytest.mark.parametrize("size", [0, 100, 5_000])
def test_a_truncated_file_is_refused(cache: Cache, size: int) -> None:
    data = cache.path.read_bytes()
    cache.path.write_bytes(data[:size] if size < 5_000 else data[:-size])
    with pytest.raises(IncompatibleCacheError, match=r"genrekit prepare --overwrite|name a cache with --cache"):
        open_cache(cache.path)


def test_another_format_version_is_refused(cache: Cache) -> None:
    with h5py.File(cache.path, "r+") as file:
        file.attrs["format_version"] = 99
    with pytest.raises(IncompatibleCacheError, match="cache format 99"):
        open_cache(cache.path)


def test_a_text_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cache.h5").write_text("not a cache")
    with pytest.raises(IncompatibleCacheError, match="is not a readable cache"):
        open_cache(tmp_path / "cache.h5")


def test_a_flipped_bit_is_found_by_its_checksum(cache: Cache) -> None:
    assert len(cache.damaged_rows()) == 0
    data = bytearray(cache.path.read_bytes())
    data[cache.extents["mel"].at(7) + 10] ^= 1
    cache.path.write_bytes(bytes(data))
    np.testing.assert_array_equal(open_cache(cache.path, check_rows=False).damaged_rows(), [7])


def test_mapped_rows_are_those_that_h5py_reads(cache: Cache) -> None:
    with h5py.File(cache.path) as file:
        np.testing.assert_array_equal(cache.mel, file["mel"])
        np.testing.assert_array_equal(cache.waveform, file["waveform"])


def test_original_rows_are_the_first_of_each_fragment(cache: Cache) -> None:
    rows = cache.original_rows(["blues/blues-1", "jazz/jazz-0"])
    np.testing.assert_array_equal(rows, [10, 15, 20, 25])


def test_a_disk_that_fills_while_a_cache_is_laid_out_is_an_oserror_and_no_crash(cache: Cache, tmp_path: Path) -> None:
    """In a process of its own, as HDF5 took the process along."""
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from genrekit.data.cache.reader import open_cache\n"
        "from genrekit.data.cache.writer import create_cache\n"
        "plan = open_cache(Path(sys.argv[1])).plan\n"
        "for limit in (1, 800, 5_000, 7_000, 15_000, 200_000):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))\n"
        "    try:\n"
        "        create_cache(Path(sys.argv[2]), plan)\n"
        "    except OSError as error:\n"
        "        print(error.strerror)\n"
    )
    command = [sys.executable, "-c", script, str(cache.path), str(tmp_path / "new.h5")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["File too large"] * 6
