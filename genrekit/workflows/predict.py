"""predict: the genre of audio files, with a bundle alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from genrekit.audio.decode import decode, normalize_waveform
from genrekit.audio.fragments import cut, fragment_starts
from genrekit.audio.transform import quantized, unit_mels
from genrekit.dataset.batches import as_read
from genrekit.errors import GenrekitError, UnreadableAudioError
from genrekit.models.bundle import Bundle, find_bundles, load_bundle, read_metadata
from genrekit.records import AnyPath, FilePrediction, FragmentPrediction, PredictResult, SkippedFile
from genrekit.training.devices import choose_device
from genrekit.workflows.reporter import Reporter

_BATCH = 64
_QUIET = Reporter()


def predict(
    files: Sequence[AnyPath], model: AnyPath, *, device: str = "auto", reporter: Reporter = _QUIET
) -> PredictResult:
    """Name the genre of each file by the mean probabilities over its whole fragments.

    `model` is a bundle, or a folder of bundles whose best by validation is used. A file that cannot be read is skipped
    with its reason and the rest goes on.
    Errors: GenrekitError where there is no bundle, or no file can be read.
    """
    bundle = load_bundle(min(find_bundles(Path(model)), key=lambda path: (read_metadata(path).rank, path)))
    where = choose_device(device)
    bundle.model.to(where)
    found, skipped = [], []
    for done, path in enumerate(map(Path, files), 1):
        try:
            found.append(_predicted(path, bundle, where))
        except UnreadableAudioError as error:
            skipped.append(SkippedFile(str(path), str(error)))
            reporter.warning(f"skipped {path}: {error}")
        reporter.tracks_done(done, len(files))
    reporter.finished()
    if not found:
        raise GenrekitError(f"no file could be read, the first is {skipped[0].path}: {skipped[0].reason}")
    return PredictResult(bundle.path, tuple(found), tuple(skipped))


def _predicted(path: Path, bundle: Bundle, device: torch.device) -> FilePrediction:
    front_end, genres = bundle.metadata.prepare.front_end, bundle.metadata.genres
    decoded = decode(path, front_end.sample_rate)
    waveform = normalize_waveform(decoded.waveform, front_end.normalization)
    starts = fragment_starts(len(waveform), front_end.n_samples, "all")
    fragments = [cut(waveform, start, front_end.n_samples) for start in starts]
    kind = bundle.metadata.train.input
    if kind == "mel":
        stored = unit_mels(fragments, front_end).astype(bundle.metadata.prepare.mel_dtype)
    else:
        stored = np.stack([quantized(fragment) for fragment in fragments])
    inputs = as_read(kind, stored)
    with torch.inference_mode():
        logits = [bundle.model(batch.to(device)).cpu() for batch in inputs.split(_BATCH)]
    probabilities = torch.cat(logits).double().softmax(dim=1).numpy()
    mean = probabilities.mean(axis=0)
    return FilePrediction(
        path=path,
        genre=genres[int(mean.argmax())],
        probabilities=dict(zip(genres, mean.tolist(), strict=True)),
        fragments=tuple(
            FragmentPrediction(start / front_end.sample_rate, genres[int(row.argmax())], float(row.max()))
            for start, row in zip(starts, probabilities, strict=True)
        ),
    )
