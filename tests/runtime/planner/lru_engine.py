"""What a server does that knows no program: of the waiting requests the one with most of its prefix
in memory goes first, and what was used longest ago makes room."""

from __future__ import annotations

from itertools import count
from typing import Any

from sglc.runtime.engine.admission import Admission
from sglc.runtime.engine.job import GenJob, Job
from sglc.runtime.engine.residency import Residency
from sglc.runtime.engine.tree import Handle, Node, Tree
from sglc.runtime.engine.way import Way
from sglc.runtime.planner.rehearsal import Rehearsal


class LongestPrefixFirst(Admission):
    def next_job(self, num_promised: int, now: int, *, is_running: bool) -> Job | None:
        return self._queue.most_resident(with_gens=False)


class LeastRecentlyUsed(Residency):
    """Evicts leaves first, as a radix cache does."""

    def __init__(self, tree: Tree, admission: Admission, *, whole_tails: bool) -> None:
        super().__init__(tree, admission, whole_tails=whole_tails)
        self._clock = count()
        self._used: dict[Node, int] = {}

    def settle(self, job: GenJob, tokens: list[int], num_computed: int) -> Handle:
        tail = job.tail
        prefix = super().settle(job, tokens, num_computed)
        if tail is not None:
            self._used[tail] = next(self._clock)
        return prefix

    def release(self, job: Job) -> None:
        for node in job.nodes():
            self._used[node] = next(self._clock)
        super().release(job)

    def _make_room(self, count: int) -> None:
        if self._slots.num_free < count:
            self._tree.collect()
        while self._slots.num_free < count:
            idle = self._tree.idle
            above = {node.parent for node in idle}
            leaves = [node for node in idle if node not in above]
            oldest = min(leaves, key=lambda node: self._used.get(node, -1))
            self.num_evicted += oldest.num_computed
            self._tree.evict(oldest)


class LruRehearsal(Rehearsal):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.way = Way.SAVE_STEPS  # nothing to find out
        self._admission = LongestPrefixFirst(self._tree, self._queue)
        self._residency = LeastRecentlyUsed(
            self._tree, self._admission, whole_tails=options.get("is_device", False)
        )
