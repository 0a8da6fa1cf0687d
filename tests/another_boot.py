"""A module that a dask worker loads at its start. Files then look as if another host had them open."""

from pathlib import Path

from genrekit.io import file_identity

file_identity._BOOT_ID = Path(__file__)
