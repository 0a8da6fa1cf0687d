"""Comparisons keep their error rate in simulated studies with a known truth."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "comparison_errors.py"


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(PROGRAM), *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "studies"),
    [
        pytest.param(["low", "middle", "unequal"], 2_000, id="difference"),
        pytest.param(["claims", "claims-unequal", "best", "best-unequal"], 400, id="families"),
    ],
)
def test_equal_configurations_rarely_differ_significantly(rows: list[str], studies: int) -> None:
    """At most 5 %, by a binomial test at the level of 1 %; the benchmark runs all rows with 2,000 studies."""
    done = run("--rows", ",".join(rows), "--studies", studies)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()[2:]
    assert [line.split()[0] for line in lines] == rows
    assert all(line.endswith("met") for line in lines)


def test_resampling_tracks_alone_is_wrong_more_often() -> None:
    done = run("--rows", "middle", "--studies", 300)
    ours, by_artists, one_seed = (float(figure) for figure in done.stdout.split()[-4:-1])
    assert ours < 6 < min(by_artists, one_seed)


def test_an_unknown_row_is_an_error() -> None:
    done = run("--rows", "low,lower")
    assert done.returncode == 2
    assert "no rows lower" in done.stderr
