"""Hosts on one machine: Linux namespaces with their own network, mounts, host name, processes and temporary folder.

The hosts are connected by a bridge. They see the same files, except for their local disks and paths that are hidden.
All namespaces belong to a user namespace, so this needs no root. They end with the process that holds them, and that
one ends when this process closes its input or dies.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tiny_cluster import PATIENCE_S, ROOT

_HOLD = ("sh", "-c", "echo ready; exec cat")
_SWITCH = ("unshare", "--user", "--map-root-user", "--net")
_HOST = ("unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")
_PROBE = """
set -e
ip link add bridge type bridge
ip link add one type veth peer name two
ip link set one master bridge
hostname probe
mount -t tmpfs none "$0"
"""


@dataclass
class Host:
    """A host, on which tests start commands. `local` is a folder that each host has for itself."""

    name: str
    local: Path
    _enter: tuple[str, ...]
    _switch: tuple[str, ...]
    _started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *command: object, folder: Path, log: Path | None = None) -> subprocess.Popen[str]:
        """Start a command in a folder. Its output goes to a file, or else into pipes."""
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests"))),
            "OMP_NUM_THREADS": "1",
            "TMPDIR": str(self.local),
            "WANDB_MODE": "disabled",
            "DASK_LOGGING__DISTRIBUTED": "info",
            "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s",  # when a host is cut off, instead of 30 s
        }
        with ExitStack() as stack:
            output = subprocess.PIPE if log is None else stack.enter_context(log.open("a"))
            process = subprocess.Popen(
                [*self._enter, "env", f"--chdir={folder}", *map(str, command)],
                env=environment,
                stdout=output,
                stderr=output,
                text=True,
            )
        self._started.append(process)
        return process

    def python(self, *arguments: object, folder: Path, log: Path | None = None) -> subprocess.Popen[str]:
        """Start a Python module with its arguments."""
        return self.start(sys.executable, "-m", *arguments, folder=folder, log=log)

    def hide(self, folder: Path) -> None:
        """Put an empty folder in the place of another one, for commands that are started afterwards as well."""
        _run(*self._enter, "mount", "-t", "tmpfs", "none", str(folder))

    def disconnect(self) -> None:
        """Set the host's link down. Connections stay open, but nothing arrives."""
        _run(*self._switch, "ip", "link", "set", "dev", self.name, "down")

    def connect(self) -> None:
        """Set the host's link up again."""
        _run(*self._switch, "ip", "link", "set", "dev", self.name, "up")

    def _end(self) -> None:
        for process in self._started:
            with process:  # closes its pipes
                process.wait()


def children(pid: int) -> list[int]:
    """Return the processes that a process has started, on Linux."""
    if sys.platform != "linux":
        pytest.skip("looks for processes in /proc")
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def finished(process: subprocess.Popen[str], timeout_s: float = PATIENCE_S) -> tuple[int, str, str]:
    """Wait for the end; return the exit code and both outputs."""
    output, errors = process.communicate(timeout=timeout_s)
    return process.returncode, output, errors


@contextmanager
def tiny_hosts(folder: Path, *names: str) -> Iterator[list[Host]]:
    """Run hosts for the length of the block, then end everything on them. A folder has their shared files.

    The test is skipped if this machine does not allow it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _require_namespaces(folder)
    addresses = {name: f"192.0.2.{number}" for number, name in enumerate(names, 1)}
    table, local = folder / "hosts", folder / "local"
    table.write_text("127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in addresses.items()))
    local.mkdir()
    with ExitStack() as stack:
        switch = _entering(stack.enter_context(_held(*_SWITCH)), "--user", "--preserve-credentials", "--net")
        _run(*switch, "ip", "link", "add", "dev", "bridge", "up", "type", "bridge")
        hosts = []
        for name, address in addresses.items():
            (pid,) = children(stack.enter_context(_held(*switch, *_HOST)))
            enter = _entering(pid, "--user", "--preserve-credentials", "--net", "--mount", "--uts", "--pid")
            peer = ("type", "veth", "peer", "name", "eth0", "netns", str(pid))
            _run(*switch, "ip", "link", "add", "dev", name, "up", "master", "bridge", *peer)
            _run(*enter, "ip", "address", "add", f"{address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _run(*enter, "ip", "link", "set", "dev", device, "up")
            _run(*enter, "hostname", name)
            _run(*enter, "mount", "--bind", str(table), "/etc/hosts")
            hosts.append(Host(name, local, enter, switch))
            hosts[-1].hide(local)
            stack.callback(hosts[-1]._end)
            stack.callback(_run, "kill", "-KILL", str(pid))  # all processes of the host end with its first one
        yield hosts


def _require_namespaces(folder: Path) -> None:
    tools = ("unshare", "nsenter", "ip", "mount", "hostname")
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"hosts need Linux namespaces and {', '.join(missing)}")
    command = [*_SWITCH, *_HOST[1:], "sh", "-c", _PROBE, str(folder)]
    probe = subprocess.run(command, capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"this machine does not allow hosts in namespaces: {probe.stderr.strip()}")


@contextmanager
def _held(*command: str) -> Iterator[int]:
    """Keep namespaces while the block runs; yield the ID of the process that was started."""
    pipe = subprocess.PIPE
    with subprocess.Popen([*command, *_HOLD], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        yield holder.pid


def _entering(pid: int, *options: str) -> tuple[str, ...]:
    return ("nsenter", "--target", str(pid), *options)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
