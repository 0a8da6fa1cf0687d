import os
import threading
from pathlib import Path

import pytest

from genrekit.data.cache.rows import copy_rows, flushed_file, open_descriptor


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "rows"
    file.write_bytes(bytes(64))
    return file


class TestFlushedFile:
    """What is written to a file goes to the disk beside the work, and is there in the end."""

    def test_it_is_flushed_while_the_block_runs_and_after_its_last_write(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        contents: list[bytes] = []
        flushed, fsync = threading.Semaphore(0), os.fsync

        def seen(descriptor: int) -> None:
            fsync(descriptor)
            contents.append(path.read_bytes())
            flushed.release()

        monkeypatch.setattr(os, "fsync", seen)
        monkeypatch.setattr("genrekit.data.cache.rows._FLUSH_EVERY_S", 0.001)
        with flushed_file(path) as descriptor:
            os.pwrite(descriptor, b"early", 0)
            while flushed.acquire(blocking=False):
                pass  # a flush from before the write
            for _ in range(2):  # the first may have started before the write
                assert flushed.acquire(timeout=60)
            during = len(contents)
            os.pwrite(descriptor, b"late", 32)
        assert contents[during - 1].startswith(b"early")
        assert contents[-1][32:36] == b"late"

    def test_an_error_of_the_flush_beside_the_work_is_not_lost(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The system reports it once: the last flush would succeed."""
        calls: list[int] = []

        def failing_once(descriptor: int) -> None:
            calls.append(descriptor)
            if len(calls) == 1:
                raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fsync", failing_once)
        with pytest.raises(OSError, match="Input/output error"), flushed_file(path):
            pass

    def test_an_error_of_the_block_comes_out_and_the_descriptor_is_closed(self, path: Path) -> None:
        with pytest.raises(KeyboardInterrupt), flushed_file(path) as descriptor:
            raise KeyboardInterrupt
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_rows_are_copied_whole_in_blocks_of_any_size(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(bytes(range(64)))
    (tmp_path / "copy").write_bytes(bytes(64))
    monkeypatch.setattr("genrekit.data.cache.rows._COPY_BLOCK", 7)
    with open_descriptor(path, os.O_RDONLY) as source, open_descriptor(tmp_path / "copy", os.O_WRONLY) as target:
        copy_rows(source, target, 10, 30, 20)
        with pytest.raises(OSError, match="ends 6 bytes early"):
            copy_rows(source, target, 60, 10, 0)
    assert (tmp_path / "copy").read_bytes()[20:50] == bytes(range(10, 40))
