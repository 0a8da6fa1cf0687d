"""The floor: decode, window, real FFT, power, sparse mel product, logarithm, and nothing else.

Usage: python benchmarks/peer_floor.py FOLDER IGNORED [--tuned]

float32 throughout: 5 s fragments of mono WAV files of 22,050 Hz, in frames of 2,048 every 512, to [128, 216] decibels
that are thrown away. No level, no reference, no fingerprint, no checksum, no file. soundfile decodes to float32; numpy
and scipy do the rest, in blocks of frames that stay in the cache. `--tuned` takes the shortcuts that genrekit takes:
16-bit samples scaled by numpy, bins transposed by the transform, the natural logarithm. Run it with one thread.
"""

import sys
from pathlib import Path

import librosa
import numpy as np
import scipy.fft
import scipy.sparse
import soundfile

SAMPLE_RATE, N_SAMPLES, N_FFT, HOP, N_MELS, BLOCK = 22_050, 110_250, 2_048, 512, 128, 72


def main(folder: Path, tuned: bool) -> None:
    """Transform every fragment of every WAV file below a folder."""
    window = np.hanning(N_FFT + 1)[:-1].astype(np.float32)
    filters = scipy.sparse.csr_array(librosa.filters.mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=N_MELS, fmin=30.0))
    for path in sorted(folder.rglob("*.wav")):
        waveform, rate = soundfile.read(path, dtype="int16" if tuned else "float32")
        if tuned:
            waveform = waveform * np.float32(1 / 32_768)
        if rate != SAMPLE_RATE or waveform.ndim > 1:
            raise SystemExit(f"{path}: the floor is that of mono files of {SAMPLE_RATE} Hz")
        for start in range(0, len(waveform) - N_SAMPLES + 1, N_SAMPLES):
            padded = np.pad(waveform[start : start + N_SAMPLES], N_FFT // 2, mode="reflect")
            frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
            mel = np.empty((N_MELS, len(frames)), np.float32)
            for first in range(0, len(frames), BLOCK):
                windowed = frames[first : first + BLOCK] * window
                if tuned:
                    spectrum = scipy.fft.rfft(windowed.T, axis=0)
                    power = np.square(spectrum.real) + np.square(spectrum.imag)
                else:
                    spectrum = scipy.fft.rfft(windowed, axis=1, overwrite_x=True)
                    squares = np.square(spectrum.view(np.float32))
                    power = np.add(squares[:, 0::2].T, squares[:, 1::2].T, order="C")
                mel[:, first : first + BLOCK] = filters @ power
            np.maximum(mel, 1e-10, out=mel)
            np.log(mel) if tuned else np.log10(mel)


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--tuned" in sys.argv)
