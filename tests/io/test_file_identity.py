"""An open file is recognized by another process of this host, and only while it is the same file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from genrekit.data.cache.rows import open_descriptor
from genrekit.io import file_identity
from genrekit.io.file_identity import FileIdentity, path_of_open_file

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot tell hosts apart")

PRINT = (
    "import os, sys; from genrekit.io.file_identity import FileIdentity; "
    "print(FileIdentity.of(os.open(sys.argv[1], os.O_RDONLY)))"
)


def identity(path: Path) -> FileIdentity | None:
    with open_descriptor(path, os.O_RDONLY) as descriptor:
        return FileIdentity.of(descriptor)


def test_another_process_sees_the_same_identity(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    seen = subprocess.run([sys.executable, "-c", PRINT, str(file)], capture_output=True, text=True, check=True).stdout
    assert seen.strip() == str(identity(file))


def test_another_file_or_another_start_of_the_host_has_another_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, other = tmp_path / "file", tmp_path / "other"
    file.touch()
    other.touch()
    here = identity(file)
    assert here is not None
    assert here != identity(other)
    other.write_text("00000000-0000-0000-0000-000000000000")
    monkeypatch.setattr(file_identity, "_BOOT_ID", other)
    assert here != identity(file)
    monkeypatch.setattr(file_identity, "_BOOT_ID", tmp_path / "none")
    assert identity(file) is None


def test_the_path_of_an_open_file_leads_to_it_after_it_was_replaced(tmp_path: Path) -> None:
    file, new = tmp_path / "file", tmp_path / "new"
    file.write_text("old")
    new.write_text("new")
    with open_descriptor(file, os.O_RDWR) as descriptor:
        os.replace(new, file)
        assert path_of_open_file(descriptor).read_text() == "old"
    assert file.read_text() == "new"
