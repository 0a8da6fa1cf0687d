"""A cost model of genrekit prepare, fitted to this machine: processor time and disk for the sets of FMA.

Usage: python benchmarks/scaling.py FOLDER [--sizes N,N,...] [--held-out N]

FOLDER is a folder of genre folders with WAV files. Tracks become stereo MP3 clips at 44,100 Hz, as in FMA. The model is
`seconds = start + per_track * tracks + per_fragment * fragments`, fitted by least squares to collections of several
sizes and of clips of two lengths. The error is that on a larger collection, which was not used. Processor time of one
worker is measured, because wall time depends on what else runs. Disk is exact: the bytes of a row times the rows.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr
from measuring import ONE_THREAD

from genrekit.config import PrepareConfig
from genrekit.data.cache.layout import CachePlan
from genrekit.data.cache.reader import open_cache

RATE = 44_100
DAY_S = 86_400
FMA = {
    "FMA-small": (8_000, 8_000 * 5),
    "FMA-medium": (25_000, 25_000 * 5),
    "FMA-large": (106_574, 106_574 * 5),
    "FMA-full": (106_574, round(343 * DAY_S / 5 - 106_574 / 2)),
}
"""Tracks and fragments of 5 s. Clips of 29.98 s have five; full tracks last 343 days, less half a fragment each."""


def write_clips(source: Path, folder: Path, count: int, length_s: float) -> Path:
    """Write stereo MP3 clips of some length; each starts elsewhere in a track of the source."""
    tracks = sorted(source.rglob("*.wav"))
    for number in range(count):
        path = tracks[number % len(tracks)]
        audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
        mono = soxr.resample(np.roll(audio[:, 0], -rate * number), rate, RATE)
        left = np.resize(mono, round(length_s * RATE))
        clip = np.stack([left, 0.8 * np.roll(left, RATE // 200)], axis=1)
        target = folder / path.parent.name / f"{number}.mp3"
        target.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(target, clip, RATE, format="MP3")
    return folder


def measure(source: Path, count: int, length_s: float) -> tuple[int, int, float]:
    """Return tracks, fragments and processor seconds of preparing some clips with one worker."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, out = write_clips(source, Path(scratch, "clips"), count, length_s), Path(scratch, "cache.h5")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "genrekit", "prepare", folder, "--out", out, "--workers", "1", "--quiet"]
        environment = {**os.environ, **ONE_THREAD}
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return count, len(open_cache(out).track), spent_s


def main() -> None:
    """Measure, fit, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a folder of genre folders with WAV files, such as GTZAN")
    parser.add_argument("--sizes", default="20,40,80", help="numbers of clips that the model is fitted to")
    parser.add_argument("--held-out", type=int, default=160, help="number of clips of the error")
    options = parser.parse_args()
    points = [
        measure(options.folder, count, length_s)
        for count in map(int, options.sizes.split(","))
        for length_s in (10.0, 29.98)
    ]
    tracks, fragments, seconds = map(np.array, zip(*points, strict=True))
    model, *_ = np.linalg.lstsq(np.stack([np.ones(len(points)), tracks, fragments], axis=1), seconds, rcond=None)
    print(f"seconds = {model[0]:.2f} + {1e3 * model[1]:.1f} ms per track + {1e3 * model[2]:.2f} ms per fragment")
    count, rows, spent_s = measure(options.folder, options.held_out, 29.98)
    expected = float(model @ (1, count, rows))
    error = f"{expected / spent_s - 1:+.0%}"
    print(f"held out: {count} clips, {rows} fragments: {spent_s:.1f} s, model {expected:.1f} s ({error})")
    row_bytes = {store: CachePlan(PrepareConfig.of({"store": store}), (), ()).row_bytes for store in ("both", "mel")}
    print(f"{'set':<12} {'tracks':>8} {'fragments':>10} {'core hours':>10} {'both, GB':>9} {'mel only, GB':>12}")
    for name, (count, rows) in FMA.items():
        hours = float(model @ (1, count, rows)) / 3_600
        sizes = [rows * size / 1e9 for size in row_bytes.values()]
        print(f"{name:<12} {count:>8} {rows:>10} {hours:>10.2f} {sizes[0]:>9.0f} {sizes[1]:>12.0f}")


if __name__ == "__main__":
    main()
