"""A tone that is encoded and decoded is the same tone."""

from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from genrekit.audio.encode import encoded, write_wav


def tone(sample_rate: int, hertz: float = 440.0) -> npt.NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(2 * sample_rate) / sample_rate)).astype(np.float32)


@pytest.mark.parametrize(
    ("sample_rate", "media"),
    [
        (8_000, "audio/mpeg"),
        (22_050, "audio/mpeg"),
        (44_100, "audio/mpeg"),
        (11_000, "audio/wav"),
        (96_000, "audio/wav"),
    ],
)
def test_a_tone_for_browsers_has_its_pitch_its_level_and_its_length(sample_rate: int, media: str) -> None:
    content, found = encoded(tone(sample_rate), sample_rate)
    assert found == media
    samples, rate = soundfile.read(BytesIO(content))
    assert rate == sample_rate
    assert len(samples) == pytest.approx(2 * sample_rate, rel=0.05)
    spectrum = np.abs(np.fft.rfft(samples[: 2 * sample_rate]))
    assert spectrum.argmax() * sample_rate / len(samples[: 2 * sample_rate]) == pytest.approx(440, abs=2)
    assert np.sqrt(np.mean(np.square(samples))) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def test_mp3_takes_less_than_a_quarter_of_wav() -> None:
    """Noise, which is the hardest to pack."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 5 * 22_050).astype(np.float32)
    content, _ = encoded(noise, 22_050)
    assert len(content) < 2 * len(noise) / 4


def test_a_wav_file_holds_the_samples(tmp_path: Path) -> None:
    write_wav(tmp_path / "a" / "tone.wav", tone(8_000), 8_000)
    samples, rate = soundfile.read(tmp_path / "a" / "tone.wav")
    assert rate == 8_000
    np.testing.assert_allclose(samples, tone(8_000), atol=1e-4)
