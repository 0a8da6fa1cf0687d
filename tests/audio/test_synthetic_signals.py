"""The synthetic signals are what their names say."""

import numpy as np
import pytest

from genrekit.audio.silence import is_silent
from genrekit.audio.synthetic_signals import DURATION_S, RATE, synthetic_signals

SIGNALS = synthetic_signals()


def test_only_silence_is_silent_and_all_have_the_same_length() -> None:
    assert [name for name, samples in SIGNALS.items() if is_silent(samples)] == ["silence"]
    assert {len(samples) for samples in SIGNALS.values()} == {round(DURATION_S * RATE)}
    assert all(np.abs(samples).max() <= 0.5 for samples in SIGNALS.values())


def test_tones_have_their_frequency() -> None:
    tones = {name: samples for name, samples in SIGNALS.items() if name.startswith("tone")}
    assert len(tones) == 3
    for name, samples in tones.items():
        assert np.abs(np.fft.rfft(samples)).argmax() / DURATION_S == pytest.approx(float(name.split()[2]))


@pytest.mark.parametrize(("name", "slope_db"), [("white noise", 0), ("pink noise", -3.01)])
def test_the_power_of_noise_per_octave_has_its_slope(name: str, slope_db: float) -> None:
    power = np.abs(np.fft.rfft(SIGNALS[name])) ** 2
    octaves = [power[start : 2 * start].mean() for start in (1_000, 2_000, 4_000, 8_000, 16_000, 32_000)]
    assert np.diff(10 * np.log10(octaves)) == pytest.approx(np.full(5, slope_db), abs=0.4)
