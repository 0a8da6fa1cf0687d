"""Recognize an open file in another process, which may run on another host."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE = Path("/proc/self/ns/pid")


@dataclass(frozen=True)
class FileIdentity:
    """A file as one kernel sees it. Two processes with the same identity may write to it at the same time.

    `host` is the name of the host, the ID of its last start, and the namespace of its processes, of which each
    container has another.
    """

    host: tuple[str, str, str]
    device: int
    inode: int

    @classmethod
    def of(cls, descriptor: int) -> FileIdentity | None:
        """Return the identity of an open file; None if this system cannot tell hosts apart."""
        with suppress(OSError):
            status = os.fstat(descriptor)
            host = (socket.gethostname(), _BOOT_ID.read_text().strip(), str(_PID_NAMESPACE.readlink()))
            return cls(host, status.st_dev, status.st_ino)
        return None


def path_of_open_file(descriptor: int) -> Path:
    """Return a path that opens the same file again, also after another file has replaced it. Linux only."""
    return Path(f"/proc/self/fd/{descriptor}")
