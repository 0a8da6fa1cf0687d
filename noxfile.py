"""Maintenance, one session each: `nox -l` lists them, `nox -s NAME` runs one, `nox` runs what a change must pass."""

import nox

nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True


@nox.session
def tests(session: nox.Session) -> None:
    """All tests; with arguments, those: nox -s tests -- tests/audio -k stretch."""
    session.install("-e", ".[dev]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and common mistakes."""
    session.install("ruff>=0.14")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Strict type checking."""
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """The examples in docstrings, and the structure of the output that the README shows."""
    session.install("-e", ".[dev]")
    session.run("pytest", "--doctest-modules", "genrekit", "tests/test_readme.py")


@nox.session
def readme(session: nox.Session) -> None:
    """Write the README's output anew by running its commands: nox -s readme -- GTZAN_FOLDER MP3."""
    session.install("-e", ".")
    session.run("python", "tools/readme_output.py", *session.posargs)


@nox.session
def tour(session: nox.Session) -> None:
    """Execute docs/tour.ipynb from end to end and write its outputs anew; a test holds their structure."""
    session.install("-e", ".[dev]")
    session.run("python", "tools/tour_output.py", env={"OMP_NUM_THREADS": "1"})


@nox.session
def pictures(session: nox.Session) -> None:
    """Make the README's pictures anew, with a headless Chromium: nox -s pictures, or nox -s pictures -- DATA SONGS."""
    session.install("-e", ".[dev]")
    session.run("python", "tools/pictures.py", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session
def results(session: nox.Session) -> None:
    """Write the tables of findings; nox -s results -- FOLDER STUDY ... first copies studies that were run in FOLDER."""
    session.install("-e", ".")
    session.run("python", "tools/results_table.py", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Reports in a headless Chromium (Debian: apt install chromium); skipped, with the reason, where there is none."""
    session.install("-e", ".[dev]")
    session.run("pytest", "-rs", "tests/evaluation/test_report_in_browser.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """What is claimed about speed, each against a peer in the same run: nox -s bench -- GTZAN_FOLDER."""
    session.install("-e", ".[dev]")
    session.run("python", "benchmarks/prepare.py", *session.posargs)
    session.run("python", "benchmarks/batches.py", *session.posargs)
    session.run("python", "benchmarks/train.py", *session.posargs)
    session.run("python", "benchmarks/compare.py", *session.posargs)
    session.run("python", "benchmarks/predict.py", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Two thousand broken files, and what they cost and spoil: nox -s fuzz -- --files 500 --seed 1."""
    session.install("-e", ".[dev]")
    session.run("python", "tests/stress/fuzz.py", *session.posargs)


@nox.session
def kill(session: nox.Session) -> None:
    """Kill prepare and train at random instants, and compare what the next run makes: nox -s kill -- --seed 1."""
    session.install("-e", ".[dev]")
    session.run("python", "tests/stress/kills.py", *session.posargs)
    session.run("python", "tests/stress/train_kills.py", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """The demo, as a newcomer runs it."""
    session.install(".")
    session.run("genrekit", "demo", *session.posargs)
