"""A short round of fuzzing; `nox -s fuzz` runs the long one."""

import random
from pathlib import Path

import fuzz
import pytest
from mutations import ENCODINGS, MUTATIONS, encoded, sound

pytestmark = pytest.mark.stress


@pytest.fixture
def meter(tmp_path: Path) -> fuzz.Meter:
    return fuzz.Meter(tmp_path)


def test_broken_files_neither_crash_nor_cost_much_nor_change_the_good_ones() -> None:
    with fuzz.scratch_folder() as scratch:
        report = fuzz.fuzz(scratch, files=len(MUTATIONS) * len(ENCODINGS), deep=40, seed=1, workers=1)
    assert not report.violations, "\n".join(report.violations)
    assert {line.split("  ")[0] for line in report.table.splitlines()} >= {*MUTATIONS, "named pipe", "good"}


def test_a_file_that_takes_longer_or_more_than_it_may_is_a_violation(meter: fuzz.Meter, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(encoded(1, "WAV", "PCM_16", 1, 44_100, 60))
    thing = fuzz.Planted(path, "long.wav", "good", "wav", "kept")
    measured = meter.measure(path, fuzz.Limits())
    meter.close()
    assert measured.outcome == "kept"
    assert measured.bytes > 4 * 60 * 44_100
    assert not list(fuzz.measured_violations({thing: measured}, fuzz.Limits()))
    assert len(list(fuzz.measured_violations({thing: measured}, fuzz.Limits(seconds=0, bytes=1_000_000)))) == 2


def test_a_process_that_a_file_kills_is_a_crash_and_the_next_file_is_measured(
    meter: fuzz.Meter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(sound("wav", 1))
    monkeypatch.setenv("GENREKIT_FUZZ_ALARM_S", "0.000001")
    assert meter.measure(path, fuzz.Limits()).outcome == "crashed"
    monkeypatch.delenv("GENREKIT_FUZZ_ALARM_S")
    assert meter.measure(path, fuzz.Limits()).outcome == "kept"
    meter.close()


@pytest.mark.parametrize("kind", MUTATIONS)
@pytest.mark.parametrize("suffix", ENCODINGS)
def test_a_seed_makes_the_same_file_again(suffix: str, kind: str) -> None:
    first, second = (MUTATIONS[kind](sound(suffix, 3), suffix, random.Random("7")) for _ in range(2))
    assert first == second
