"""The plain loop that genrekit prepare replaces: librosa.load, melspectrogram, power_to_db, one HDF5 row at a time.

Usage: python benchmarks/peer_librosa_loop.py FOLDER OUT.h5

The same result as genrekit's: 5 s fragments of 22,050 Hz mono, all whole ones; /waveform int16 [N, 110250] and
/mel float16 [N, 128, 216], in chunks of one row, uncompressed. Run it with one thread: OMP_NUM_THREADS=1 and so on.
"""

import sys
from pathlib import Path

import h5py
import librosa
import numpy as np

SAMPLE_RATE, N_SAMPLES, N_FRAMES, N_MELS = 22_050, 110_250, 216, 128


def main(folder: Path, out: Path) -> None:
    """Write the fragments of every WAV file below a folder."""
    with h5py.File(out, "w") as file:
        shapes = {"waveform": ((N_SAMPLES,), "i2"), "mel": ((N_MELS, N_FRAMES), "f2")}
        for name, (shape, kind) in shapes.items():
            file.create_dataset(name, (0, *shape), kind, maxshape=(None, *shape), chunks=(1, *shape))
        for path in sorted(folder.rglob("*.wav")):
            waveform, _ = librosa.load(path, sr=SAMPLE_RATE, mono=True)
            waveform /= max(np.abs(waveform).max(), 1e-12)
            for start in range(0, len(waveform) - N_SAMPLES + 1, N_SAMPLES):
                fragment = waveform[start : start + N_SAMPLES]
                power = librosa.feature.melspectrogram(
                    y=fragment, sr=SAMPLE_RATE, n_fft=2048, hop_length=512, n_mels=N_MELS, fmin=30.0
                )
                mel = librosa.power_to_db(power, ref=np.max, top_db=80.0) / 80.0 + 1.0
                row = len(file["mel"])
                for name, values in (("waveform", np.round(fragment * 32_767)), ("mel", mel)):
                    file[name].resize(row + 1, axis=0)
                    file[name][row] = values


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
