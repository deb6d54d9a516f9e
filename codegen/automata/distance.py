"""How far the states of a token table are from the end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

UNREACHABLE = np.iinfo(np.int32).max


def tokens_to_end(next_: NDArray[np.int16], is_end: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The fewest tokens [S] from each state to one of `is_end`; UNREACHABLE without a way."""
    distance = np.where(is_end, 0, UNREACHABLE).astype(np.int32)
    open_ = np.flatnonzero(~is_end)
    is_known = np.append(is_end, False)  # the last for -1
    for tokens in range(1, len(is_end)):
        found = is_known[next_[open_]].any(axis=1)
        if not found.any():
            break
        distance[open_[found]] = tokens
        is_known[open_[found]] = True
        open_ = open_[~found]
    return distance


def farthest_next(next_: NDArray[np.int16], distance: NDArray[np.int32]) -> NDArray[np.int32]:
    """The largest distance [S] over the states that one token leads to; 0 if there are none."""
    farthest: NDArray[np.int32] = np.append(distance, np.int32(0))[next_].max(axis=1)
    return farthest
