"""Count the network connections and the programs of each command, with strace on a small collection.

    python tools/system_calls.py FOLDER

FOLDER is made by `genrekit demo FOLDER` or has the same names: audio/, cache.h5, runs/ and best_models/. Folders and
files of the commands are added to it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_CALL = re.compile(r"^\d+ +(?P<name>\w+)\((?P<arguments>.*)")
_RUN = re.compile(r'^"(?P<program>[^"]*)"(?!.*\)\s+= -1 )')
"""A program that started. The end of the line is missing if another process was traced meanwhile."""

_FAMILY = re.compile(r"\bAF_\w+|\bsa_family=AF_\w+")
LOCAL = {"AF_UNIX", "AF_NETLINK"}
"""Families of sockets that do not leave the computer. Python reads the list of network interfaces through netlink."""


@dataclass(frozen=True)
class Calls:
    """What a command did: its exit code, the sockets and connections by family, and the programs that were started."""

    code: int
    sockets: Counter[str]
    connections: Counter[str]
    programs: Counter[str]

    @property
    def outside(self) -> int:
        """The number of sockets and connections that could leave the computer."""
        both = self.sockets + self.connections
        return sum(count for family, count in both.items() if family not in LOCAL)


def traced(arguments: Sequence[str], folder: Path) -> Calls:
    """Run `genrekit` in a folder under strace, with all the processes that it starts.

    Errors: RuntimeError if strace cannot trace here.
    """
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "calls"
        strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-s", "200", "-e", "trace=%network,execve", "-o", str(log)]
        command = [*strace, sys.executable, "-P", "-m", "genrekit", *arguments]
        environment = {**os.environ, "WANDB_MODE": "offline"}
        environment.setdefault("PYTHONPATH", str(Path(__file__).parents[1]))
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if not log.exists() or not log.stat().st_size:
            raise RuntimeError(f"strace cannot trace here: {done.stderr.strip()}")
        return _counted(done.returncode, log.read_text(errors="replace").splitlines())


def _counted(code: int, lines: Sequence[str]) -> Calls:
    calls = Calls(code, Counter(), Counter(), Counter())
    for line in lines:
        if not (match := _CALL.match(line)):
            continue
        name, arguments = match["name"], match["arguments"]
        families = [text.removeprefix("sa_family=") for text in _FAMILY.findall(arguments)]
        if name == "execve" and (run := _RUN.match(arguments)):
            calls.programs[Path(run["program"]).name] += 1
        elif name == "socket":
            calls.sockets.update(families[:1])
        elif name in ("connect", "sendto", "bind"):
            calls.connections.update(families[:1])
    return calls


def commands(folder: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield a name and the arguments of a small call of each command in a folder like that of the demo."""
    song = next(folder.glob("audio/*/*.wav")).relative_to(folder).as_posix()
    study, space = folder / "rates.toml", folder / "space.toml"
    base = 'base = { arch = "mlp", hidden = [4, 4], epochs = 1 }\n'
    study.write_text(f'title = "T"\nquestion = "Q?"\nseeds = 1\n{base}[axes.a]\nlow = {{ lr = 0.001 }}\n')
    space.write_text(f'title = "T"\nquestion = "Q?"\ntrials = 1\nseeds = 1\n{base}[space.lr]\nlow = 0.01\nhigh = 0.1\n')
    for part in ("train", "test"):
        shutil.copytree(folder / "audio", folder / "split" / part, dirs_exist_ok=True)
    (bundle,) = list(folder.glob("runs/mlp/best"))
    best = bundle.relative_to(folder).as_posix()
    cache = ("--cache", "cache.h5")
    yield "prepare", ("prepare", "audio", "--out", "again.h5", "--workers", "2", "--n-mels", "16")
    yield "train", ("train", *cache, "--arch", "mlp", "--hidden", "4,4", "--epochs", "1", "--wandb", "off")
    yield "train, offline", ("train", *cache, "--arch", "mlp", "--hidden", "4,4", "--epochs", "1", "--wandb", "offline")
    yield "compare", ("compare",)
    yield "study run", ("study", "run", "rates.toml", *cache, "--workers", "2", "--wandb", "off")
    yield "search", ("search", "space.toml", *cache, "--wandb", "off")
    yield "evaluate", ("evaluate", best, *cache, "--report", "report.html")
    yield "predict", ("predict", song, "--model", best)
    yield "export", ("export", best, "--out", "model.onnx")
    yield "info", ("info", "cache.h5")
    yield "manifest", ("manifest", "folders", "split")
    yield "--help", ("--help",)


def main() -> None:
    """Print one line for each command."""
    folder = Path(sys.argv[1])
    for name, arguments in commands(folder):
        calls = traced(arguments, folder)
        programs = ", ".join(f"{program} {count}" for program, count in sorted(calls.programs.items()))
        local = sum((calls.sockets + calls.connections).values()) - calls.outside
        sys.stdout.write(f"{name}: exit {calls.code}, network {calls.outside}, local {local}, programs {programs}\n")


if __name__ == "__main__":
    main()
