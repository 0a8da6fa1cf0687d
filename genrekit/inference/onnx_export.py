"""A bundle as one ONNX file, from the waveform to probabilities: the only door to onnx and onnxruntime, an extra."""

from __future__ import annotations

import json
import logging
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
from genrekit.audio.decode import Level
from genrekit.errors import GenrekitError, missing_extra
from genrekit.inference.front_end import torch_front_end
from genrekit.inference.prediction import probabilities
from genrekit.inference.streaming import INPUTS
from genrekit.models.bundle import Bundle

OPSET = 20
"""Version of ONNX's operators; onnxruntime knows it from 1.17 on."""

_MODULES = ("onnx", "onnxscript", "onnxruntime")


class Listener(nn.Module):
    """Front end, model and softmax in one.

    Shapes: float32 [B, n_samples], mono at the front end's rate and of any level, to probabilities [B, n_genres].
    """

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        self.front_end = torch_front_end(bundle.metadata.prepare, bundle.metadata.train.input)
        self.model = bundle.model

    def forward(self, waveform: Tensor) -> Tensor:
        """Probabilities of a batch of clips."""
        return self.model(self.front_end(waveform)).softmax(dim=1)


def require_onnx() -> None:
    """Make sure that a model can be exported and checked.

    Errors: GenrekitError that says what to install.
    """
    absent = [name for name in _MODULES if find_spec(name) is None]
    if absent:
        raise missing_extra("exporting", "export", absent)


def to_onnx(bundle: Bundle) -> bytes:
    """Write a bundle's model as ONNX: `waveform` [batch, n_samples] in, `probabilities` [batch, n_genres] out.

    The genres, in the order of the probabilities, and the sample rate are in the file's metadata.
    Errors: GenrekitError for a classical model, whose statistics are computed outside torch.
    """
    metadata = bundle.metadata
    if not metadata.train.architecture.trained_by_gradient:
        raise GenrekitError(
            f"{bundle.path} holds {metadata.train.arch}, whose statistics ONNX has no operators for: export a network"
        )
    front_end = metadata.prepare.front_end
    with _quietly():
        program = torch.onnx.export(
            Listener(bundle).eval(),
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
            "normalization": f"{front_end.normalization}, per clip",
            "architecture": metadata.train.arch,
            "input": metadata.train.input,
            "genrekit_version": __version__,
        }
    )
    return program.model_proto.SerializeToString()


def largest_difference(model: bytes, bundle: Bundle, clips: FloatArray) -> float:
    """How far the probabilities of an exported model are from those that the bundle gives through numpy's front end.

    Shapes: clips float32 [B, n_samples].
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"waveform": clips})
    return float(np.abs(found - expected_probabilities(bundle, clips)).max())


def expected_probabilities(bundle: Bundle, clips: FloatArray) -> FloatArray:
    """What a bundle says of clips, each of them a track of its own: [B, n_samples] to [B, n_genres]."""
    prepared = bundle.metadata.prepare
    transform = INPUTS[bundle.metadata.train.input]
    inputs = []
    for clip in clips:
        piece = Level.of([clip], prepared.front_end.normalization).apply(clip)
        ((_, values),) = transform(partial(iter, [(0, piece)]), prepared)
        inputs.append(values)
    return np.array(probabilities(bundle, np.stack(inputs)), np.float32)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what the exporter says of optional libraries and of itself."""
    logger = logging.getLogger("torch.onnx")
    level: Any = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
