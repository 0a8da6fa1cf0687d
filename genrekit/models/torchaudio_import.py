"""Import torchaudio on first use. This is the only module that imports it.

Exporting a model and SpecAugment masks need it. Everything else works without it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from genrekit.errors import unloadable


@cache
def load_torchaudio() -> Any:
    """Import torchaudio.

    Errors: GenrekitError if it is missing or does not fit the installed torch.
    """
    try:
        import torchaudio
    except Exception as error:  # built for another torch: OSError; for another CUDA: RuntimeError
        raise unloadable("torchaudio", ["torch"], error) from error
    return torchaudio
