"""Make audio that is not music: noise, hum, tones and speech for the class `other`, and other kinds to test it.

It is the same each time, except that speech also depends on the version of espeak-ng, which must be installed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from genrekit.errors import GenrekitError

Samples = npt.NDArray[np.float64]

RATE = 22_050
DURATION_S = 10
N_SAMPLES = RATE * DURATION_S
SECONDS: Samples = np.arange(N_SAMPLES) / RATE
_LEVEL = 0.5
_SEED = 7

TRAINED_TEXTS = {
    "en": (
        "The meeting was moved to Thursday because the committee had not finished reading the report. Please bring the "
        "second draft, and tell the others that the room has changed. There will be coffee, and we start at nine.",
        "Good evening, here is the weather. Tomorrow it will be cloudy in the north, with some rain in the afternoon. "
        "Temperatures reach fourteen degrees. On the coast, a strong wind blows from the west until midnight.",
    ),
    "de": (
        "Die Sitzung wurde auf Donnerstag verschoben, weil der Ausschuss den Bericht noch nicht gelesen hatte. Bitte "
        "bringen Sie den zweiten Entwurf mit und sagen Sie den anderen Bescheid.",
        "Guten Abend, hier ist das Wetter. Morgen wird es im Norden bewölkt, am Nachmittag regnet es ein wenig. Die "
        "Temperaturen erreichen vierzehn Grad. An der Küste weht bis Mitternacht ein starker Wind.",
    ),
}
"""What the training speech says, by language."""

TEST_TEXTS = {
    "fr": (
        "La réunion a été reportée à jeudi parce que le comité n'avait pas fini de lire le rapport. Apportez le "
        "deuxième projet et prévenez les autres, s'il vous plaît.",
    ),
    "es": (
        "La reunión se ha aplazado al jueves porque el comité no había terminado de leer el informe. Traiga el segundo "
        "borrador y avise a los demás, por favor.",
    ),
}
"""What the test speech says: other languages than those of the training speech."""


def write_training_audio(folder: Path) -> list[Path]:
    """Write noise, hum, tones, and English and German speech as WAV files, and return their paths.

    Errors: GenrekitError if espeak-ng is not installed or fails.
    """
    random = np.random.default_rng(_SEED)
    paths = [_write(folder / f"{name}.wav", samples) for name, samples in _training_signals(random)]
    return paths + write_speech(folder, TRAINED_TEXTS, voices=("", "+f2", "+f3", "+m3", "+m5"), words=(130, 160, 190))


def _training_signals(random: np.random.Generator) -> Iterator[tuple[str, Samples]]:
    for number, exponent in enumerate(np.linspace(0, 2, 15)):
        yield f"noise-{number}", _noise(random, exponent)
    for low in (100, 200, 500, 1_000, 2_000, 4_000):
        yield f"band-{low}", _noise(random, 0, low, min(4 * low, RATE // 2))
    for hertz in (50, 60, 100, 120):
        harmonics = sum(np.sin(2 * np.pi * hertz * n * SECONDS + n) / n for n in range(1, 20))
        yield f"hum-{hertz}", harmonics + 0.02 * random.standard_normal(N_SAMPLES)
    for number, hertz in enumerate(np.geomspace(60, 8_000, 20)):
        yield f"tone-{number}", np.sin(2 * np.pi * hertz * SECONDS)


def unseen_signals(random: np.random.Generator) -> Iterator[tuple[str, Samples]]:
    """Yield signals of kinds that are not in the training audio: sweeps, clicks, square waves, applause, key tones."""
    octaves = np.log(200)
    yield "sweep", np.sin(2 * np.pi * 50 * (np.exp(SECONDS / DURATION_S * octaves) - 1) * DURATION_S / octaves)
    yield "siren", np.sin(2 * np.pi * (800 * SECONDS + 200 / np.pi * np.sin(np.pi * SECONDS)))
    hiss = 1e-3 * random.standard_normal(N_SAMPLES)
    yield "metronome", hiss + (np.arange(N_SAMPLES) % (RATE // 2) == 0)
    yield "crackle", hiss + (random.random(N_SAMPLES) < 20 / RATE) * random.standard_normal(N_SAMPLES)
    for hertz in (110, 440):
        yield f"square-{hertz}", np.sign(np.sin(2 * np.pi * hertz * SECONDS))
    claps = (random.random(N_SAMPLES) < 2_000 / RATE) * random.standard_normal(N_SAMPLES)
    clap = np.exp(-np.arange(400) / 60) * random.standard_normal(400)
    yield "applause", np.convolve(claps, clap)[:N_SAMPLES]
    yield "surf", _noise(random, 0.7) * (0.6 + 0.4 * np.sin(2 * np.pi * 0.2 * SECONDS))
    low, high = (
        np.array(row)[(SECONDS * 5).astype(int) % 4] for row in ((697, 770, 852, 941), (1209, 1336, 1477, 1336))
    )
    keys = np.sin(2 * np.pi * low * SECONDS) + np.sin(2 * np.pi * high * SECONDS)
    yield "keys", hiss + keys * (SECONDS * 5 % 1 < 0.6)


def _noise(random: np.random.Generator, exponent: float, low: float = 0, high: float = RATE) -> Samples:
    """Noise whose power falls with frequency to the power of an exponent, between two frequencies in Hz."""
    spectrum = np.fft.rfft(random.standard_normal(N_SAMPLES))
    hertz = np.fft.rfftfreq(N_SAMPLES, 1 / RATE)
    spectrum[1:] /= hertz[1:] ** (exponent / 2)
    spectrum[(hertz < max(low, 1)) | (hertz > high)] = 0
    return np.fft.irfft(spectrum, N_SAMPLES)


def write_speech(
    folder: Path, texts: Mapping[str, tuple[str, ...]], *, voices: tuple[str, ...], words: tuple[int, ...]
) -> list[Path]:
    """Let espeak-ng speak each text in its language, with each voice and each number of words per minute.

    Errors: GenrekitError if espeak-ng is not installed or fails.
    """
    paths = []
    for language, voice, speed in product(texts, voices, words):
        for number, text in enumerate(texts[language]):
            paths.append(folder / f"{language}{number}{voice}-{speed}.wav")
            command = ["espeak-ng", "-v", f"{language}{voice}", "-s", str(speed), "-w", str(paths[-1]), text]
            try:
                subprocess.run(command, check=True, capture_output=True)
            except (OSError, subprocess.CalledProcessError) as error:
                raise GenrekitError(f"espeak-ng cannot speak ({error}): install espeak-ng") from error
    return paths


def _write(path: Path, samples: Samples) -> Path:
    soundfile.write(path, samples * (_LEVEL / np.abs(samples).max()), RATE, subtype="FLOAT")
    return path
