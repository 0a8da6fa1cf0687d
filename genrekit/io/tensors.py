"""Tensors and JSON in one safetensors file with a format version. Nothing is unpickled."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from genrekit.config import Config
from genrekit.errors import GenrekitError, UsageError, shortened
from genrekit.io.files import require_size
from genrekit.io.regular_files import open_regular

if TYPE_CHECKING:
    from torch import Tensor

DAMAGES = (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError)
"""The exceptions that a damaged file can cause, here or when its content is used."""

MOST_TENSOR_BYTES = 64 << 30
"""Size of the largest file of tensors that is read, such as a checkpoint."""

_KEY = "genrekit"


def metadata_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Return JSON values, including `format_version`, as the metadata of a file."""
    return {_KEY: json.dumps(values)}


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor | npt.NDArray[Any]], metadata: dict[str, str] | None = None
) -> None:
    """Write a file without copying the tensors in memory. Only the owner may read it.

    Errors: OSError if it cannot be written, for example on a full disk.
    """
    import torch
    from safetensors.torch import save_file

    try:
        whole = {name: torch.as_tensor(tensor).detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(whole, path, metadata)
    except SafetensorError as error:
        if match := re.search(r"I/O error: .*\(os error (\d+)\)", str(error)):
            number = int(match[1])
            raise OSError(number, os.strerror(number), str(path)) from error
        raise


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor with NaN or infinite values, or None."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            return name
    return None


def read_tensors(
    path: Path,
    framework: Literal["np", "pt"],
    *,
    version: int,
    what: str,
    remedy: str,
    header: type[Config] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the JSON values and the tensors of a file, as arrays of numpy (np) or torch (pt).

    The JSON values are checked against the model `header`.

    Errors: GenrekitError with the format's name `what` and the `remedy` if the format version is another; one of
    `DAMAGES` if the file is damaged.
    """
    require_size(path, MOST_TENSOR_BYTES)
    with open_regular(path), safe_open(path, framework) as file:
        metadata = json.loads((file.metadata() or {})[_KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    if metadata["format_version"] != version:
        got = shortened(repr(metadata["format_version"]))
        raise GenrekitError(f"{path} has {what} format {got}, but this version reads {version}: {remedy}")
    if header is not None:
        try:
            header.of_json(json.dumps(metadata))
        except UsageError as error:
            raise ValueError(str(error)) from error
    return metadata, tensors
