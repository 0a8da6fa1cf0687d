"""Peak memory of prepare and predict on files of a minute, an hour and ten hours.

Usage: python benchmarks/memory.py [--minutes N,...] [--command NAME,...]

Writes a FLAC file of each length, a quiet square wave that takes a few megabytes, into a temporary folder (TMPDIR says
where; ten hours need 3 GB for the cache). Prints one line per command and length: the most memory that the process and
its children hold together without pages of files, in MiB, and the seconds. One worker, one thread for its libraries.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from measuring import peak_megabytes

RATE = 22_050
COMMANDS = {
    "prepare": ["prepare", "{data}", "--out", "{out}", "--workers", "1", "--quiet"],
    "first": ["prepare", "{data}", "--out", "{out}", "--workers", "1", "--quiet", "--fragments", "first"],
    "augment": ["prepare", "{data}", "--out", "{out}", "--workers", "1", "--quiet", "--augment", "--fragments", "100"],
    "predict": ["predict", "{data}", "--workers", "1", "--quiet"],
}


def write_square_wave(path: Path, minutes: float) -> None:
    """Write a square wave of 25 Hz, minute by minute."""
    path.parent.mkdir(parents=True, exist_ok=True)
    minute = np.where(np.arange(60 * RATE) % 882 < 441, 3_000, -3_000).astype(np.int16)
    with soundfile.SoundFile(path, "w", RATE, 1, subtype="PCM_16") as file:
        remaining = round(minutes * 60 * RATE)
        while remaining > 0:
            file.write(minute[:remaining])
            remaining -= len(minute)


def main() -> None:
    """Measure each command on each length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", default="1,60,600")
    parser.add_argument("--command", default=",".join(COMMANDS))
    options = parser.parse_args()
    for minutes in map(float, options.minutes.split(",")):
        with tempfile.TemporaryDirectory() as scratch:
            data, out = Path(scratch, "data"), Path(scratch, "cache.h5")
            write_square_wave(data / "long" / "long.flac", minutes)
            write_square_wave(data / "short" / "short.flac", 0.1)
            for name in options.command.split(","):
                out.unlink(missing_ok=True)
                command = [part.format(data=data, out=out) for part in COMMANDS[name]]
                started = time.perf_counter()
                peak = peak_megabytes([sys.executable, "-m", "genrekit", *command], "Pss_Anon")
                print(
                    f"{name:<8} {minutes:>6g} min {peak:>7.0f} MiB {time.perf_counter() - started:>7.0f} s", flush=True
                )


if __name__ == "__main__":
    main()
