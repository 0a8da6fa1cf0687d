"""export: a bundle in a format that other programs run, checked on the spot."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genrekit._types import AnyPath, FloatArray
from genrekit.config import FeatureConfig
from genrekit.demo.synthesizer import GENRES, synthesize_track
from genrekit.errors import GenrekitError, UsageError, unknown_name
from genrekit.inference.onnx_export import OPSET, largest_difference, require_onnx, to_onnx
from genrekit.io.files import atomic_write, cannot
from genrekit.models.bundle import load_bundle
from genrekit.workflows.reporter import Reporter


@dataclass(frozen=True)
class ExportResult:
    """What `export` wrote, its size in bytes, and how far its probabilities are from the bundle's at most."""

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
"""Above this between probabilities, an exported model is another one, and is not written."""

_QUIET = Reporter()


def export(
    bundle: AnyPath,
    *,
    out: AnyPath | None = None,
    format: str = "onnx",  # noqa: A002 - what it is called everywhere
    force: bool = False,
    reporter: Reporter = _QUIET,
) -> ExportResult:
    """Write a bundle as a file that goes from the waveform to probabilities, by default `model.onnx` in the bundle.

    Before it is written, it is asked about synthesized music, a quiet clip and silence, and its answers are compared
    with the bundle's. A file in its place is replaced only with `force`.
    Errors: UsageError for an unknown format, GenrekitError for what stands in the way.
    """
    started = time.monotonic()
    if format not in FORMATS:
        raise unknown_name("format", format, FORMATS)
    folder = Path(bundle)
    target = folder / "model.onnx" if out is None else Path(out)
    _require_place(target, force)
    require_onnx()
    loaded = load_bundle(folder)
    front_end = loaded.metadata.prepare.front_end
    reporter.stage(f"Export {folder}")
    model = to_onnx(loaded)
    clips = _clips(front_end)
    difference = largest_difference(model, loaded, clips)
    if not difference <= LARGEST_DIFFERENCE:
        raise GenrekitError(
            f"{folder} cannot be exported: the probabilities of the exported model differ from its own by "
            f"{difference:.2g}, more than {LARGEST_DIFFERENCE:g}"
        )
    try:
        with atomic_write(target) as file:
            file.write(model)
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


def _require_place(target: Path, force: bool) -> None:
    if target.is_dir():
        raise UsageError(f"{target} is a folder: name a file")
    if target.exists() and not force:
        raise GenrekitError(f"{target} exists already: choose another name, or have it replaced")


def _clips(front_end: FeatureConfig) -> FloatArray:
    """A clip of each of the demo's genres, the last one quiet, and silence: [B, n_samples]."""
    rate, n_samples = front_end.sample_rate, front_end.n_samples
    clips = [synthesize_track(genre, 0, 0, rate, n_samples / rate)[:n_samples] for genre in GENRES]
    clips[-1] = clips[-1] * np.float32(1e-3)
    return np.stack([*clips, np.zeros(n_samples, np.float32)])
