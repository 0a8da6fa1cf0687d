"""Export of a bundle to ONNX. Its packages are an extra."""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genrekit._types import FloatArray
from genrekit._version import __version__
from genrekit.audio.bandwidth import BandPower
from genrekit.audio.level import normalize_waveform
from genrekit.errors import GenrekitError, missing_extra
from genrekit.inference.front_end import torch_front_end
from genrekit.inference.prediction import probabilities
from genrekit.inference.streaming import INPUTS
from genrekit.models.bundle import Bundle
from genrekit.models.classical import Classifier
from genrekit.models.onnx_session import open_session

OPSET = 20
"""Version of the ONNX operators; onnxruntime supports it since 1.17."""

_MODULES = ("onnx", "onnxscript", "onnxruntime")


class WaveformModel(nn.Module):
    """Features, model and softmax in one module.

    Shapes: mono clips float32 [B, n_samples] at the sample rate of the features to probabilities [B, n_genres].
    """

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        self.front_end = torch_front_end(bundle.metadata.prepare, bundle.metadata.train.input)
        model = bundle.model
        self.model = model.exportable() if isinstance(model, Classifier) else model

    def forward(self, waveform: Tensor) -> Tensor:
        """Compute the probabilities of a batch of clips."""
        return self.model(self.front_end(waveform)).softmax(dim=1)


def require_onnx() -> None:
    """Errors: GenrekitError that says what to install if a model cannot be exported and checked."""
    missing = [name for name in _MODULES if find_spec(name) is None]
    if missing:
        raise missing_extra("exporting", "export", missing)


def to_onnx(bundle: Bundle) -> bytes:
    """Return the content of an ONNX file for a bundle's model.

    Its input is `waveform`, float32 [batch, n_samples], its output `probabilities` [batch, n_genres]. Its metadata has
    the genres, in the order of the probabilities, and the sample rate.
    Errors: GenrekitError for a classical model whose features or decisions ONNX cannot compute, and if no file can be
    written to a folder for temporary files.
    """
    _require_temporary_folder()
    metadata = bundle.metadata
    front_end = metadata.prepare.front_end
    try:
        model = WaveformModel(bundle).eval()
    except GenrekitError as error:
        if metadata.train.architecture.trained_by_gradient:
            raise  # a library is missing or broken
        raise GenrekitError(
            f"{bundle.path} is a {metadata.train.arch} model that cannot be exported: {error}"
        ) from error
    with _without_messages():
        program = torch.onnx.export(
            model,
            (torch.rand(2, front_end.n_samples) - 0.5,),
            input_names=["waveform"],
            output_names=["probabilities"],
            dynamic_shapes={"waveform": {0: torch.export.Dim("batch")}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props.update(
        {
            "genres": json.dumps(metadata.genres, ensure_ascii=False),
            "sample_rate": str(front_end.sample_rate),
            "n_samples": str(front_end.n_samples),
            "pad": front_end.pad,
            "normalization": f"{front_end.normalization}, per clip",
            "architecture": metadata.train.arch,
            "input": metadata.train.input,
            "genrekit_version": __version__,
            **({"outside_data": metadata.outside_data} if metadata.outside_data else {}),
        }
    )
    return program.model_proto.SerializeToString()


def largest_difference(model: bytes, bundle: Bundle, clips: FloatArray) -> float:
    """Return the largest difference between the probabilities of an exported model and of its bundle.

    The bundle's features are computed with numpy. Shapes: clips float32 [B, n_samples].
    """
    session = open_session(model)
    (exported,) = session.run(["probabilities"], {"waveform": clips})
    return float(np.abs(exported - expected_probabilities(bundle, clips)).max())


def expected_probabilities(bundle: Bundle, clips: FloatArray) -> FloatArray:
    """Return a bundle's probabilities for clips that are one track each: [B, n_samples] to [B, n_genres]."""
    prepared = bundle.metadata.prepare
    transform = INPUTS[bundle.metadata.train.input]
    inputs = []
    for clip in clips:
        piece = normalize_waveform(clip, prepared.front_end.normalization)
        ((_, values),) = transform(partial(iter, [(0, piece)]), prepared, BandPower(prepared.front_end, len(clip)))
        inputs.append(values)
    return np.array(probabilities(bundle, np.stack(inputs)), np.float32)


def _require_temporary_folder() -> None:
    """Check what torch needs when it imports its exporter."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise GenrekitError(f"cannot export: {error.strerror}; set TMPDIR to a folder on a disk with space") from error


@contextmanager
def _without_messages() -> Iterator[None]:
    """Suppress warnings and messages of the exporter."""
    logger = logging.getLogger("torch.onnx")
    level: Any = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
