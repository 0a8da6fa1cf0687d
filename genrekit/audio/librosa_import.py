"""Import librosa on first use. This is the only module that imports librosa and numba.

The import takes seconds, because librosa loads numba and scipy.signal. Only the descriptors of the classical models
need it, so `prepare`, networks and the command line's help do not load it.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import warnings
from functools import cache
from typing import Any

from genrekit.errors import unloadable


@cache
def load_librosa() -> Any:
    """Import librosa with its `feature` and `onset` modules.

    numba refuses to import librosa if it finds no writable directory for its compiled functions (neither librosa's
    folder nor the user's cache directory nor NUMBA_CACHE_DIR). Then they go to a directory that is deleted at exit, and
    every process compiles them again, which takes about 20 s.
    Errors: GenrekitError if librosa is missing or does not fit the installed numba or numpy.
    """
    try:
        try:
            return _import()
        except RuntimeError as error:
            if "no locator available" not in str(error):
                raise
            return _import_with_temporary_cache()
    except Exception as error:
        raise unloadable("librosa", ("numba", "numpy"), error) from error


def _import() -> Any:
    with warnings.catch_warnings():
        # In a notebook without ipywidgets, tqdm warns that it cannot draw progress bars. librosa's downloads use them.
        warnings.filterwarnings("ignore", message="IProgress not found")
        import librosa
        import librosa.feature
        import librosa.onset

    return librosa


def _import_with_temporary_cache() -> Any:
    import numba

    folder = tempfile.mkdtemp(prefix="numba-")
    # The directory must outlive the import: numba writes to it again when a librosa function is first called.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    config: Any = numba.config
    configured, config.CACHE_DIR = config.CACHE_DIR, folder
    try:
        return _import()
    finally:
        config.CACHE_DIR = configured
