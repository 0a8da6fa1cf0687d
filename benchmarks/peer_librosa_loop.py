"""The plain loop that genrekit prepare replaces: librosa.load, melspectrogram, power_to_db, one HDF5 row at a time.

Usage: python benchmarks/peer_librosa_loop.py FOLDER OUT.h5 [--augment]

The same result as genrekit's: 5 s fragments of 22,050 Hz mono, all whole ones; /waveform int16 [N, 110250] and
/mel float16 [N, 128, 216], in chunks of one row, uncompressed. With --augment each fragment is followed by four
variants, made by librosa's own effects: time stretch, pitch shift, noise, and resampling there and back. Run it with
one thread: OMP_NUM_THREADS=1 and so on.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import librosa
import numpy as np
import numpy.typing as npt

SAMPLE_RATE, N_SAMPLES, N_FRAMES, N_MELS = 22_050, 110_250, 216, 128

Waveform = npt.NDArray[np.float32]


def variants(fragment: Waveform, generator: np.random.Generator) -> Iterator[Waveform]:
    """Four augmented copies, with strengths from the ranges that genrekit draws from."""
    yield librosa.effects.time_stretch(fragment, rate=generator.uniform(0.9, 1.1))
    yield librosa.effects.pitch_shift(fragment, sr=SAMPLE_RATE, n_steps=generator.uniform(-2.0, 2.0))
    noise = np.sqrt(np.mean(fragment**2) * 10 ** (-generator.uniform(30.0, 50.0) / 10))
    yield fragment + np.float32(noise) * generator.standard_normal(len(fragment), np.float32)
    lower = SAMPLE_RATE * generator.uniform(0.4, 0.8)
    narrow = librosa.resample(fragment, orig_sr=SAMPLE_RATE, target_sr=lower)
    yield librosa.resample(narrow, orig_sr=lower, target_sr=SAMPLE_RATE)


def main(folder: Path, out: Path, augment: bool) -> None:
    """Write the fragments of every WAV file below a folder."""
    generator = np.random.default_rng(0)
    with h5py.File(out, "w") as file:
        shapes = {"waveform": ((N_SAMPLES,), "i2"), "mel": ((N_MELS, N_FRAMES), "f2")}
        for name, (shape, kind) in shapes.items():
            file.create_dataset(name, (0, *shape), kind, maxshape=(None, *shape), chunks=(1, *shape))
        for path in sorted(folder.rglob("*.wav")):
            waveform, _ = librosa.load(path, sr=SAMPLE_RATE, mono=True)
            waveform /= max(np.abs(waveform).max(), 1e-12)
            for start in range(0, len(waveform) - N_SAMPLES + 1, N_SAMPLES):
                fragment = waveform[start : start + N_SAMPLES]
                for variant in (fragment, *(variants(fragment, generator) if augment else ())):
                    add_row(file, librosa.util.fix_length(variant, size=N_SAMPLES))


def add_row(file: h5py.File, fragment: Waveform) -> None:
    """Transform one fragment and append it."""
    power = librosa.feature.melspectrogram(
        y=fragment, sr=SAMPLE_RATE, n_fft=2048, hop_length=512, n_mels=N_MELS, fmin=30.0
    )
    mel = librosa.power_to_db(power, ref=np.max, top_db=80.0) / 80.0 + 1.0
    row = len(file["mel"])
    for name, values in (("waveform", np.round(np.clip(fragment, -1, 1) * 32_767)), ("mel", mel)):
        file[name].resize(row + 1, axis=0)
        file[name][row] = values


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), "--augment" in sys.argv[3:])
