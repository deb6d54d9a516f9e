"""Lists of different lengths that lie one after another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def expand(counts: Indices) -> tuple[Indices, Indices]:
    """For `counts[i]` elements of each i, one after another: their i, and their number within
    it."""
    index = np.repeat(np.arange(len(counts)), counts)
    return index, np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
