"""Read the arrays of a .npz file that genrekit wrote. Nothing is unpickled."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genrekit.io.regular_files import open_regular

_DAMAGES = (OSError, ValueError, KeyError, EOFError, TypeError, OverflowError, NotImplementedError, RuntimeError)

Shape = tuple[int | None, ...]


def read_arrays(
    path: Path, version: int, columns: Mapping[str, tuple[str, Shape]], key: str | None = None
) -> dict[str, npt.NDArray[Any]] | None:
    """Return the arrays of a file by name; `columns` has the type and the shape of each, None for any length.

    None if the file is missing, damaged, of another format version, or has another `key`, or if an array has another
    type or shape, or values that are not finite.
    """
    try:
        with open_regular(path) as stream, np.load(stream, allow_pickle=False) as file:
            if int(file["version"]) != version or (key is not None and str(file["key"]) != key):
                return None
            arrays = {name: file[name] for name in columns}
    except (*_DAMAGES, zipfile.BadZipFile, zlib.error):
        return None
    fit = all(_fits(arrays[name], *expected) for name, expected in columns.items())
    return arrays if fit else None


def _fits(values: npt.NDArray[Any], kind: str, shape: Shape) -> bool:
    if values.dtype != np.dtype(kind) or values.ndim != len(shape):
        return False
    lengths = all(length is None or length == got for length, got in zip(shape, values.shape, strict=True))
    return lengths and (values.dtype.kind != "f" or bool(np.isfinite(values).all()))
