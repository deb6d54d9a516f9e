"""Who sees what, by position: what `kernels/table_attention.py` reads.

Each sequence has a table of the slots of its tokens, in the order of positions, so how its path is
cut into nodes and extents is forgotten. Prefill and decode say the same thing here: some rows in a
row of one sequence, the first of them at some position.
Law: a row sees the tokens of its table whose position is at most its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.kernels.prefill_work import cut_rows

Indices = NDArray[np.int64]
QUERIES = 64  # query rows (positions x query heads a kv head) of a program
SPAN = 512  # positions whose results are found apart and then merged


@dataclass(frozen=True, slots=True)
class TableWork:
    """units [U, 4] int32: first row of q, number of rows (0: none), position of the first row's
        token, place of its table in `slots`.
    slots [X] int32: the tables.
    num_spans: 0, or the most spans of a unit: then each span has a program of its own, which is for
        batches that would not fill the device; units have one row.
    num_done [U, K] int32: spans of a unit that are found; zero between launches; for those alone.
    """

    units: Tensor
    slots: Tensor
    num_spans: int = 0
    num_done: Tensor | None = None


def plan_units(group: int, segments: Indices, table_places: Indices) -> NDArray[np.int32]:
    """Units [U, 4] of segments [n, 3] (first row of q, number of rows, position of the first row's
    token), whose tables begin at `table_places` [n]. `group` is the number of query heads a kv
    head. The units with most to do come first."""
    segment, first, count = cut_rows(segments[:, 1], QUERIES // group)
    row, _, position = segments[segment].T
    units = np.stack([row + first, count, position + first, table_places[segment]], axis=1)
    order = np.argsort(-(units[:, 1] + units[:, 2]), kind="stable")
    return units[order].astype(np.int32)


def slots_by_position(extents: Tensor, count: int) -> Tensor:
    """The slots [count] int32 of extents [2, X] int64 (first slots, numbers of slots), one after
    another. Does not wait for the device."""
    first, num = extents
    shift = (first - (num.cumsum(0) - num)).int()
    along = torch.arange(count, dtype=torch.int32, device=extents.device)
    return torch.repeat_interleave(shift, num, output_size=count).add_(along)
