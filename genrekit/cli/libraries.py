"""Environment variables of libraries: the folders that they write to, telemetry, and the programs that they start.

Only the command line sets them, and only if the user has not set them to a value that works.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import MutableMapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from genrekit.errors import GenrekitError
from genrekit.io.files import require_writable

_CACHE, _CONFIG, _DATA = "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"
_STANDARD = {_CACHE: "~/.cache", _CONFIG: "~/.config", _DATA: "~/.local/share"}

FOLDERS = {
    "MPLCONFIGDIR": ((_CONFIG, "matplotlib"), (_CACHE, "matplotlib")),
    "NUMBA_CACHE_DIR": ((_CACHE, "numba"),),
    "WANDB_CACHE_DIR": ((_CACHE, "wandb"),),
    "WANDB_CONFIG_DIR": ((_CONFIG, "wandb"),),
    "WANDB_DATA_DIR": ((_DATA, "wandb"),),
}
"""Variables for the folder of a library, and the folders that the library uses by default."""


def configure_libraries(environment: MutableMapping[str, str]) -> None:
    """Point libraries to a temporary folder if they cannot write below the home directory. No telemetry, no git."""
    environment.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")  # errors are reported by the command, in one line
    environment.setdefault("WANDB_DISABLE_GIT", "true")  # wandb runs git before it reads the settings of `tracking.py`
    environment.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime stores an id of the device in the home directory
    with suppress(OSError):  # there is no temporary folder either
        if not _has_home():
            environment.update({base: str(_scratch_folder()) for base in _STANDARD if base not in environment})
        for name, standard in FOLDERS.items():
            folders = [f"{environment.get(base) or _STANDARD[base]}/{leaf}" for base, leaf in standard]
            folders = [environment[name]] if environment.get(name) else folders
            if name == "WANDB_CONFIG_DIR" and _holds_settings(folders[0]):
                continue  # wandb only reads there
            if not _has_home() or not all(map(_writable, folders)):
                environment[name] = str(_scratch_folder() / name.lower())


def keep_current_folder_out(environment: MutableMapping[str, str]) -> None:
    """Let Python processes that libraries start import no module from the current folder, such as a `random.py`."""
    environment["PYTHONSAFEPATH"] = "1"


def _has_home() -> bool:
    with suppress(RuntimeError):
        return bool(Path.home())
    return False


def _holds_settings(folder: str) -> bool:
    with suppress(OSError, RuntimeError):
        return (Path(folder).expanduser() / "settings").is_file()
    return False


def _writable(folder: str) -> bool:
    try:
        require_writable(Path(folder).expanduser())
    except (GenrekitError, RuntimeError):  # RuntimeError: there is no home directory
        return False
    return True


@cache
def _scratch_folder() -> Path:
    """A private folder of the user that later commands use again, so that caches stay filled."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"genrekit-{user}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    private = stat.S_ISDIR(status.st_mode) and status.st_uid == user and not status.st_mode & 0o077
    return folder if private else Path(tempfile.mkdtemp(prefix="genrekit-"))
