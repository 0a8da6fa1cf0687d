"""Tensors and JSON in one safetensors file that has a format version. Nothing is ever unpickled."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from genrekit.errors import GenrekitError

if TYPE_CHECKING:
    from torch import Tensor

DAMAGES = (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError)
"""What reading a damaged file raises, here or where its content is taken apart."""

_KEY = "genrekit"


def metadata_of(values: Mapping[str, Any]) -> dict[str, str]:
    """JSON values, `format_version` among them, as a file's metadata."""
    return {_KEY: json.dumps(values)}


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor | npt.NDArray[Any]], metadata: dict[str, str] | None = None
) -> None:
    """Write a file from the tensors' own memory, which it takes nothing beside; its permissions are the owner's alone.

    Errors: OSError where it cannot be written, such as on a full disk.
    """
    import torch
    from safetensors.torch import save_file

    try:
        whole = {name: torch.as_tensor(tensor).detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(whole, path, metadata)
    except SafetensorError as error:
        if found := re.search(r"I/O error: .*\(os error (\d+)\)", str(error)):
            number = int(found[1])
            raise OSError(number, os.strerror(number), str(path)) from error
        raise


def read_tensors(
    path: Path, framework: Literal["np", "pt"], *, version: int, what: str, remedy: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a file's JSON values and its tensors, as arrays of numpy (np) or of torch (pt).

    Errors: GenrekitError where it has another version of the format, with its name `what` and the remedy; one of
    `DAMAGES` where it is damaged.
    """
    with safe_open(path, framework) as file:
        metadata = json.loads((file.metadata() or {})[_KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    if metadata["format_version"] != version:
        raise GenrekitError(
            f"{path} has {what} format {metadata['format_version']}, this genrekit reads format {version}: {remedy}"
        )
    return metadata, tensors
