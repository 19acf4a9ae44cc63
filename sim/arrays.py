"""The types of arrays. Letters of shapes in docstrings: R replications, K arms, T ticks, M metrics, C columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
