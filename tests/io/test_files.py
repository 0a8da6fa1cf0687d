"""Files are replaced atomically, and locks end with their holders."""

import errno
import math
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from genrekit.errors import GenrekitError
from genrekit.io.files import atomic_write, exclusive_lock, new_file, read_json, reason, write_json, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestAtomicWrite:
    def test_a_file_is_replaced_and_its_folders_are_made(self, tmp_path: Path) -> None:
        path = tmp_path / "deep" / "er" / "file"
        for content in (b"first", b"second"):
            with atomic_write(path) as file:
                file.write(content)
            assert path.read_bytes() == content
            assert names(path.parent) == ["file"]

    def test_the_old_file_stays_until_the_block_ends(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_text("old")
        with atomic_write(path) as file:
            file.write(b"new")
            file.flush()
            assert path.read_text() == "old"
        assert path.read_text() == "new"

    @pytest.mark.parametrize("old", ["old", None], ids=["there", "absent"])
    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_an_error_in_the_block_leaves_everything_as_it_was(
        self, tmp_path: Path, old: str | None, error: type[BaseException]
    ) -> None:
        path = tmp_path / "file"
        if old:
            path.write_text(old)
        with pytest.raises(error), atomic_write(path) as file:  # noqa: PT012 - the error comes after a write
            file.write(b"half of the new")
            raise error
        assert names(tmp_path) == (["file"] if old else [])
        assert not old or path.read_text() == old

    @pytest.mark.parametrize("call", ["fsync", "replace"])
    def test_a_full_disk_leaves_everything_as_it_was(
        self, tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        path = tmp_path / "file"
        path.write_text("old")
        monkeypatch.setattr(os, call, full)
        with pytest.raises(OSError, match="No space left"):
            write_text(path, "new")
        assert names(tmp_path) == ["file"]
        assert path.read_text() == "old"

    def test_the_content_is_on_the_disk_before_it_takes_its_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, order = tmp_path / "file", []
        fsync, replace = os.fsync, os.replace

        def synced(descriptor: int) -> None:
            order.append(("fsync", os.fstat(descriptor).st_size))
            fsync(descriptor)

        def replaced(source: str, target: Path) -> None:
            order.append(("replace", Path(source).stat().st_size))
            replace(source, target)

        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(os, "replace", replaced)
        write_text(path, "four")
        assert order == [("fsync", 4), ("replace", 4)]

    @pytest.mark.skipif(os.name == "nt", reason="Windows knows no permissions of this kind")
    @pytest.mark.parametrize(("umask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
    def test_permissions_follow_the_umask_which_stays(self, tmp_path: Path, umask: int, expected: int) -> None:
        before = os.umask(umask)
        try:
            write_text(tmp_path / "file", "text")
            assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == expected
        finally:
            assert os.umask(before) == umask


class TestJson:
    def test_a_value_comes_back(self, tmp_path: Path) -> None:
        value = {"genre": "chançon", "figures": [0.1 + 0.2, 1, None, True]}
        write_json(tmp_path / "file.json", value)
        assert read_json(tmp_path / "file.json") == value
        assert "chançon" in (tmp_path / "file.json").read_text(encoding="utf-8")

    @pytest.mark.parametrize("value", [math.nan, math.inf, [1.0, {"a": -math.inf}]], ids=["nan", "inf", "nested"])
    def test_what_json_does_not_know_is_refused_and_the_old_file_stays(self, tmp_path: Path, value: object) -> None:
        write_json(tmp_path / "file.json", 1)
        with pytest.raises(ValueError, match="JSON"):
            write_json(tmp_path / "file.json", value)
        assert read_json(tmp_path / "file.json") == 1
        assert names(tmp_path) == ["file.json"]

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(None, id="missing"),
            pytest.param(b"", id="empty"),
            pytest.param(b'{"a": 1', id="truncated"),
            pytest.param(b'{"a": "\xff"}', id="not-text"),
            pytest.param(b"[" * 100_000, id="endless-lists"),
            pytest.param(b"1" * 10_000, id="endless-number"),
        ],
    )
    def test_an_unreadable_file_is_one_line_with_the_path(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "file.json"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(GenrekitError, match=r"cannot read .*file\.json: .") as caught:
            read_json(path)
        assert "\n" not in str(caught.value)

    def test_a_folder_is_not_read(self, tmp_path: Path) -> None:
        with pytest.raises(GenrekitError, match=r"cannot read .*: Is a directory"):
            read_json(tmp_path)


def test_the_reason_of_a_systems_error_is_its_text_without_number_and_path() -> None:
    assert reason(OSError(errno.ENOSPC, "No space left on device", "file")) == "No space left on device"
    assert reason(OSError("odd")) == "odd"
    assert reason(ValueError("bad")) == "bad"


@pytest.mark.parametrize("named", [False, True])
def test_a_file_that_cannot_be_written_is_named_and_stays(tmp_path: Path, named: bool) -> None:
    """An error while writing has no name, and an error while opening that of the temporary file."""
    path = tmp_path / "result.json"
    path.write_text("old")
    with pytest.raises(OSError, match="File too large") as raised, new_file(path) as new:
        raise OSError(errno.EFBIG, "File too large", str(new) if named else None)
    assert raised.value.filename == str(path)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a lock until its input ends."""
    script = (
        "import sys; from pathlib import Path; from genrekit.io.files import exclusive_lock\n"
        "with exclusive_lock(Path(sys.argv[1]), 'holding'):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


class TestExclusiveLock:
    def test_a_second_process_names_the_holder_in_its_error(self, tmp_path: Path) -> None:
        path = tmp_path / "deep" / ".lock"
        with (
            holder(path) as process,
            pytest.raises(GenrekitError, match=f"cannot prepare: process {process.pid} is working on it; wait until"),
            exclusive_lock(path, "cannot prepare"),
        ):
            pytest.fail("two hold the lock")

    def test_the_end_of_the_block_releases_it(self, tmp_path: Path) -> None:
        for _ in range(2):
            with exclusive_lock(tmp_path / ".lock", "first"):
                assert (tmp_path / ".lock.pid").read_text() == str(os.getpid())
            assert not (tmp_path / ".lock.pid").exists()

    def test_an_error_in_the_block_releases_it(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="failed"), exclusive_lock(tmp_path / ".lock", "first"):
            raise ValueError("failed")
        with exclusive_lock(tmp_path / ".lock", "second"):
            pass

    def test_the_kill_of_its_holder_releases_it(self, tmp_path: Path) -> None:
        with holder(tmp_path / ".lock") as process:
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert (tmp_path / ".lock.pid").read_text() == str(process.pid)
            with exclusive_lock(tmp_path / ".lock", "second"):
                assert (tmp_path / ".lock.pid").read_text() == str(os.getpid())

    @pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"], ids=["missing", "empty", "not text"])
    def test_a_holder_without_a_readable_process_id_is_unknown(self, tmp_path: Path, content: bytes | None) -> None:
        path, pid_file = tmp_path / ".lock", tmp_path / ".lock.pid"
        with exclusive_lock(path, "first"):
            if content is None:
                pid_file.unlink()
            else:
                pid_file.write_bytes(content)
            with pytest.raises(GenrekitError, match="second: process unknown is"), exclusive_lock(path, "second"):
                pytest.fail("two hold the lock")

    def test_a_lock_in_a_folder_that_cannot_be_made_is_an_oserror_with_its_path(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with (
            pytest.raises(OSError, match=r"file") as caught,
            exclusive_lock(tmp_path / "file" / ".lock", "first"),
        ):
            pytest.fail("it was locked")
        assert caught.value.filename == str(tmp_path / "file")

    def test_a_waiting_process_gets_it_once_it_is_released(self, tmp_path: Path) -> None:
        path, events = tmp_path / ".lock", []
        waiting = threading.Event()

        def wait() -> None:
            waiting.set()
            with exclusive_lock(path, "second", wait=True):
                events.append("got")

        with exclusive_lock(path, "first"):
            thread = threading.Thread(target=wait)
            thread.start()
            assert waiting.wait(10)
            thread.join(0.2)
            events.append("released")
        thread.join(10)
        assert events == ["released", "got"]
