"""The running gens: one lane each, in arrays that a step reads and advances without a loop.

What is known without the model (positions, slots, counts) is kept on the host, tokens where the
model is. A lane's tail grows by cache blocks; only lanes that fill a block, and lanes that come or
go, are touched one by one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.kernels.tree_attention import BLOCK, SharedExtent
from sglc.runtime.engine import work
from sglc.runtime.engine.job import GenJob
from sglc.runtime.engine.memory import Extent
from sglc.runtime.engine.tree import Node

Grow = Callable[[int], list[Extent]]
Indices = NDArray[np.int64]
GROW_LANES = 64


class Lanes:
    """`jobs` are the running gens in the order of their rows; `active` their lanes.

    `counts[lane]` tokens are sampled; `positions[lane]` is where the last of them stands; its KV is
    not there yet. `sampled` is [lanes, most tokens], on the device.
    """

    def __init__(self, device: torch.device, grow: Grow) -> None:
        self._device = device
        self._grow = grow
        self.jobs: list[GenJob] = []
        self.active: Indices = np.zeros(0, dtype=np.int64)
        self.active_tensor = torch.zeros(0, dtype=torch.int64, device=device)
        self._free: list[int] = []
        self.counts: Indices = np.zeros(0, dtype=np.int64)
        self.positions: Indices = np.zeros(0, dtype=np.int64)
        self._slots: Indices = np.zeros(0, dtype=np.int64)  # the next slot of the tail to fill
        self._slot_ends: Indices = np.zeros(0, dtype=np.int64)  # end of the extent it lies in
        self._run_starts: Indices = np.zeros(0, dtype=np.int64)  # start of the tail's last extent
        self._view_starts: Indices = np.zeros(0, dtype=np.int64)  # and of what touches it before
        self._filled: list[list[Extent]] = []  # of the tail, before its last extent
        self._ahead: list[list[Extent]] = []  # of the tail, not begun
        self.sampled = torch.zeros((0, 0), dtype=torch.int64, device=device)
        self._shared: list[SharedExtent] = []
        self._num_shared_levels = 0
        self._pieces = work.Pieces()  # what rows see alone, but for the view that grows
        self._is_stale = False  # the plan of attention is of another set of lanes

    def __len__(self) -> int:
        return len(self.jobs)

    def start(self, jobs: list[GenJob]) -> None:
        """Add gens whose first token is about to be sampled."""
        for job in jobs:
            if not self._free:
                self._add_lanes()
            lane = self._free.pop()
            job.lane = lane
            assert job.tail is not None
            self.counts[lane] = 0
            self.positions[lane] = job.node.end - 1
            self._filled[lane], self._ahead[lane] = [], list(job.tail.extents)
            self._slots[lane] = self._slot_ends[lane] = self._run_starts[lane] = -1
        longest = max((job.growth for job in jobs), default=0)
        if longest > self.sampled.shape[1]:
            wider = self.sampled.new_zeros((self.sampled.shape[0], longest))
            wider[:, : self.sampled.shape[1]] = self.sampled
            self.sampled = wider
        self._set_jobs(self.jobs + jobs)

    def stop(self, jobs: list[GenJob]) -> None:
        """Remove gens; their lanes may be taken again."""
        for job in jobs:
            self._free.append(job.lane)
        gone = {job.lane for job in jobs}
        self._set_jobs([job for job in self.jobs if job.lane not in gone])

    def feed(self) -> tuple[Tensor, Indices, Indices]:
        """The last tokens, their positions and the slots for their KV, one a row; takes the
        slots."""
        lanes = self.active
        for row in np.flatnonzero(self._slots[lanes] == self._slot_ends[lanes]).tolist():
            self._next_extent(row)
        slots = self._slots[lanes]
        self._slots[lanes] += 1
        last = torch.from_numpy(self.counts[lanes] - 1).to(self._device)
        return self.sampled[self.active_tensor, last], self.positions[lanes], slots

    def take(self, tokens: Tensor) -> None:
        """One sampled token a row."""
        lanes = self.active
        at = torch.from_numpy(self.counts[lanes]).to(self._device)
        self.sampled[self.active_tensor, at] = tokens
        self.counts[lanes] += 1
        self.positions[lanes] += 1

    def shared(self) -> tuple[list[SharedExtent], int]:
        """Items of what is above the tails, and how many levels they take; rows count from 0."""
        if self._is_stale:
            self._plan_shared()
        return self._shared, self._num_shared_levels

    def pieces(self) -> Indices:
        """What single rows see, tails included, as `work.Pieces.columns` gives it; call after
        `feed` and `shared`."""
        starts = self._view_starts[self.active]
        growing = np.stack([np.arange(len(starts)), starts, self._slots[self.active] - starts])
        return np.concatenate([self._pieces.columns(), growing], axis=1)

    def _set_jobs(self, jobs: list[GenJob]) -> None:
        self.jobs = jobs
        self.active = np.array([job.lane for job in jobs], dtype=np.int64)
        self.active_tensor = torch.from_numpy(self.active).to(self._device)
        self._is_stale = True

    def _plan_shared(self) -> None:
        rows_at: dict[Node, list[int]] = {}
        for row, job in enumerate(self.jobs):
            rows_at.setdefault(job.node, []).append(row)
        self._pieces = work.Pieces()
        chains, _ = work.chains_above(rows_at)
        self._shared, self._num_shared_levels = work.shared_items(
            chains, self._pieces, self._device
        )
        for row, job in enumerate(self.jobs):
            lane = job.lane
            start = int(self._run_starts[lane])
            for extent in self._filled[lane]:
                self._pieces.add(row, extent)
            self._pieces.add(row, Extent(start, int(self._slots[lane]) - start))
            self._view_starts[lane] = self._pieces.extents[row].pop().slot
        self._is_stale = False

    def _next_extent(self, row: int) -> None:
        """The tail in `row` has filled its last extent, and goes on in another."""
        job = self.jobs[row]
        lane, tail = job.lane, job.tail
        assert tail is not None
        if not self._ahead[lane]:
            held = sum(extent.num_tokens for extent in tail.extents)
            self._ahead[lane] = self._grow(min(BLOCK, job.growth - held))
            tail.extents.extend(self._ahead[lane])
        extent = self._ahead[lane].pop(0)
        end = int(self._slot_ends[lane])
        if extent.slot != end:
            if end >= 0:
                start, view = int(self._run_starts[lane]), int(self._view_starts[lane])
                self._filled[lane].append(Extent(start, end - start))
                self._pieces.add(row, Extent(view, end - view))
            self._run_starts[lane] = self._view_starts[lane] = extent.slot
            self._slots[lane] = extent.slot
        self._slot_ends[lane] = extent.end

    def _add_lanes(self) -> None:
        first = len(self.counts)
        self._free.extend(range(first + GROW_LANES - 1, first - 1, -1))
        more = np.zeros(GROW_LANES, dtype=np.int64)
        for name in ("counts", "positions", "_slots", "_slot_ends", "_run_starts", "_view_starts"):
            setattr(self, name, np.concatenate([getattr(self, name), more]))
        self._filled.extend([] for _ in range(GROW_LANES))
        self._ahead.extend([] for _ in range(GROW_LANES))
        added = self.sampled.new_zeros((GROW_LANES, self.sampled.shape[1]))
        self.sampled = torch.cat([self.sampled, added])
