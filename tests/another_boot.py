"""A module that dask loads when a worker starts. Files then look as if another host had them open."""

from pathlib import Path

from genrekit.io import file_identity


def dask_setup(_worker: object) -> None:
    """Replace the file with the ID of the last boot. dask calls this; other processes may import the module."""
    file_identity._BOOT_ID = Path(__file__)
