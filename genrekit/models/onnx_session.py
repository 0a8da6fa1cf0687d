"""Running ONNX models. The only module that imports onnxruntime, which is an extra."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from genrekit.errors import GenrekitError, missing_extra

_EXTERNAL = b"\n\x08location"
"""The key of a reference to another file, as protocol buffers encode it: field 1, of eight bytes."""


def open_session(model: bytes) -> Any:
    """Open an ONNX model on the CPU.

    Errors: an exception of onnxruntime if it is not a usable model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # failures are raised as exceptions
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def open_foreign_session(model: bytes, name: str) -> Any:
    """Open an ONNX model that may come from a stranger. It may not refer to other files, which onnxruntime would read.

    Errors: GenrekitError if it does, or that says what to install; an exception of onnx or onnxruntime if it is not a
    usable model.
    """
    missing = [module for module in ("onnx", "onnxruntime") if find_spec(module) is None]
    if missing:
        raise missing_extra(f"reading {name}", "export", missing)
    import onnx

    # Written again, every number has its only short form, so that the key cannot be hidden.
    written = onnx.load_model_from_string(model).SerializeToString()
    if _EXTERNAL in written:
        raise GenrekitError(f"{name} refers to other files: save the network with its weights in one file")
    return open_session(written)
