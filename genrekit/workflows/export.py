"""export: write a bundle in a format that other programs run, and check it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genrekit._types import AnyPath, FloatArray
from genrekit.config import FeatureConfig
from genrekit.config.features import is_network_file
from genrekit.demo.synthesizer import GENRES, synthesize_track
from genrekit.errors import GenrekitError, unknown_name
from genrekit.inference.onnx_export import OPSET, largest_difference, require_onnx, to_onnx
from genrekit.io.files import atomic_write, cannot, require_no_folder
from genrekit.io.targets import replaceable
from genrekit.models.bundle import load_bundle, read_metadata
from genrekit.workflows.live_progress import with_progress
from genrekit.workflows.reporter import Reporter


@dataclass(frozen=True)
class ExportResult:
    """The exported file: its `size` in bytes, and the largest difference of a probability from the bundle's."""

    bundle: Path
    out: Path
    format: str
    opset: int
    sample_rate: int
    n_samples: int
    genres: tuple[str, ...]
    size: int
    clips: int
    largest_difference: float
    seconds: float


FORMATS = ("onnx",)

LARGEST_DIFFERENCE = 1e-3
"""Largest allowed difference between probabilities; if it is exceeded, the file is not written."""

_QUIET = Reporter()


@with_progress
def export(
    bundle: AnyPath,
    *,
    out: AnyPath | None = None,
    format: str = "onnx",  # noqa: A002 - the name of the option
    force: bool = False,
    reporter: Reporter = _QUIET,
) -> ExportResult:
    """Write a bundle as a file that computes probabilities from waveforms, by default `model.onnx` in the bundle.

    Before it is written, its probabilities for synthesized music, a quiet clip and silence are compared with the
    bundle's. An existing file is replaced only with `force`, and a device or a named pipe never.
    Errors: UsageError for an unknown format, GenrekitError if the model cannot be exported or the file not written.

    Example: `export("best_models/cel3-mel-sgd-cosine-0.500", out="model.onnx").largest_difference`
    """
    started = time.monotonic()
    if format not in FORMATS:
        raise unknown_name("format", format, FORMATS)
    folder = Path(bundle)
    target = folder / "model.onnx" if out is None else Path(out)
    features = read_metadata(folder).train.features
    file = _require_target(target, force)
    require_onnx()
    if is_network_file(features):
        raise GenrekitError(f"{folder} cannot be exported: its features are those of {features}, not of musicnn")
    loaded = load_bundle(folder)
    front_end = loaded.metadata.prepare.front_end
    reporter.stage(f"Export {folder}")
    model = to_onnx(loaded)
    clips = _clips(front_end)
    difference = largest_difference(model, loaded, clips)
    if not difference <= LARGEST_DIFFERENCE:
        raise GenrekitError(
            f"{folder} cannot be exported: the probabilities of the exported model differ by {difference:.2g} from "
            f"those of the bundle, more than {LARGEST_DIFFERENCE:g}"
        )
    try:
        with atomic_write(file) as stream:
            stream.write(model)
    except OSError as error:
        raise cannot("write", target, error) from error
    return ExportResult(
        bundle=folder,
        out=target,
        format=format,
        opset=OPSET,
        sample_rate=front_end.sample_rate,
        n_samples=front_end.n_samples,
        genres=loaded.metadata.genres,
        size=len(model),
        clips=len(clips),
        largest_difference=difference,
        seconds=time.monotonic() - started,
    )


def _require_target(target: Path, force: bool) -> Path:
    """Return the file to write.

    Errors: UsageError for a folder, GenrekitError for another path that must not be replaced.
    """
    require_no_folder(target, "model.onnx")
    file = replaceable(target)
    if file.exists() and not force:
        raise GenrekitError(f"{target} already exists: replace it with --force, or choose another file with --out")
    return file


def _clips(front_end: FeatureConfig) -> FloatArray:
    """A synthesized clip of each genre, the last one quiet, and silence: [B, n_samples]."""
    rate, n_samples = front_end.sample_rate, front_end.n_samples
    clips = [synthesize_track(genre, 0, 0, rate, n_samples / rate)[:n_samples] for genre in GENRES]
    clips[-1] = clips[-1] * np.float32(1e-3)
    return np.stack([*clips, np.zeros(n_samples, np.float32)])
