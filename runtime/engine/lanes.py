"""The running gens: one lane each, in arrays that a step reads and advances without a loop.

What is known without the model (positions, slots, counts) is kept on the host, tokens where the
model is. Only lanes that fill a block, and lanes that come or go, are touched one by one.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.runtime.engine.job import GenJob
from sglc.runtime.engine.tail import Grow, Tail
from sglc.runtime.engine.tree import Node

Indices = NDArray[np.int64]
GROW_LANES = 64


class Lanes:
    """`jobs` are the running gens in the order of their rows; `active` their lanes.

    `counts[lane]` tokens are generated; `positions[lane]` is where the last of them stands; its KV
    is not there yet. `sampled` is [lanes, most tokens], on the device. `version` changes when what
    rows see changes other than by growing.
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
        self.sampled = torch.zeros((0, 0), dtype=torch.int64, device=device)
        self._tails: list[Tail] = []  # by row
        self._view_starts: Indices = np.zeros(0, dtype=np.int64)  # by row
        self._is_stale = False  # the tails were not looked up since a gen came or went
        self.version = 0

    def __len__(self) -> int:
        return len(self.jobs)

    def start(self, jobs: list[GenJob]) -> None:
        """Add gens whose prompt has been run: the next token is about to be sampled."""
        for job in jobs:
            if not self._free:
                self._add_lanes()
            lane = job.lane = self._free.pop()
            self.counts[lane] = len(job.tokens)
            self.positions[lane] = job.node.end + len(job.tokens) - 1
            self._slots[lane] = self._slot_ends[lane] = -1
            for node in job.node.path():
                node.num_running += 1
        longest = max((job.growth for job in jobs), default=0)
        if longest > self.sampled.shape[1]:
            wider = self.sampled.new_zeros((self.sampled.shape[0], longest))
            wider[:, : self.sampled.shape[1]] = self.sampled
            self.sampled = wider
        for job in jobs:
            if job.tokens:
                known = torch.tensor(job.tokens, dtype=torch.int64)
                self.sampled[job.lane, : len(known)] = known.to(self._device)
        tails = self._tails + [Tail(job, self._grow) for job in jobs]
        self._set(self.jobs + jobs, tails)

    def stop(self, jobs: list[GenJob]) -> None:
        """Remove gens; their lanes may be taken again."""
        gone = set()
        for job in jobs:
            gone.add(job.lane)
            self._free.append(job.lane)
            for node in job.node.path():
                node.num_running -= 1
        stay = [row for row, job in enumerate(self.jobs) if job.lane not in gone]
        for job in jobs:
            job.lane = -1
        self._set([self.jobs[row] for row in stay], [self._tails[row] for row in stay])

    def feed(self) -> tuple[Tensor, Indices, Indices]:
        """Last tokens, their positions and the slots for their KV, one a row; takes the slots."""
        lanes = self.active
        for row in np.flatnonzero(self._slots[lanes] == self._slot_ends[lanes]).tolist():
            lane, tail = int(lanes[row]), self._tails[row]
            extent = tail.next_extent(int(self._slot_ends[lane]))
            self._slots[lane], self._slot_ends[lane] = extent.slot, extent.end
            self._view_starts[row] = tail.view_start
            self.version += 1
        if self._is_stale:
            self._look_up()
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

    def rows_at(self) -> dict[Node, list[int]]:
        """Rows by the node whose path they share with others; call after `feed`."""
        rows: dict[Node, list[int]] = {}
        for row, tail in enumerate(self._tails):
            rows.setdefault(tail.above, []).append(row)
        return rows

    def own(self) -> list[tuple[int, int, int]]:
        """Row, first slot and number of slots of what single rows see, growing views aside."""
        return [(row, *extent) for row, tail in enumerate(self._tails) for extent in tail.extents]

    def views(self) -> Indices:
        """Rows, first slots and numbers of slots [3, rows] of the views that grow."""
        starts = self._view_starts
        return np.stack([np.arange(len(starts)), starts, self._slots[self.active] - starts])

    def _set(self, jobs: list[GenJob], tails: list[Tail]) -> None:
        self.jobs, self._tails = jobs, tails
        self.active = np.array([job.lane for job in jobs], dtype=np.int64)
        self.active_tensor = torch.from_numpy(self.active).to(self._device)
        self._view_starts = np.full(len(jobs), -1)
        self._is_stale = True
        self.version += 1

    def _look_up(self) -> None:
        for row, tail in enumerate(self._tails):
            tail.look_up()
            self._view_starts[row] = tail.view_start
        self._is_stale = False

    def _add_lanes(self) -> None:
        first = len(self.counts)
        self._free.extend(range(first + GROW_LANES - 1, first - 1, -1))
        more = np.zeros(GROW_LANES, dtype=np.int64)
        for name in ("counts", "positions", "_slots", "_slot_ends"):
            setattr(self, name, np.concatenate([getattr(self, name), more]))
        added = self.sampled.new_zeros((GROW_LANES, self.sampled.shape[1]))
        self.sampled = torch.cat([self.sampled, added])
