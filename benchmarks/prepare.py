"""What genrekit prepare costs beside its peers: loops in librosa and torchaudio, and the least that must be done.

Usage: [EARLIER=CHECKOUT] python benchmarks/prepare.py FOLDER [--rows NAME,...] [--repeats N] [--quick]

FOLDER is a folder of genre folders with WAV files, such as GTZAN; where it has too few tracks, slower and quieter
versions of them are made in a temporary folder (TMPDIR says where; it needs 10 GB). Prints one table: what, ours, the
peer's, their ratio (median of the repeats, and the range), the bar, met or missed. Ours and the peer run in turn. Costs
per fragment are the slope between a small and a large collection, so that start-up falls out. Every process has one
thread for its libraries; genrekit has as many workers as the row says. EARLIER is another checkout of genrekit, whose
speed is then compared as well.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from measuring import Bench, Row, Sample, files_opened, fragments, peak_megabytes, run_table, seconds

Command = Callable[[Bench, Path], list[object]]
"""From a folder of tracks to the command that works through it."""


def genrekit(workers: int, *options: str) -> Command:
    """Prepare into a new cache."""
    return lambda bench, folder: prepare(folder, bench.out("ours.h5"), workers, *options)


def prepare(folder: Path, out: Path, workers: int, *options: str) -> list[object]:
    """The command that brings a cache up to date."""
    return [
        sys.executable,
        "-m",
        "genrekit",
        "prepare",
        folder,
        "--out",
        out,
        "--workers",
        workers,
        "--quiet",
        *options,
    ]


def peer(name: str, *options: str) -> Command:
    """A peer's script, which lies beside this one."""
    script = Path(__file__).with_name(f"peer_{name}.py")
    return lambda bench, folder: [sys.executable, script, folder, bench.out("peer.h5"), *options]


def earlier(workers: int) -> Command:
    """Prepare with the code of another checkout, in this environment."""
    checkout = Path(os.environ["EARLIER"]).resolve()
    if not (checkout / "genrekit").is_dir():
        raise SystemExit(f"EARLIER={checkout} is not a checkout of genrekit")

    def command(bench: Bench, folder: Path) -> list[object]:
        python, *arguments = prepare(folder, bench.out("peer.h5"), workers)
        return ["env", f"PYTHONPATH={checkout}", python, "-P", *arguments]  # -P: not from the current folder

    return command


def slope(ours: Command, theirs: Command, small: int, large: int) -> Callable[[Bench], Sample]:
    """Milliseconds per fragment of both commands."""

    def measure(bench: Bench) -> Sample:
        folders = [bench.tracks(bench.size(count)) for count in (small, large)]
        first, second = ([seconds(command(bench, folder)) for command in (ours, theirs)] for folder in folders)
        more = fragments(folders[1]) - fragments(folders[0])
        own, others = (1_000 * (late - early) / more for early, late in zip(first, second, strict=True))
        fault = "a collection took no longer than a smaller one: too few tracks, or a busy machine"
        return Sample(own, others, fault if min(own, others) <= 0 else "")

    return measure


def whole(ours: Command, theirs: Command, count: int) -> Callable[[Bench], Sample]:
    """Seconds of both commands, start-up included."""

    def measure(bench: Bench) -> Sample:
        folder = bench.tracks(bench.size(count))
        own, others = (seconds(command(bench, folder)) for command in (ours, theirs))
        return Sample(own, others)

    return measure


def rerun(bench: Bench) -> Sample:
    """Seconds of an unchanged rerun, and of a second longer than it takes to import h5py."""
    folder, cache = bench.tracks(bench.size(1_000)), prepared(bench)
    seconds(prepare(folder, cache, 2))  # the tracks share files by links, so their status changed after the first run
    with files_opened(folder) as opened:
        ours = seconds(prepare(folder, cache, 2))
    theirs = seconds([sys.executable, "-c", "import h5py"]) + 1
    return Sample(ours, theirs, f"{len(opened)} audio files opened" if opened else "")


def ten_new(bench: Bench) -> Sample:
    """Seconds of adding ten tracks, and of preparing them alone and copying the cache to the disk once."""
    old, more, before = bench.size(1_000), bench.size(10), prepared(bench)
    new, both = bench.tracks(more, start=old), bench.tracks(old + more)
    cache = bench.out("grown.h5")
    copy_to_disk(before, cache)
    with files_opened(both) as opened:
        ours = seconds(prepare(both, cache, 2))
    theirs = seconds(prepare(new, bench.out("ours.h5"), 2)) + copy_to_disk(before, bench.out("copy.h5"))
    others = opened - {path.name for path in new.rglob("*.wav")}
    return Sample(ours, theirs, f"{len(others)} other audio files opened" if others else "")


def memory(bench: Bench) -> Sample:
    """Peak megabytes of the process tree, on 1,000 tracks and on 100."""
    many, few = (bench.tracks(bench.size(count)) for count in (1_000, 100))
    on_many, on_few = (peak_megabytes(genrekit(2)(bench, folder)) for folder in (many, few))
    return Sample(on_many, on_few)


def prepared(bench: Bench) -> Path:
    """The cache of 1,000 tracks, made once."""
    cache = bench.scratch / "thousand.h5"
    if not cache.exists():
        seconds(prepare(bench.tracks(bench.size(1_000)), cache, 2))
    return cache


def copy_to_disk(source: Path, target: Path) -> float:
    """Seconds of copying a file from its beginning to its end, until it is on the disk: prepare waits for that, too."""
    started = time.perf_counter()
    with open(source, "rb") as original, open(target, "wb") as copy:
        shutil.copyfileobj(original, copy, 8 << 20)
        os.fsync(copy.fileno())
    return time.perf_counter() - started


ROWS = [
    Row(
        "librosa",
        "two workers against the plain librosa loop",
        "ms/fragment",
        "at least",
        4.5,
        slope(genrekit(2), peer("librosa_loop"), 100, 400),
    ),
    Row(
        "torchaudio",
        "two workers against a torchaudio loop",
        "ms/fragment",
        "at least",
        2.5,
        slope(genrekit(2), peer("torchaudio_loop"), 100, 400),
    ),
    Row(
        "whole",
        "whole command on 100 tracks against the librosa loop",
        "s",
        "at least",
        2.5,
        whole(genrekit(2), peer("librosa_loop"), 100),
    ),
    Row(
        "floor",
        "one worker against decode, window, FFT, power, mel, logarithm alone",
        "ms/fragment",
        "at most",
        1.3,
        slope(genrekit(1), peer("floor"), 100, 400),
    ),
    Row(
        "tuned-floor",
        "the same against a floor with genrekit's own shortcuts",
        "ms/fragment",
        "at most",
        1.3,
        slope(genrekit(1), peer("floor", "--tuned"), 100, 400),
    ),
    Row(
        "workers", "two workers against one", "ms/fragment", "at least", 1.8, slope(genrekit(2), genrekit(1), 100, 400)
    ),
    Row(
        "augment",
        "originals and four augmentations, one worker, against librosa's effects",
        "ms/fragment",
        "at least",
        2.5,
        slope(genrekit(1, "--augment"), peer("librosa_loop", "--augment"), 20, 60),
    ),
    Row("rerun", "unchanged rerun on 1,000 tracks against importing h5py and 1 s", "s", "at most", 1, rerun),
    Row("ten-new", "ten new among 1,000 against preparing ten and copying the file", "s", "at most", 1, ten_new),
    Row("memory", "peak memory, 1,000 tracks against 100", "MiB", "at most", 1.1, memory),
]

if "EARLIER" in os.environ:
    ROWS += [
        Row(
            "earlier",
            "one worker against the earlier checkout",
            "ms/fragment",
            "at most",
            1.03,
            slope(genrekit(1), earlier(1), 100, 400),
        ),
        Row(
            "earlier-whole",
            "whole command on 100 tracks against the earlier checkout",
            "s",
            "at most",
            1.03,
            whole(genrekit(2), earlier(2), 100),
        ),
    ]

if __name__ == "__main__":
    run_table(str(__doc__), ROWS)
