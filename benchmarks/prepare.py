"""How long genrekit prepare takes beside the plain librosa loop: whole commands, start-up included, in turn.

Usage: python benchmarks/prepare.py FOLDER [--repeats N] [--workers N]

FOLDER is a folder of genre folders with WAV files, such as GTZAN. Prints each command's seconds and the ratio, pair by
pair. The peer runs with one thread for its libraries; genrekit with as many workers as there are cores.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}


def seconds(command: list[str]) -> float:
    """Wall time of a command that must succeed."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **ONE_THREAD})
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=None)
    options = parser.parse_args()
    peer = [sys.executable, str(Path(__file__).with_name("peer_librosa_loop.py")), str(options.folder)]
    ours = [sys.executable, "-m", "genrekit", "prepare", str(options.folder), "--quiet"]
    ours += ["--workers", str(options.workers)] if options.workers else []
    ratios = []
    for repeat in range(options.repeats + 1):
        scratch = Path(tempfile.mkdtemp())
        try:
            theirs = seconds([*peer, str(scratch / "peer.h5")])
            own = seconds([*ours, "--out", str(scratch / "cache.h5")])
            rerun = seconds([*ours, "--out", str(scratch / "cache.h5")])
        finally:
            shutil.rmtree(scratch)
        if repeat == 0:
            print("warm-up done", flush=True)
            continue
        ratios.append(theirs / own)
        print(
            f"librosa loop {theirs:.2f} s   genrekit prepare {own:.2f} s   ratio {ratios[-1]:.2f}   rerun {rerun:.2f} s"
        )
    print(f"ratio: median {statistics.median(ratios):.2f}, lowest {min(ratios):.2f}, highest {max(ratios):.2f}")


if __name__ == "__main__":
    main()
