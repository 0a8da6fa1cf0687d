"""Maintenance sessions: `nox -l` lists them, `nox -s NAME` runs one, `nox` runs those that a change must pass."""

from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True

PYTHON = "3.11"
"""The oldest supported Python. The lowest versions of the dependencies have no wheels for newer ones."""


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, common mistakes, spelling and the list of words to avoid."""
    session.install("ruff>=0.14", "codespell>=2.4")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy in strict mode."""
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the fast tests, or some of the tests: nox -s tests -- tests/audio -k stretch."""
    session.install("-e", ".[dev]")
    session.run("pytest", *session.posargs)


@nox.session
def tests_all(session: nox.Session) -> None:
    """Run all tests, measure coverage, and list the slowest tests."""
    session.install("-e", ".[dev]")
    session.run("pytest", "-m", "", "--cov", "--durations", "20", *session.posargs)


@nox.session(python=PYTHON)
def minimums(session: nox.Session) -> None:
    """Run the fast tests with the lowest allowed version of every direct dependency."""
    session.install("uv>=0.9")
    lowest = ("--resolution", "lowest-direct", "--python", session.virtualenv.location)
    session.run("uv", "pip", "install", *lowest, "--editable", ".[dev]")
    session.run("uv", "pip", "list", "--python", session.virtualenv.location)
    session.run("pytest", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation site into docs/_build/html, and run its examples and those of the README."""
    session.install("-e", ".[dev]")
    # -E and -a build all pages again, because Sphinx does not notice changes of the code that the reference describes.
    session.run("sphinx-build", "-E", "-a", "-W", "--keep-going", "-n", "docs", "docs/_build/html")
    session.run("pytest", "genrekit", "tests", "-m", "docs", *session.posargs)
    session.run("pytest", "genrekit")


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdist and the wheel into dist/, and check their metadata."""
    session.install("build", "twine")
    session.run("python", "-m", "build")
    session.run("twine", "check", "--strict", *(str(path) for path in sorted(Path("dist").iterdir())))


@nox.session
def lock(session: nox.Session) -> None:
    """Update uv.lock after a change of dependencies. To update all versions: nox -s lock -- --upgrade."""
    session.install("uv>=0.9")
    session.run("uv", "lock", *session.posargs)


@nox.session
def readme(session: nox.Session) -> None:
    """Run the commands of the how-to pages and write their output into them: nox -s readme -- DATA SONG."""
    session.install("-e", ".")
    session.run("python", "tools/readme_output.py", *session.posargs)


@nox.session
def tour(session: nox.Session) -> None:
    """Execute docs/tour.ipynb and save its outputs. A test compares their structure with a new execution."""
    session.install("-e", ".[dev]")
    session.run("python", "tools/tour_output.py", env={"OMP_NUM_THREADS": "1"})


@nox.session
def pictures(session: nox.Session) -> None:
    """Take the pictures of the documentation again, in a headless Chromium: nox -s pictures, or with -- DATA SONGS."""
    session.install("-e", ".[dev]")
    session.run("python", "tools/pictures.py", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session
def results(session: nox.Session) -> None:
    """Write the tables of findings. With -- FOLDER STUDY ..., first copy studies that were run in FOLDER."""
    session.install("-e", ".")
    session.run("python", "tools/results_table.py", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Test reports in a headless Chromium (Debian: apt install chromium). Without one, the tests are skipped."""
    session.install("-e", ".[dev]")
    session.run("pytest", "-rs", "-m", "browser", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure speed, always compared with other code in the same run: nox -s bench -- GTZAN_FOLDER."""
    session.install("-e", ".[dev]")
    session.run("python", "benchmarks/prepare.py", *session.posargs)
    session.run("python", "benchmarks/batches.py", *session.posargs)
    session.run("python", "benchmarks/train.py", *session.posargs)
    session.run("python", "benchmarks/compare.py", *session.posargs)
    session.run("python", "benchmarks/predict.py", *session.posargs)
    session.run("python", "benchmarks/busy.py", *session.posargs)
    session.run("python", "benchmarks/cluster.py", *session.posargs)
    session.run("python", "benchmarks/audio_libraries.py", *session.posargs)
    session.run("python", "benchmarks/musicnn.py", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Feed two thousand broken files to prepare: nox -s fuzz -- --files 500 --seed 1."""
    session.install("-e", ".[dev]")
    session.run("python", "tests/stress/fuzz.py", *session.posargs)


@nox.session
def kill(session: nox.Session) -> None:
    """Kill prepare and train at random moments, rerun them, and compare the results: nox -s kill -- --seed 1."""
    session.install("-e", ".[dev]")
    session.run("python", "tests/stress/kills.py", *session.posargs)
    session.run("python", "tests/stress/train_kills.py", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Run the demo in a fresh environment."""
    session.install(".")
    session.run("genrekit", "demo", *session.posargs)
