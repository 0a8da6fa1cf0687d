"""What the benchmarks share: rows of a table, collections of any size, and the time, memory and files of a command.

Needs Linux: memory is read from /proc, and the files that a command opens are seen by inotify.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile

ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR")}
FRAGMENT_S = 5.0


@dataclass(frozen=True)
class Sample:
    """One measurement of a row: what ours and the peer cost, less being better, and what else went wrong."""

    ours: float
    peer: float
    fault: str = ""


@dataclass(frozen=True)
class Row:
    """A line of the table: `at least` bounds peer / ours from below, `at most` ours / peer from above."""

    name: str
    what: str
    unit: str
    limit: Literal["at least", "at most"]
    bar: float
    measure: Callable[[Bench], Sample]

    def ratio(self, sample: Sample) -> float:
        """The figure that is held against the bar."""
        return sample.peer / sample.ours if self.limit == "at least" else sample.ours / sample.peer

    def line(self, samples: Sequence[Sample]) -> str:
        """The row as it is printed: medians over the repeats, with the ratios' range."""
        ratios = [self.ratio(sample) for sample in samples]
        ours, peer, ratio = (
            statistics.median(values)
            for values in ([sample.ours for sample in samples], [sample.peer for sample in samples], ratios)
        )
        reached = ratio >= self.bar if self.limit == "at least" else ratio <= self.bar
        faults = sorted({sample.fault for sample in samples} - {""})
        verdict = "; ".join(["met" if reached and not faults else "missed", *faults])
        return (
            f"{self.name:<12} {self.what:<74} {ours:>8.3g} {peer:>8.3g} {self.unit:<11} {ratio:>6.2f} "
            f"({min(ratios):.2f}..{max(ratios):.2f})  {self.limit} {self.bar:g}  {verdict}"
        )


@dataclass(frozen=True)
class Bench:
    """Where a run finds its tracks and leaves its files; `size` is the number of tracks, or a few of them in short."""

    folder: Path
    scratch: Path
    quick: bool

    def size(self, tracks: int) -> int:
        """As many tracks as the row says, or a twentieth of them where it shall be quick."""
        return max(2, tracks // 20) if self.quick else tracks

    def tracks(self, count: int, start: int = 0) -> Path:
        """A folder of genre folders with `count` tracks; the same tracks are in every folder with the same start."""
        root = self.scratch / f"tracks-{start}-{count}"
        for number in range(start, start + count) if not root.exists() else ():
            source = self._pooled(number)
            target = root / source.relative_to(self.scratch / "pool")
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, target)
        return root

    def out(self, name: str) -> Path:
        """A path for a result, where nothing lies."""
        path = self.scratch / name
        path.unlink(missing_ok=True)
        return path

    @cached_property
    def _sources(self) -> list[Path]:
        """The readable WAV files, one of each genre after the other, so that a few are of several genres."""
        genres: dict[str, list[Path]] = {}
        for path in sorted(self.folder.rglob("*.wav")):
            with suppress(soundfile.LibsndfileError):
                if not path.name.startswith(".") and soundfile.info(path).duration >= FRAGMENT_S:
                    genres.setdefault(path.relative_to(self.folder).parts[0], []).append(path)
        if len(genres) < 2:
            raise SystemExit(f"{self.folder} must hold WAV files of {FRAGMENT_S:g} s and more in at least two folders")
        ranked = [(rank, path) for paths in genres.values() for rank, path in enumerate(paths)]
        return [path for _, path in sorted(ranked)]

    def _pooled(self, number: int) -> Path:
        """A track of the pool: a source, or where they do not suffice a slower and quieter version of one."""
        version, place = divmod(number, len(self._sources))
        source = self._sources[place]
        path = self.scratch / "pool" / source.relative_to(self.folder).parts[0] / f"{source.stem}.{version}.wav"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            audio, rate = soundfile.read(source, dtype="float32", always_2d=True)
            if version:
                here = np.arange(len(audio))
                slower = [np.interp(here / (1 + 0.03 * version), here, channel) for channel in audio.T]
                audio = 0.99**version * np.stack(slower, axis=1)
            soundfile.write(path, audio, rate, subtype="PCM_16")
        return path


def fragments(folder: Path) -> int:
    """Whole fragments of all tracks in a folder."""
    return sum(int(soundfile.info(path).duration // FRAGMENT_S) for path in folder.rglob("*.wav"))


def seconds(command: Sequence[object], environment: Mapping[str, str] | None = None) -> float:
    """Wall time of a command that must succeed, in this environment or in another one."""
    started = time.perf_counter()
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - started


def peak_megabytes(command: Sequence[object], kind: str = "Pss") -> float:
    """The most memory that a command and its children hold together: the sum of their PSS, looked at every 50 ms.

    The kind Pss_Anon leaves out pages of files, which the system drops if memory is scarce.
    """
    peak = 0
    with subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, sum(_pss_kilobytes(pid, kind) for pid in _family(process.pid)))
            time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed")
    return peak / 1_024


def _family(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in children.read_text().split():
                yield from _family(int(child))


def process_megabytes(pid: int) -> float:
    """The memory of a process: its PSS, now."""
    return _pss_kilobytes(pid, "Pss") / 1_024


def _pss_kilobytes(pid: int, kind: str) -> int:
    with suppress(OSError):  # it has ended since it was listed
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(f"{kind}:"):
                return int(line.split()[1])
    return 0


@contextmanager
def files_opened(root: Path) -> Iterator[set[str]]:
    """The names of the files in a folder's folders that any process opens during the block, known at its end."""
    in_open, in_isdir, header = 0x20, 0x4000_0000, struct.Struct("iIII")
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK)
    names: set[str] = set()
    try:
        for folder in root.iterdir():
            if libc.inotify_add_watch(descriptor, os.fsencode(folder), in_open) < 0:
                raise OSError(ctypes.get_errno(), "cannot watch", str(folder))
        yield names
        with suppress(BlockingIOError):
            while data := os.read(descriptor, 1 << 20):
                while data:
                    _, mask, _, length = header.unpack_from(data)
                    if not mask & in_isdir:
                        names.add(os.fsdecode(data[header.size : header.size + length].rstrip(b"\0")))
                    data = data[header.size + length :]
    finally:
        os.close(descriptor)


def free_cores() -> float:
    """How much two busy processes get done together beside one alone: 2 where two cores are free."""
    spin = [sys.executable, "-c", "for _ in range(20_000_000): pass"]
    alone = seconds(spin)
    started = time.perf_counter()
    both = [subprocess.Popen(spin) for _ in range(2)]
    for process in both:
        process.wait()
    return 2 * alone / (time.perf_counter() - started)


def run_table(description: str, rows: Sequence[Row]) -> None:
    """Read the command line, measure the rows one after the other, and print the table as it grows."""
    if os.environ.get("OMP_NUM_THREADS") != "1":  # libraries read it when they are loaded
        sys.exit(subprocess.call([sys.executable, *sys.argv], env={**os.environ, **ONE_THREAD}))
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a folder of genre folders with WAV files, such as GTZAN")
    parser.add_argument(
        "--rows", default=",".join(row.name for row in rows), help="names of rows (default: %(default)s)"
    )
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each row (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="one measurement with few tracks: whether it works at all")
    options = parser.parse_args()
    wanted = options.rows.split(",")
    if unknown := set(wanted) - {row.name for row in rows}:
        parser.error(f"no rows {', '.join(sorted(unknown))}")
    print(f"{'row':<12} {'what':<74} {'ours':>8} {'peer':>8} {'':<11} {'ratio':>6} (range)  bar  verdict", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(options.folder, Path(scratch), options.quick)
        for row in rows:
            if row.name in wanted:
                samples = [row.measure(bench) for _ in range(1 if options.quick else options.repeats)]
                print(row.line(samples), flush=True)
    if not options.quick:
        print(f"two busy processes got {free_cores():.2f} times as much done as one: 2 where both cores were free")
