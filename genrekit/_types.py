"""Types that all packages use."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

AnyPath = str | os.PathLike[str]
"""A path in an argument of the Python API."""
