"""Packages that fail to import, as a library does that was built for another version of what it needs."""

import sys
from pathlib import Path

import pytest

UNDEFINED_SYMBOL = """
try:
    raise OSError("/site-packages/torchaudio/lib/libtorchaudio.so: undefined symbol: torch_exception_get_what")
except OSError as error:
    raise OSError("Could not load this library: /site-packages/torchaudio/lib/libtorchaudio.so") from error
"""
"""What torchaudio raises with a torch that is too old."""

OLD_NUMBA = 'raise ImportError("Numba needs NumPy 2.2 or less. Got NumPy 2.4.")'
"""What librosa raises if the numba below it does not fit numpy."""


def write_package(folder: Path, name: str, source: str) -> Path:
    """Write a package whose import runs the source, and return the folder to import it from."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(source)
    return folder


def shadow(patch: pytest.MonkeyPatch, folder: Path, name: str, source: str) -> None:
    """Import this package instead of the library of the same name, until the patch is undone."""
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        patch.delitem(sys.modules, module)
    patch.syspath_prepend(write_package(folder, name, source))
