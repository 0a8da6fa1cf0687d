"""Features from a network in a file of the user: ONNX or TorchScript, from a waveform to an embedding."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from genrekit._types import FloatArray
from genrekit.audio.resample import resample
from genrekit.config.features import features_label, is_onnx
from genrekit.errors import GenrekitError
from genrekit.io.files import cannot
from genrekit.io.regular_files import open_regular
from genrekit.models.onnx_session import open_foreign_session

_COMPUTATION = 1
"""Part of the digest: raise it if a change of the code below changes the features."""

_BATCH = 8
"""Windows per call of the network."""

_TRIAL_S = 5.0
"""Seconds of the noise that shows the number of features, if the window is the whole fragment."""

_MAX_DIMENSION = 100_000

Run = Callable[[FloatArray], Any]
"""A network: windows float32 [B, n_samples] to its first output."""


class NetworkFile:
    """A `FeatureExtractor` for a network in a file. The file is read when it is first needed.

    A fragment is resampled to `sample_rate` and cut into windows of `window_s` seconds without overlap; what is left at
    its end is not used. Without `window_s`, the window is the whole fragment. The features of a fragment are the means
    over its windows, and over time if the network has outputs over time.

    The input of the network is [batch, n_samples] or [n_samples], its first output [batch, D], [batch, time, D],
    [time, D] or [D]. Reading TorchScript can run code: name only files that you trust.
    """

    def __init__(self, path: Path, sample_rate: int, window_s: float | None = None) -> None:
        self.path, self.sample_rate, self.window_s = path, sample_rate, window_s
        self.name = features_label(str(path))
        self.outside_data = f"{path.name}, a network trained outside genrekit"

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the open network and its file: each process opens its own."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_run", "content")}

    @cached_property
    def content(self) -> bytes:
        """The bytes of the file.

        Errors: GenrekitError if it cannot be read.
        """
        try:
            with open_regular(self.path) as file:
                return file.read()
        except OSError as error:
            raise cannot("read the network for features", self.path, error) from error

    @cached_property
    def digest(self) -> str:
        """Identifies the file, the rate, the window and the computation."""
        settings = f"{self.sample_rate} {self.window_s}".encode()
        return f"{_COMPUTATION}-{hashlib.sha256(self.content + settings).hexdigest()[:16]}"

    @cached_property
    def dimension(self) -> int:
        """Number of features per fragment, from the output for one window of noise."""
        window = _TRIAL_S if self.window_s is None else self.window_s
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, round((self.fixed_s or window) * self.sample_rate))
        return len(self._embed(noise.astype(np.float32)[None])[0])

    @property
    def fixed_s(self) -> float | None:
        """Seconds of the network's input if its shape is fixed, else None."""
        samples = _fixed_samples(self._run)
        return None if samples is None else samples / self.sample_rate

    def compute(self, fragments: FloatArray, sample_rate: int) -> FloatArray:
        """Compute features: float32 [B, n_samples] at `sample_rate` to float32 [B, dimension].

        Errors: GenrekitError if the network cannot be used, does not accept the windows, or gives NaN.
        """
        features = np.empty((len(fragments), self.dimension), np.float32)
        for index, fragment in enumerate(fragments):
            windows = self._windows(resample(np.asarray(fragment, np.float32), sample_rate, self.sample_rate))
            batches = [self._embed(windows[start : start + _BATCH]) for start in range(0, len(windows), _BATCH)]
            features[index] = np.concatenate(batches).mean(axis=0)
        return features

    def module(self, sample_rate: int) -> nn.Module:  # noqa: ARG002 - part of the interface
        """Refuse to be exported.

        Errors: GenrekitError.
        """
        raise GenrekitError(f"a model with features of {self.path.name} cannot be exported: export one with musicnn")

    def _windows(self, fragment: FloatArray) -> FloatArray:
        length = len(fragment) if self.window_s is None else round(self.window_s * self.sample_rate)
        count = len(fragment) // max(length, 1)
        if count == 0:
            raise GenrekitError(
                f"features_window must be at most the length of a fragment "
                f"({len(fragment) / self.sample_rate:g} s), got {self.window_s:g}"
            )
        fixed = _fixed_samples(self._run)
        if fixed not in (None, length):
            raise GenrekitError(
                f"{self.path} reads windows of {fixed} samples, got {length}: "
                f"set features_window to {fixed / self.sample_rate:g}"
            )
        return fragment[: count * length].reshape(count, length)

    def _embed(self, windows: FloatArray) -> FloatArray:
        """Embed windows, [B, n_samples] to [B, D]."""
        try:
            output = np.asarray(self._run(windows), np.float32)
        except GenrekitError:
            raise
        except Exception as error:  # onnxruntime and TorchScript raise many kinds
            raise self._failed(error) from error
        if output.ndim == 3:
            output = output.mean(axis=1)
        if output.ndim != 2 or len(output) != len(windows) or not 0 < output.shape[1] <= _MAX_DIMENSION:
            raise GenrekitError(
                f"{self.path} gives {list(output.shape)} for {len(windows)} windows: it must give one embedding each"
            )
        if not np.isfinite(output).all():
            raise GenrekitError(f"{self.path} gives NaN or infinity: use another network, or check features_rate")
        return output

    def _failed(self, error: Exception) -> GenrekitError:
        text = " ".join(str(error).split())[:200]
        if isinstance(error, MemoryError) or "alloc" in text.lower() or "not enough memory" in text.lower():
            return GenrekitError(
                f"there was not enough memory to run {self.path}: use a smaller features_window, or fewer processes"
            )
        return GenrekitError(f"{self.path} cannot be used for features ({text}): its input must be a waveform")

    @cached_property
    def _run(self) -> Run:
        content = self.content
        try:
            return OnnxNetwork(content, self.path) if is_onnx(str(self.path)) else TorchScript(content)
        except GenrekitError:
            raise
        except Exception as error:
            text = " ".join(str(error).split())[:200]
            raise GenrekitError(f"{self.path} is not a readable network ({text}): name ONNX or TorchScript") from error


class OnnxNetwork:
    """A network in ONNX. Its only input without a default is a waveform, [batch, n_samples] or [n_samples].

    Errors: GenrekitError for another input.
    """

    def __init__(self, content: bytes, path: Path) -> None:
        self.session = open_foreign_session(content, str(path))
        inputs = self.session.get_inputs()
        shape = inputs[0].shape if inputs else []
        fixed_batch = len(shape) == 2 and isinstance(shape[0], int) and shape[0] != 1
        if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(shape) not in (1, 2) or fixed_batch:
            found = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs) or "none"
            raise GenrekitError(
                f"the input of {path} is not a waveform: it must be float32 [batch, n_samples] or [n_samples], "
                f"got {found}"
            )
        self.name, self.single = inputs[0].name, len(shape) == 1 or shape[0] == 1
        self.has_batch = len(shape) == 2
        self.samples: int | None = shape[-1] if isinstance(shape[-1], int) else None

    def __call__(self, windows: FloatArray) -> Any:
        """Run windows together, or one after the other if the network takes one."""
        if not self.single:
            return self._output(windows)
        outputs = [self._output(one[None] if self.has_batch else one) for one in windows]
        return np.stack([output.reshape(-1, output.shape[-1]).mean(axis=0) for output in outputs])

    def _output(self, values: FloatArray) -> Any:
        return self.session.run(None, {self.name: np.ascontiguousarray(values)})[0]


class TorchScript:
    """A network in TorchScript, on the CPU."""

    def __init__(self, content: bytes) -> None:
        with torch.device("cpu"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch recommends another format for new files
            self.module = torch.jit.load(io.BytesIO(content), map_location="cpu").eval()

    def __call__(self, windows: FloatArray) -> Any:
        """Run windows together."""
        with torch.inference_mode():
            output = self.module(torch.from_numpy(np.ascontiguousarray(windows)))
        return (output[0] if isinstance(output, (tuple, list)) else output).numpy()


def _fixed_samples(network: Run) -> int | None:
    return getattr(network, "samples", None)
