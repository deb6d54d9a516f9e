"""Who sees what in a decode step: from lanes to `kernels/decode_work.py`, all rows at once.

Law: a row is shown its path, its tail's full runs and what is filled of the run that grows; nothing
else. What several rows see is one extent for all of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sglc.kernels.decode_plan import plan_decode
from sglc.kernels.decode_work import DecodePlan, Geometry
from sglc.runtime.engine.device.lanes import DeviceLanes

Indices = NDArray[np.int64]
NO_SLOTS: Indices = np.zeros((3, 0), dtype=np.int64)


def plan_rows(lanes: DeviceLanes, geometry: Geometry, *, tree: bool = True) -> DecodePlan:
    """The plan of the rows of `lanes`, before the step. Without `tree` each row has all it sees for
    its own."""
    held = [lanes.lane(lane) for lane in lanes.rows.tolist()]
    sizes = np.array([len(lane.slots) for lane in held], dtype=np.int64)
    slots = np.array([slot for lane in held for slot in lane.slots], dtype=np.int64)
    counts = np.array([count for lane in held for count in lane.counts], dtype=np.int64)
    rows = np.repeat(np.arange(len(held)), sizes)
    extents, row_ends, shared_rows, own = share(rows, slots, counts, tree=tree)
    num_blocks = np.array([len(lane.runs[0].blocks) for lane in held], dtype=np.int64)
    blocks = np.concatenate([lane.runs[0].blocks for lane in held])
    tail_blocks = np.stack([np.repeat(np.arange(len(held)), num_blocks), blocks])
    tail_lens = lanes.filled[lanes.rows] - np.array([lane.begin for lane in held])
    return plan_decode(geometry, extents, row_ends, shared_rows, own, tail_blocks, tail_lens)


def share(
    rows: Indices, slots: Indices, counts: Indices, *, tree: bool = True
) -> tuple[Indices, Indices, Indices, Indices]:
    """From each row's extents, in order, to (extents [n, 2], row_ends [n], rows, own [3, m]) as
    `plan_decode` takes them. Extents that touch and are seen by the same rows are one."""
    if not len(rows):
        return np.zeros((0, 2), np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), NO_SLOTS
    # extents that are alive do not overlap: equal first slots and counts are one extent
    key = (slots << 24) | counts
    _, group, num_rows = np.unique(key, return_inverse=True, return_counts=True)
    seen_by = num_rows[group]  # of each piece
    # piece i goes on from piece i - 1 of its row: rows below a child are among those below its
    # parent, so that equal numbers are equal rows
    goes_on = np.zeros(len(rows), dtype=bool)
    goes_on[1:] = (
        (rows[1:] == rows[:-1])
        & (slots[1:] == slots[:-1] + counts[:-1])
        & (seen_by[1:] == seen_by[:-1])
    )
    run = np.cumsum(~goes_on) - 1  # of each piece
    starts = np.flatnonzero(~goes_on)
    run_counts = np.bincount(run, weights=counts, minlength=len(starts)).astype(np.int64)
    run_rows, run_slots, run_seen_by = rows[starts], slots[starts], seen_by[starts]
    alone = run_seen_by <= (1 if tree else len(rows))
    own = np.stack([run_rows[alone], run_slots[alone], run_counts[alone]])
    together = np.flatnonzero(~alone)
    run_key = (run_slots[together] << 24) | run_counts[together]
    found, where, num_each = np.unique(run_key, return_inverse=True, return_counts=True)
    order = np.argsort(where, kind="stable")
    extents = np.stack([found >> 24, found & ((1 << 24) - 1)], axis=1)
    return extents, np.cumsum(num_each), run_rows[together][order], own
