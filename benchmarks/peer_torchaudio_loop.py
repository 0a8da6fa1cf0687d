"""A loop as torchaudio's users write it: soundfile, MelSpectrogram, AmplitudeToDB, one HDF5 row at a time.

Usage: python benchmarks/peer_torchaudio_loop.py FOLDER OUT.h5

The same result as genrekit's: 5 s fragments of 22,050 Hz mono, all whole ones; /waveform int16 [N, 110250] and
/mel float16 [N, 128, 216], in chunks of one row, uncompressed. torch has one thread.
"""

import sys
from pathlib import Path

import h5py
import soundfile
import torch
from torchaudio.functional import resample
from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

SAMPLE_RATE, N_SAMPLES, N_FRAMES, N_MELS = 22_050, 110_250, 216, 128


def main(folder: Path, out: Path) -> None:
    """Write the fragments of every WAV file below a folder."""
    torch.set_num_threads(1)
    mel_spectrogram = MelSpectrogram(
        SAMPLE_RATE, n_fft=2048, hop_length=512, f_min=30.0, n_mels=N_MELS, norm="slaney", mel_scale="slaney"
    )
    decibels = AmplitudeToDB("power", top_db=80.0)
    with h5py.File(out, "w") as file:
        shapes = {"waveform": ((N_SAMPLES,), "i2"), "mel": ((N_MELS, N_FRAMES), "f2")}
        for name, (shape, kind) in shapes.items():
            file.create_dataset(name, (0, *shape), kind, maxshape=(None, *shape), chunks=(1, *shape))
        for path in sorted(folder.rglob("*.wav")):
            audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
            waveform = torch.from_numpy(audio.T).mean(0)
            waveform = waveform if rate == SAMPLE_RATE else resample(waveform, rate, SAMPLE_RATE)
            waveform = waveform / waveform.abs().max().clamp(min=1e-12)
            for start in range(0, len(waveform) - N_SAMPLES + 1, N_SAMPLES):
                fragment = waveform[start : start + N_SAMPLES]
                power = mel_spectrogram(fragment)
                mel = decibels(power / power.max().clamp(min=1e-12)) / 80.0 + 1.0
                row = len(file["mel"])
                for name, values in (("waveform", (fragment * 32_767).round().short()), ("mel", mel.half())):
                    file[name].resize(row + 1, axis=0)
                    file[name][row] = values.numpy()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
