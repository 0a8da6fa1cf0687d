"""Types that every package uses."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


AnyPath = str | os.PathLike[str]
"""A path as callers of the API give it."""
