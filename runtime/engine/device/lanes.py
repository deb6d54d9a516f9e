"""The running gens of the GPU engine, as far as the host knows them without reading anything back.

Positions, slots and counts follow from the number of steps launched; only the sampled tokens, and
what they mean, are the device's. A gen leaves the running rows when its last token is launched, and
its lane when the host has read how it ended.
Law: `launched` runs ahead of `read`; a token that comes from a lane that was given up is nobody's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sglc.kernels.decode_work import BLOCK
from sglc.runtime.engine.device.watched import is_walked, is_watched
from sglc.runtime.engine.job import GenJob
from sglc.runtime.engine.memory import Extent

Indices = NDArray[np.int64]


class TailRun:
    """Slots of a tail that one plan is enough for: whole blocks of BLOCK, the last one aside. They
    hold the tail's tokens up to `end`; `blocks` are the first slots of the blocks."""

    __slots__ = ("blocks", "end", "extents")

    def __init__(self, begin: int, extents: Sequence[Extent]) -> None:
        self.extents = list(extents)
        self.end = begin + sum(count for _, count in extents)
        starts = [np.arange(slot, slot + count, BLOCK) for slot, count in extents]
        self.blocks: Indices = np.concatenate(starts)


def tail_runs(extents: Sequence[Extent]) -> list[TailRun]:
    """`extents` cut after each that ends within a block."""
    runs: list[TailRun] = []
    held: list[Extent] = []
    begin = 0
    for extent in extents:
        held.append(extent)
        if extent.num_tokens % BLOCK:
            runs.append(TailRun(begin, held))
            begin, held = runs[-1].end, []
    if held:
        runs.append(TailRun(begin, held))
    return runs


class Lane:
    """What one running gen sees: the extents of its path and of the tail runs that are full, as
    `slots` and `counts`; then `runs`, of which the first, that begins at token `begin` of the tail,
    is being filled."""

    __slots__ = ("begin", "counts", "job", "runs", "slots")

    def __init__(self, job: GenJob) -> None:
        assert job.tail is not None
        self.job = job
        extents = [extent for node in job.node.path() for extent in node.extents]
        self.slots = [extent.slot for extent in extents]
        self.counts = [extent.num_tokens for extent in extents]
        self.runs = tail_runs(job.tail.extents)
        self.begin = 0

    def extents(self) -> list[tuple[int, int]]:
        """Slots of the whole context that the gen can come to have, in order."""
        known = zip(self.slots, self.counts, strict=True)
        return [*known, *(extent for run in self.runs for extent in run.extents)]

    def next_run(self) -> None:
        """The run being filled is full: go on with the next."""
        full = self.runs.pop(0)
        self.begin = full.end
        self.slots += [extent.slot for extent in full.extents]
        self.counts += [extent.num_tokens for extent in full.extents]


class DeviceLanes:
    """`rows` are the lanes that the next decode step runs, in order.

    By lane: `launched` tokens are sampled or will be by what is launched; `read` of them are in
    `history`; `filled` is how many tokens of the tail have their KV when the next step begins;
    `serial` tells whose lane it is; `is_walked` that the host looks at each token, `is_watched`
    that no step may run ahead. `version` changes when the rows or what they see change, other than
    by a token a step.
    """

    def __init__(self, max_lanes: int) -> None:
        self.held: list[Lane | None] = [None] * max_lanes
        self.rows: Indices = np.zeros(0, dtype=np.int64)
        self.launched: Indices = np.zeros(max_lanes, dtype=np.int64)
        self.read: Indices = np.zeros(max_lanes, dtype=np.int64)
        self.filled: Indices = np.zeros(max_lanes, dtype=np.int64)
        self.growth: Indices = np.zeros(max_lanes, dtype=np.int64)
        self.serial: Indices = np.full(max_lanes, -1, dtype=np.int64)
        self.is_walked: NDArray[np.bool_] = np.zeros(max_lanes, dtype=np.bool_)
        self.is_watched: NDArray[np.bool_] = np.zeros(max_lanes, dtype=np.bool_)
        self.history: NDArray[np.int32] = np.zeros((max_lanes, 64), dtype=np.int32)
        self._run_end: Indices = np.zeros(max_lanes, dtype=np.int64)
        self._free = list(range(max_lanes - 1, -1, -1))
        self._num_started = 0
        self.version = 0

    def __len__(self) -> int:
        """Lanes taken, whether they still run or not."""
        return len(self.held) - len(self._free)

    def start(self, jobs: Sequence[GenJob]) -> Indices:
        """Lanes for gens whose next token is about to be launched; their tails have all slots.
        Tokens that a gen has already are kept in its history."""
        lanes = np.array([self._free.pop() for _ in jobs], dtype=np.int64)
        num_tokens = np.array([len(job.tokens) for job in jobs], dtype=np.int64)
        self.growth[lanes] = [job.growth for job in jobs]
        self._widen(int(self.growth[lanes].max(initial=0)))
        for lane, job in zip(lanes.tolist(), jobs, strict=True):
            job.lane = lane
            held = self.held[lane] = Lane(job)
            while len(job.tokens) > held.runs[0].end:
                held.next_run()
            self._run_end[lane] = held.runs[0].end
            self.is_walked[lane] = is_walked(job)
            self.is_watched[lane] = is_watched(job)
            self.history[lane, : len(job.tokens)] = job.tokens
        self.launched[lanes] = self.read[lanes] = self.filled[lanes] = num_tokens
        self.serial[lanes] = np.arange(self._num_started, self._num_started + len(jobs))
        self._num_started += len(jobs)
        self.rows = np.concatenate([self.rows, lanes])
        self.version += 1
        return lanes

    def sample(self, lanes: Indices) -> None:
        """A token of each of `lanes` is launched. Gens that have all theirs leave the rows."""
        self.launched[lanes] += 1
        is_full = self.launched[lanes] >= self.growth[lanes]
        if is_full.any():
            self._leave(lanes[is_full])

    def stop(self, jobs: Sequence[GenJob]) -> None:
        """Their lanes may be taken again; what is launched of them is nobody's."""
        lanes = np.array([job.lane for job in jobs], dtype=np.int64)
        self.leave(lanes)
        self.is_watched[lanes] = False
        for lane, job in zip(lanes.tolist(), jobs, strict=True):
            self.held[lane] = None
            self._free.append(lane)
            job.lane = -1

    def leave(self, lanes: Indices) -> None:
        """They run no more, and what is launched of them is nobody's."""
        self._leave(lanes)
        self.serial[lanes] = -1

    def turn(self) -> None:
        """Before a decode step: rows whose run is full go on with the next one."""
        rows = self.rows
        for lane in rows[self.filled[rows] >= self._run_end[rows]].tolist():
            held = self.lane(lane)
            held.next_run()
            self._run_end[lane] = held.runs[0].end
            self.version += 1

    def fill(self, lanes: Indices) -> None:
        """A decode step over `lanes` is launched: their last tokens get their KV."""
        self.filled[lanes] += 1

    def lane(self, lane: int) -> Lane:
        held = self.held[lane]
        assert held is not None
        return held

    def _leave(self, lanes: Indices) -> None:
        stays = ~np.isin(self.rows, lanes)
        if not stays.all():
            self.rows = self.rows[stays]
            self.version += 1

    def _widen(self, longest: int) -> None:
        width = self.history.shape[1]
        if longest > width:
            wider = np.zeros((len(self.held), max(longest, 2 * width)), dtype=np.int32)
            wider[:, :width] = self.history
            self.history = wider
