"""Settings for all tests, made before any library reads them."""

import os

# pytest-xdist runs one process per core, so each process computes with one thread.
for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

# Typer would style help texts, and so split options with escape codes, if FORCE_COLOR or GITHUB_ACTIONS is set.
os.environ["_TYPER_FORCE_DISABLE_TERMINAL"] = "1"

# pytest-xdist passes on the width of its terminal; tests that need a width set one.
os.environ.pop("COLUMNS", None)
