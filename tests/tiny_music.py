"""A collection small enough for a test. A model can distinguish its genres."""

from pathlib import Path

import numpy as np
import soundfile


def write_collection(root: Path, genres: dict[str, int], *, duration_s: float, sample_rate: int) -> Path:
    """Write WAV tracks GENRE/GENRE-N.wav: a chord for each genre, and a different noise for each track."""
    for genre, count in genres.items():
        (root / genre).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            generator = np.random.default_rng([number, *genre.encode()])
            t = np.arange(round(duration_s * sample_rate)) / sample_rate
            base = 200 + 37 * (sum(genre.encode()) % 20) + generator.uniform(-3, 3)
            tone = sum(np.sin(2 * np.pi * base * partial * t) / partial for partial in (1, 2, 3))
            samples = 0.2 * tone * (1 + 0.5 * np.sin(2 * np.pi * 3 * t)) + 0.05 * generator.standard_normal(len(t))
            soundfile.write(root / genre / f"{genre}-{number}.wav", samples, sample_rate, subtype="PCM_16")
    return root
